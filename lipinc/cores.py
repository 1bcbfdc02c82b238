"""The number of CPU cores that this process may use: in a container or a cluster job, fewer than the machine has."""

import math
import os
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
"""One line for each hierarchy of control groups: number, controllers (none in version 2) and group of this process."""


def available_cores() -> int:
    """The cores allowed by CPU affinity (taskset, Slurm) and by CPU quotas of control groups (Docker, Kubernetes,
    systemd), both versions, at any level; at least 1. A quota of 1.5 cores counts as 2.

    joblib and dask read the quota of one level only; a limit may be set on any group above.
    """
    return max(1, math.ceil(min(allowed_cores(), _cpu_quota())))


def allowed_cores() -> int:
    """The cores in the CPU affinity of this process."""
    return len(os.sched_getaffinity(0))


def _cpu_quota() -> float:
    """The smallest CPU quota of the control groups of this process, in cores; inf: none."""
    try:
        lines = MEMBERSHIP.read_text(errors="replace").splitlines()
    except OSError:  # not Linux
        return math.inf
    quotas = [math.inf]
    for line in lines:
        _, controllers, group = line.split(":", 2)
        # In a container, the path may be that of the host, of which only the last group is mounted, as the root.
        levels = [level.relative_to("/") for level in (PurePosixPath(group), *PurePosixPath(group).parents)]
        if not controllers:
            quotas += [_quota_v2(CGROUPS / level / "cpu.max") for level in levels]
        elif "cpu" in controllers.split(","):
            quotas += [_quota_v1(CGROUPS / name / level) for name in ("cpu", controllers) for level in levels]
    return min(quotas)


def _quota_v2(file: Path) -> float:
    try:
        quota, period = file.read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return math.inf


def _quota_v1(folder: Path) -> float:
    try:
        quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    except (OSError, ValueError):
        return math.inf
    return quota / period if quota > 0 else math.inf
