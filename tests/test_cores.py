"""The cores that a process may use, under limits that other tools overlook."""

import pytest

from lipinc import cores


@pytest.fixture
def limited(tmp_path, monkeypatch):
    """limited(membership, quotas): the cores that a process with an affinity of 64 cores counts."""

    def count(membership: str, quotas: dict[str, str]) -> int:
        (tmp_path / "cgroup").write_text(membership)
        for name, content in quotas.items():
            (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "fs" / name).write_text(content)
        monkeypatch.setattr(cores, "MEMBERSHIP", tmp_path / "cgroup")
        monkeypatch.setattr(cores, "CGROUPS", tmp_path / "fs")
        monkeypatch.setattr(cores, "allowed_cores", lambda: 64)
        return cores.available_cores()

    return count


@pytest.mark.parametrize(
    ("membership", "quotas", "expected"),
    [
        ("0::/\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 64),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/slurm/job/step\n", {"slurm/job/cpu.max": "400000 100000", "slurm/job/step/cpu.max": "max 100000"}, 4),
        ("0::/a/b\n", {"a/cpu.max": "800000 100000", "a/b/cpu.max": "300000 100000"}, 3),
        ("4:memory:/x\n2:cpu,cpuacct:/docker/1f\n", {"cpu,cpuacct/docker/1f/cpu.cfs_quota_us": "200000"}, 64),
        (  # in a container, the path is that of the host
            "2:cpu,cpuacct:/docker/1f\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "200000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            2,
        ),
        (
            "1:cpu:/a/b\n0::/\n",
            {
                **{"cpu/a/cpu.cfs_quota_us": "500000", "cpu/a/cpu.cfs_period_us": "100000"},
                **{"cpu/a/b/cpu.cfs_quota_us": "-1", "cpu/a/b/cpu.cfs_period_us": "100000"},
            },
            5,
        ),
        ("", {}, 64),
    ],
)
def test_quotas_of_all_levels_and_versions_count(limited, membership, quotas, expected):
    assert limited(membership, quotas) == expected


def test_affinity_counts(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3})
    assert cores.available_cores() == 1
