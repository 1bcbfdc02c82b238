"""The sections of the GPU check in their order: correctness first, then the most important measurements."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import REPOSITORY
from benchmarks.command import write_config
from benchmarks.gpu import floors, loading, numerics, own_process, runs, speed, waiting
from benchmarks.gpu.sections import Outcome, Section
from lipinc.cache.store import Cache
from lipinc.config import Config, ModelConfig, load_config


def sections(device: torch.device, config_file: Path, folder: Path, missing: list[str]) -> list[Section]:
    """All sections.

    Args:
        config_file: experiment whose cache is trained on, absolute or relative to the repository.
        folder: for the files that the sections write.
        missing: distributions of requirements.txt that are not installed.
    """
    config = load_config(REPOSITORY / config_file)
    cache = REPOSITORY / config.cache.path
    config = replace(config, cache=replace(config.cache, path=str(cache)))
    no_numba = "needs numba on the CPU" if "numba" in missing else ""
    no_cache = no_numba
    if not Cache.of(config).manifest_file.exists():
        no_cache = (
            f"no cache in {cache}: run python -m lipinc demo --out data/demo && "
            f"python preprocess_extract_lips.py --config {config_file} here, or copy it from another machine"
        )
    short = replace(config, train=replace(config.train, clips_per_epoch=64))
    trained: dict[str, float] = {}
    measured: list[floors.Rates] = []

    def rates() -> floors.Rates:
        if not measured:
            measured.append(floors.measure_rates(device))
        return measured[0]

    def compiled_rates() -> Iterator[Outcome]:
        """The common batch size of all cases first, because compiling takes most of the time."""
        for batches in ((256,), (32, speed.LARGEST)):
            yield from speed.training_rates(device, rates(), precisions=("compiled",), batches=batches, found=trained)

    def deterministic() -> Iterator[Outcome]:
        for config in (short, second_network(short)):
            name = config.model.name
            file = write_config(config, folder / f"{name}.py")
            yield from own_process.deterministic_in_own_process(device, file, folder / f"deterministic_{name}")

    def torchrun() -> Iterator[Outcome]:
        file = write_config(short, folder / "torchrun.py")
        yield from own_process.by_torchrun(device, file, folder / "torchrun")

    def busy_compiled() -> Iterator[Outcome]:
        yield from waiting.busy_share(device, precisions=("compiled",), batches=(256,))

    correctness = [
        Section("inconsistency loss", lambda: numerics.inconsistency(device), 20, blocked=no_numba),
        Section("networks", lambda: numerics.networks(device), 60, blocked=no_numba),
        Section("default detector", lambda: numerics.default_detector(device), 20),
        Section("bf16", lambda: runs.bf16_against_float32(device, config, folder / "bf16"), 30, blocked=no_cache),
        Section("resume", lambda: runs.resumed(device, short, folder / "resume"), 20, blocked=no_cache),
        Section(
            "checkpoints across devices",
            lambda: runs.checkpoints_across_devices(device, short, folder / "devices"),
            30,
            blocked=no_cache,
        ),
        Section("host waits", lambda: waiting.host_waits(device), 15),
        Section("deterministic", deterministic, 50, blocked=no_cache),
        Section("torchrun", torchrun, 70, blocked=no_cache),
    ]
    compiles = Section("compile", lambda: numerics.compiled(device), 60, correctness=True, blocked=no_numba)
    return [
        Section("device rates", lambda: floors.rates_measurement(rates()), 15),
        *(replace(section, correctness=True) for section in correctness),
        Section("training", lambda: speed.training_rates(device, rates(), found=trained), 75),
        Section("device busy", lambda: waiting.busy_share(device), 20),
        Section("detection", lambda: speed.detection_rates(device, rates()), 10),
        Section("loader", lambda: loading.loader_rates(device, folder / "loader", trained=trained), 50),
        compiles,
        Section("training, compiled", compiled_rates, 120),
        Section("device busy, compiled", busy_compiled, 30),
    ]


def second_network(config: Config) -> Config:
    """The same experiment with LIPINC-V2, and the options that it shares with V1."""
    shared = ("hidden", "batch_norm_momentum", "input_scale", "pixels")
    options = {name: value for name, value in config.model.given.items() if name in shared}
    return replace(config, model=ModelConfig("lipinc_v2", **options))
