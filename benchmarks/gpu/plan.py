"""The sections of the GPU check in their order: correctness first, then the figures most asked for."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.gpu import (
    determinism,
    floors,
    loading,
    numerics,
    process_group,
    runs,
    scoring,
    speed,
    waiting,
)
from benchmarks.gpu.outcomes import Outcome
from benchmarks.gpu.sections import Section
from lipinc.config import REPOSITORY, Config, load_config
from lipinc.data.cache import Cache


def sections(device: torch.device, config_file: Path, folder: Path, absent: list[str]) -> list[Section]:
    """All of them.

    Args:
        config_file: of the runs that train, on its cache.
        folder: for what the sections write.
        absent: distributions of requirements.txt that are not installed.
    """
    config_file = config_file if config_file.is_absolute() else REPOSITORY / config_file
    config = load_config(config_file)
    cache = Path(REPOSITORY, config.cache.path)  # an absolute path stays
    config = replace(config, cache=replace(config.cache, path=str(cache)))
    no_numba = "needs numba on the CPU" if "numba" in absent else ""
    no_cache = (
        no_numba
        if Cache.of(config).manifest_file.exists()
        else (
            f"no cache in {cache}: make it by python -m lipinc.demo --out data/demo && "
            "python preprocess_extract_lips.py --config configs/demo.py"
        )
    )
    short = replace(config, train=replace(config.train, clips_per_epoch=64))
    measured: list[floors.Rates] = []
    trained: dict[str, float] = {}

    def rates() -> Iterator[Outcome]:
        measured.append(floors.measure_rates(device))
        yield from floors.rates_measurement(measured[0])

    def known_rates() -> floors.Rates:
        if not measured:
            measured.append(floors.measure_rates(device))
        return measured[0]

    def compiled_rates() -> Iterator[Outcome]:
        """The common batch of all cases first: compiling takes most of the time."""
        for batches in ((256,), (32, speed.LARGEST)):
            yield from speed.training_rates(
                device, known_rates(), precisions=("compiled",), batches=batches, found=trained
            )

    def v2_of(config: Config) -> Path:
        """A config file of the second network, for a process of its own."""
        return write_config(
            replace(config, model=replace(config.model, name="lipinc_v2"), loss=replace(config.loss, features="full")),
            folder / "lipinc_v2.py",
        )

    def determinism_of_both() -> Iterator[Outcome]:
        file = write_config(short, folder / "lipinc.py")
        yield from determinism.in_own_process(device, file, folder / "deterministic_v1")
        yield from determinism.in_own_process(device, v2_of(short), folder / "deterministic_v2")

    def torchrun() -> Iterator[Outcome]:
        file = write_config(short, folder / "torchrun.py")
        yield from process_group.by_torchrun(device, short, file, folder / "torchrun")

    return [
        Section("device rates", rates, 15, correctness=False),
        Section("inconsistency loss", lambda: numerics.inconsistency(device), 20, True, no_numba),
        Section("networks", lambda: numerics.networks(device), 60, True, no_numba),
        Section("default detector", lambda: numerics.shipped_detector(device), 20, True),
        Section("bf16", lambda: runs.bf16_against_float32(device, config, folder / "bf16"), 30, True, no_cache),
        Section("resume", lambda: runs.resumed(device, short, folder / "resume"), 20, True, no_cache),
        Section(
            "checkpoints across devices",
            lambda: runs.checkpoints_across_devices(device, short, folder / "devices"),
            30,
            True,
            no_cache,
        ),
        Section("host waits", lambda: waiting.host_waits(device), 15, True),
        Section("deterministic", determinism_of_both, 50, True, no_cache),
        Section("torchrun", torchrun, 70, True, no_cache),
        Section("training", lambda: speed.training_rates(device, known_rates(), found=trained), 75, correctness=False),
        Section("device busy", lambda: waiting.busy_share(device), 20, correctness=False),
        Section("detection", lambda: scoring.detection_rates(device, known_rates()), 10, correctness=False),
        Section(
            "loader",
            lambda: loading.loader_rates(device, folder / "loader", trained=trained),
            50,
            correctness=False,
        ),
        Section("compile", lambda: numerics.compiled(device), 60, True, no_numba),
        Section(
            "training, compiled",
            compiled_rates,
            120,
            correctness=False,
        ),
        Section(
            "device busy, compiled",
            lambda: waiting.busy_share(device, precisions=("compiled",), batches=(256,)),
            30,
            correctness=False,
        ),
    ]


def write_config(config: Config, file: Path) -> Path:
    """The config as a file that the scripts take."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"from lipinc.config import *\nconfig = {config!r}\n")
    return file
