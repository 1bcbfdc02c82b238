"""The GPU check at small sizes: on the CPU always, and on CUDA with the marker `cuda` (at the published sizes)."""

import json
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from benchmarks import REPOSITORY, gpu_check
from benchmarks.command import write_config
from benchmarks.gpu import floors, loading, numerics, own_process, plan, report, requirements, runs, speed, waiting
from benchmarks.gpu.cases import PUBLISHED, Size, network_config
from benchmarks.gpu.floors import Rates, work_of_training
from benchmarks.gpu.sections import Check, Measurement, OutOfTime, Section, exact, run_sections
from lipinc.cache.store import Cache
from lipinc.config import Config, LossConfig, TrainConfig, load_config
from lipinc.ddp import process_group
from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.losses import inconsistency, ssim_cpu, ssim_torch
from lipinc.models.registry import build_model
from lipinc.training import loop, optimization
from tests.tiny import tiny_config

CPU = torch.device("cpu")
RATES = Rates(float32=1e12, tf32=2e12, bf16=4e12, copy=1e11, upload=1e10)
TINY = Size(56, 56, hidden=16)
"""Mouths for which both networks have maps of 7 x 7."""
TINY_V1 = Size(16, 24, hidden=16)


@pytest.fixture(
    params=[
        "cpu",
        pytest.param(
            "cuda",
            marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")],
        ),
    ]
)
def device(request) -> torch.device:
    return torch.device(request.param)


@pytest.fixture
def config(tmp_path) -> Config:
    """V1 on a cache of ten people."""
    config = tiny_config(tmp_path)
    config = replace(config, model=config.model.replace(hidden=16, input_scale=1 / 255))
    make_cache(config, people=10)
    return config


def size(device: torch.device, network: str = "lipinc") -> Size:
    """Small on the CPU, as published on CUDA."""
    if device.type == "cuda":
        return PUBLISHED
    return TINY_V1 if network == "lipinc" else TINY


def assert_passed(checks: Iterator[Check], least: int) -> list[Check]:
    found = list(checks)
    assert len(found) >= least
    assert not [f"{check.name}: {check.text()}" for check in found if not check.passed]
    return found


def figures(measurements: Iterator[Measurement]) -> dict[str, dict]:
    found = {one.name: one.figures for one in measurements}
    assert all(
        value is None or isinstance(value, str) or value >= 0 for one in found.values() for value in one.values()
    )
    return found


@pytest.mark.parametrize("network", ["lipinc", "lipinc_v2"])
def test_networks_against_the_cpu_and_float64(device, network):
    draws = 1 if device.type == "cpu" else 3
    checks = assert_passed(numerics.networks(device, size(device, network), draws=draws, which=[network]), 4)
    gradients = next(check for check in checks if "gradients" in check.name).figures
    torch.manual_seed(0)
    model = build_model(network_config(network, size(device, network)))
    assert set(gradients) == {"pixels", *(name for name, _ in model.named_parameters())}


def test_the_default_detector_against_the_cpu_and_float64(device):
    small = {"size": Size(32, 48), "clips": 2, "draws": 1} if device.type == "cpu" else {}
    assert_passed(numerics.default_detector(device, **small), 6)


@pytest.mark.parametrize("kernel", ["numba", "torch"])
def test_inconsistency_loss_against_its_plain_definition(device, kernel, monkeypatch):
    if kernel == "torch":  # what runs on CUDA
        monkeypatch.setattr(ssim_cpu, "mean_ssim_and_gradient", ssim_torch.mean_ssim_and_gradient)
    shapes = {"shapes": [(2, 4, 3, 16, 24), (2, 8, 16, 8, 18)]} if device.type == "cpu" else {}
    assert_passed(numerics.inconsistency(device, **shapes), 6)


def test_a_wrong_loss_is_noticed(monkeypatch):
    monkeypatch.setattr(numerics, "inconsistency_loss", lambda *a: 1.001 * inconsistency.inconsistency_loss(*a))
    checks = list(numerics.inconsistency(CPU, shapes=[(2, 4, 3, 16, 24)]))
    assert [check.passed for check in checks[:2]] == [False, False]


def test_a_wrong_gradient_is_noticed(monkeypatch):
    run = numerics.run_step

    def off_in_float32(model, batch, device, dtype, loss):
        found = run(model, batch, device, dtype, loss)
        if dtype == torch.float32:
            found.gradients["head.dense.0.bias"] *= 1.01
        return found

    monkeypatch.setattr(numerics, "run_step", off_in_float32)
    checks = list(numerics.networks(CPU, TINY_V1, draws=1, which=["lipinc"]))
    wrong = [check for check in checks if not check.passed]
    assert [check.note for check in wrong] == ["the worst is head.dense.0.bias"]
    assert "float64: " in wrong[0].name


def test_compiled_and_not(device, monkeypatch):
    if device.type == "cpu":
        monkeypatch.setattr(loop, "COMPILER", "eager")  # traced, but not translated, which takes minutes
    small = {"which": ["lipinc"], "clips": 2} if device.type == "cpu" else {}
    assert_passed(numerics.compiled(device, size(device), **small), 3)


def test_a_network_that_falls_back_to_uncompiled_is_noticed(monkeypatch):
    def fails(*_):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch._dynamo, "lookup_backend", lambda _: fails)
    checks = list(numerics.compiled(CPU, TINY_V1, which=["lipinc"], clips=2))
    assert not checks[0].passed and "no compiler" in checks[0].note


def test_bf16_training_reaches_the_loss_of_float32(device, config, tmp_path):
    """On the CPU by V2: the gradient of a 3D convolution in bf16 crashes torch 2.14 there, at some sizes."""
    if device.type == "cpu":
        config = replace(plan.second_network(config), loss=LossConfig(inconsistency=0.0))
    checks = assert_passed(runs.bf16_against_float32(device, config, tmp_path / "runs", epochs=3), 3)
    assert checks[0].error > 0  # else it was float32 twice


def test_resume(device, config, tmp_path):
    checks = assert_passed(runs.resumed(device, config, tmp_path / "runs"), 2)
    if device.type == "cpu":
        assert checks[0].error == 0


def test_checkpoints_move_between_devices(device, config, tmp_path):
    assert_passed(runs.checkpoints_across_devices(device, config, tmp_path / "runs"), 3)


def test_deterministic_training(device, config, tmp_path):
    if device.type == "cuda":
        file = write_config(config, tmp_path / "config.py")
        assert_passed(own_process.deterministic_in_own_process(device, file, tmp_path / "runs"), 2)
        return
    try:
        assert_passed(runs.deterministic(device, config, tmp_path / "runs"), 2)
    finally:
        torch.use_deterministic_algorithms(False)


def test_runs_that_differ_in_a_bit_are_noticed(config, tmp_path, monkeypatch):
    seeds = iter(range(100))
    for module in (loop, optimization):
        monkeypatch.setattr(module, "seed_torch", lambda *_, **__: torch.manual_seed(next(seeds)))
    try:
        checks = list(runs.deterministic(CPU, config, tmp_path / "runs"))
    finally:
        torch.use_deterministic_algorithms(False)
    assert not any(check.passed for check in checks)


def test_a_process_group_of_one(config, tmp_path, monkeypatch):
    run = runs.on_device(config, CPU, tmp_path, own_process.WITHOUT_GROUP, epochs=1)
    runs.run_training(run)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for name, value in {"RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("signal.signal", lambda *_: None)  # it is for a process of its own
    with process_group():
        assert not torch.distributed.is_initialized()
    with process_group(single=True):
        assert_passed(own_process.group_of_one(CPU, config, tmp_path), 6)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["cpu"])
def test_torchrun_of_one_process(where, config, tmp_path):
    file = write_config(config, tmp_path / "config.py")
    assert_passed(own_process.by_torchrun(torch.device(where), file, tmp_path / "runs"), 7)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_torchrun_of_one_process_with_nccl(config, tmp_path):
    file = write_config(config, tmp_path / "config.py")
    assert_passed(own_process.by_torchrun(torch.device("cuda"), file, tmp_path / "runs"), 7)


def test_no_step_waits_for_the_device(device):
    small = {"networks": ["lipinc"], "clips": 2, "steps": 2} if device.type == "cpu" else {}
    assert_passed(waiting.host_waits(device, size(device), **small), 1)


def test_a_step_that_waits_for_the_device_is_noticed(monkeypatch):
    loss = loop.total_loss

    def waits(inputs):
        found = loss(inputs)
        assert found["total"].item() > 0
        return found

    monkeypatch.setattr(loop, "total_loss", waits)
    (check,) = waiting.host_waits(CPU, TINY_V1, networks=["lipinc"], clips=2, steps=2)
    assert check.error == 1 and not check.passed


def test_how_busy_the_device_is(device):
    options = {"networks": ["lipinc"], "precisions": ["float32"], "batches": [2], "steps": 1}
    (found,) = figures(waiting.busy_share(device, TINY_V1, **options)).values()
    assert 0 < found["busy share"] <= 1
    assert found["operations per step"] > 10


def test_busy_share_of_a_trace():
    events = [
        {"cat": "kernel", "name": "a", "ts": 0, "dur": 100},
        {"cat": "kernel", "name": "b", "ts": 50, "dur": 100},
        {"cat": "gpu_memcpy", "name": "Memcpy DtoH (Device -> Pageable)", "ts": 400, "dur": 50},
        {"cat": "cuda_runtime", "name": "cudaStreamSynchronize", "ts": 0, "dur": 1000},
        {"cat": "gpu_user_annotation", "name": "Optimizer.step", "ts": 0, "dur": 1000},
    ]
    found = waiting.figures_of(events, torch.device("cuda"), wall=400e-6, steps=2)
    assert found["busy share"] == pytest.approx(0.5)
    assert (found["waits per step"], found["copies to the host per step"]) == (0.5, 0.5)


def test_rates_of_a_device(device):
    small = {"side": 64, "megabytes": 1} if device.type == "cpu" else {}
    (found,) = figures(floors.rates_measurement(floors.measure_rates(device, **small))).values()
    assert len(found) == 5 and all(value > 0 for value in found.values())


def test_operations_and_bytes_of_a_step():
    """Against counts by hand, of V1's two largest layers at its published size; with twice the values, twice of all."""
    work = work_of_training(network_config("lipinc", inconsistency=False), CPU)
    mouths = 64 * 144 * (8 + 7)
    convolution = 2 * 3 * 27 * 8 * mouths  # forward; the gradient of the weights takes as much, pixels need none
    assert work.convolutions == pytest.approx(2 * convolution, rel=0.2)
    dense = 2 * 192 * 8 * 32 * 72 * (4 + 3) + 2 * (128 * 4096 + 4096 * 4096 + 4096 * 2)
    assert work.products == pytest.approx(3 * dense, rel=0.02)
    weights = 42_191_042
    assert work.fixed_bytes >= 8 * 4 * weights
    assert work.clip_bytes > 2 * 4 * 8 * mouths  # the convolutions' outputs alone
    assert work.seconds_of_bytes(RATES, 10) == pytest.approx((work.fixed_bytes + 10 * work.clip_bytes) / 1e11)
    both = work.products + work.convolutions
    assert work.seconds_of_operations(RATES, 10, bf16=True) == pytest.approx(10 * both / 4e12)
    assert work.seconds_of_operations(RATES, 10, bf16=False) == pytest.approx(
        10 * (work.products / 1e12 + work.convolutions / 2e12)
    )


def test_rates_of_training(device):
    trained = {}
    options = {"networks": ["lipinc"], "batches": (4, speed.LARGEST), "seconds": 0.01, "first": 4, "limit": 8}
    found = figures(speed.training_rates(device, RATES, TINY_V1, precisions=["float32"], found=trained, **options))
    assert list(found) == [
        f"lipinc, float32, {loss} inconsistency loss, batch {batch}"
        for loss in ("with", "without")
        for batch in (4, "largest")
    ]
    assert trained == {name: one["clips/s"] for name, one in found.items()}
    assert all(one["/ operations"] > 0 and one["/ bytes"] > 0 and one["peak GB"] > 0 for one in found.values())


def test_rates_of_training_compiled_or_why_not(monkeypatch):
    options = {"networks": ["lipinc"], "losses": [False], "batches": (4,), "seconds": 0.01}
    monkeypatch.setattr(loop, "COMPILER", "eager")
    trained = {}
    (found,) = speed.training_rates(CPU, RATES, TINY_V1, precisions=["compiled"], found=trained, **options)
    assert list(trained) == [found.name] and not found.note

    def fails(*_):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch._dynamo, "lookup_backend", lambda _: fails)
    trained = {}
    (found,) = speed.training_rates(CPU, RATES, TINY_V1, precisions=["compiled"], found=trained, **options)
    assert "no compiler" in found.note and not trained  # it is no rate of a compiled network


def test_the_largest_batch_is_the_last_that_fits(monkeypatch):
    tried = []

    def out_of_memory_beyond_16(self, batch, steps):
        tried.append(len(batch.labels))
        if tried[-1] > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 0.1

    monkeypatch.setattr(speed.Trainer, "seconds", out_of_memory_beyond_16)
    trainer = speed.make_trainer("lipinc", CPU, TINY_V1, inconsistency=False, precision="float32")
    assert speed.largest_batch(trainer, first=4, limit=1024) == (16, "out of memory")
    assert tried == [4, 8, 16, 32]
    assert speed.largest_batch(trainer, first=32, limit=1024) == (None, "out of memory")


def test_the_loader_on_a_large_cache(device, tmp_path):
    found = figures(
        loading.loader_rates(
            device,
            tmp_path,
            TINY_V1,
            videos=120,
            workers=(0, 1),
            batch=2,
            seconds=0.05,
            trained={"a": 10.0},
            networks=["lipinc"],
        )
    )
    assert len(found) == 1 + 2 * 2 + 2
    assert all(one["clips/s"] > 0 for one in found.values())
    assert len({file.stat().st_ino for file in tmp_path.rglob("*.safetensors")}) == 100


def test_rates_of_detection(device):
    found = figures(speed.detection_rates(device, RATES, batches=(1, 2), seconds=0.01))
    assert len(found) == 4 and all(one["clips/s"] > 0 for one in found.values())
    assert "mouth_noise, 1 at once (like detect.py)" in found


def sections_of(*functions, **options) -> list[Section]:
    return [Section(f.__name__, f, options.get("seconds", 5.0), correctness=True) for f in functions]


def test_sections_are_isolated_and_timed_and_kept_after_each(capsys):
    def passes():
        yield exact("fine", True)

    def breaks():
        yield exact("before", True)
        raise ValueError("broken\nbadly")

    def hangs():
        yield exact("before", True)
        try:
            while True:
                pass
        except Exception:  # noqa: BLE001 - what a library may do
            yield exact("not reached", False)

    kept = []
    sections = sections_of(passes, breaks, passes) + sections_of(hangs, seconds=0.2)
    sections.append(replace(sections[0], blocked="no cache"))
    results = run_sections(sections, seconds=60, save=lambda found: kept.append([one.status for one in found]))
    assert [one.status for one in results] == [
        "done", "failed: ValueError: broken badly", "done", "stopped: its 0 s are used up", "skipped: no cache",
    ]  # fmt: skip
    assert [one.failed for one in results] == [False, True, False, False, False]
    assert [len(one.outcomes) for one in results] == [1, 1, 1, 1, 0]
    assert kept[0] == ["running"] and kept[3] == ["done", results[1].status]
    late = run_sections(sections_of(passes), seconds=1.0, save=lambda _: None)
    assert late[0].status == "skipped: the 1 s of the whole check are used up"
    assert not issubclass(OutOfTime, Exception)


def test_the_report(tmp_path):
    def section():
        yield Check("right", 1e-9, 1e-6)
        yield Check("wrong", float("nan"), 1e-6)
        yield Measurement("speed", {"clips/s": 12345.6, "absent": None})

    results = run_sections(sections_of(section), seconds=60, save=lambda _: None)
    about = report.environment(CPU, ["mediapipe"])
    report.write(tmp_path / "out" / "figures.json", about, results)
    stored = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert stored["missing"] == ["mediapipe"] and {"date", "command", "versions", "cuda", "device"} <= stored.keys()
    outcomes = stored["sections"][0]["outcomes"]
    assert [one["status"] for one in outcomes] == ["ok", "FAILED", "measured"]
    assert outcomes[1]["error"] is None and outcomes[2]["figures"]["clips/s"] == 12345.6
    table = report.table(about, results)
    assert "clips/s 12346" in table and "absent" not in table
    assert table.splitlines()[-1].startswith("1 of 2 checks passed; sections: 1 failed, 0 of 1 incomplete")


def test_every_requirement_is_looked_for():
    assert set(requirements.required()) == set(requirements.PACKAGES)


def test_missing_packages_are_named(monkeypatch, capsys):
    monkeypatch.setitem(requirements.PACKAGES, "mediapipe", requirements.Package("no_such_module", "extraction"))
    assert requirements.missing() == ["mediapipe"]
    package = requirements.Package("no_such_module", "configs", essential=True)
    monkeypatch.setitem(requirements.PACKAGES, "tyro", package)
    with pytest.raises(SystemExit) as end:
        gpu_check.check_packages()
    assert end.value.code == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[:2] == ["missing: mediapipe (needed by: extraction)", "missing: tyro (needed by: configs)"]
    assert errors[2].startswith("error: the GPU check cannot run without tyro")


@pytest.mark.filterwarnings("ignore:.*found in sys.modules after import of package:RuntimeWarning")
def test_the_command_without_cuda_says_so_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_check"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("benchmarks.gpu_check", run_name="__main__")
    assert end.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("missing: ")]
    assert lines == ["error: the GPU check needs a CUDA device, and torch finds none"]


@pytest.mark.slow
def test_the_command_without_a_package_names_it(tmp_path):
    (tmp_path / "tyro.py").write_text("raise ModuleNotFoundError(name='tyro')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--probe", "True"]
    ended = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert ended.returncode == 2
    assert any(line.startswith("missing: tyro (") for line in ended.stderr.splitlines())
    assert ended.stderr.splitlines()[-1] == "error: the GPU check cannot run without tyro: install or copy them"


def test_the_shipped_experiment_has_a_small_cache():
    """Two windows per video without residues, not in the place of the cache of `make demo`."""
    config = load_config(REPOSITORY / gpu_check.Arguments.config)
    demo = load_config("demo")
    assert (config.sampling.windows, config.cache.residues) == (2, False)
    assert config.cache.path != demo.cache.path and config.data == demo.data
    assert Cache.of(config).settings["mouth"] == Cache.of(demo).settings["mouth"]


def test_the_plan(config, tmp_path):
    """Sections are in it for all that the check promises; those that train say how to make the cache if it is gone."""
    file = write_config(config, tmp_path / "config.py")
    sections = plan.sections(CPU, file, tmp_path, [])
    names = [section.name for section in sections]
    assert len(set(names)) == len(names) == 17
    assert not any(section.blocked for section in sections)
    gone = write_config(replace(config, cache=replace(config.cache, path=str(tmp_path / "no"))), file)
    blocked = {section.name for section in plan.sections(CPU, gone, tmp_path, []) if "lipinc demo" in section.blocked}
    assert blocked == {"bf16", "resume", "checkpoints across devices", "deterministic", "torchrun"}
    blocked = {section.name for section in plan.sections(CPU, file, tmp_path, ["numba"]) if section.blocked}
    assert {"networks", "inconsistency loss", "resume"} <= blocked and "training" not in blocked


@pytest.mark.slow
def test_the_command_runs_sections_writes_figures_and_prints_the_table_last(config, tmp_path, monkeypatch, capsys):
    """All of the command but the device, which is the CPU here."""
    monkeypatch.setattr(gpu_check, "find_device", lambda: CPU)
    file, out = write_config(config, tmp_path / "config.py"), tmp_path / "figures.json"
    arguments = ["--config", str(file), "--out", str(out), "--only"]
    assert gpu_check.main(["--probe", "True"]) == 0
    assert gpu_check.main([*arguments, "resume"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "2 of 2 checks passed; sections: 0 failed, 0 of 1 incomplete"
    assert [one["section"] for one in json.loads(out.read_text())["sections"]] == ["resume"]
    monkeypatch.setattr(runs, "max_difference", lambda *_: 1.0)
    assert gpu_check.main([*arguments, "resume"]) == 1
    with pytest.raises(UserError, match="choose from device rates, inconsistency loss"):
        gpu_check.main([*arguments, "no such section"])


def test_settings_of_torch_are_left_as_they_were():
    assert not torch.are_deterministic_algorithms_enabled()
    assert os.environ.get("WORLD_SIZE") is None
    assert TrainConfig().amp
