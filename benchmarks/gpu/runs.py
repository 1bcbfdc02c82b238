"""Training runs: do they give on a device what they should, in bf16, resumed, deterministic, moved to another device?

All runs are of one config on one finished cache; in the GPU check that of benchmarks/gpu/experiment.py.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from benchmarks.gpu.cases import exact_float32, quiet
from benchmarks.gpu.sections import Check, exact
from lipinc.batches.feature_dataset import dataset_for
from lipinc.cache.manifest import ManifestRow
from lipinc.cache.selection import select
from lipinc.cache.store import Cache
from lipinc.config import Config, TrainConfig
from lipinc.evaluation.scoring import predict
from lipinc.models.checkpoint import load_checkpoint, load_state
from lipinc.models.device import choose_device
from lipinc.models.registry import build_model
from lipinc.training import loop, optimization
from lipinc.training.run_folder import Run

BF16 = 0.05
"""Tolerance of the relative difference between the last training losses in bf16 and in float32."""
REPEATED = 0.02
"""Tolerance of the relative difference of losses between two runs that differ by rounding errors alone."""
SCORES, SCORES_TF32 = 0.001, 0.05
"""Tolerances of the difference of a checkpoint's scores, relative to their spread: in exact float32, and in torch's
default, which convolves in TF32 on CUDA."""
WARNING_MARKS = ("deterministic", "CUBLAS_WORKSPACE_CONFIG")
"""A warning that contains one of these is about an operation without a deterministic kernel."""
CPU = torch.device("cpu")


def on_device(config: Config, device: torch.device, folder: Path, name: str, **changes) -> Config:
    """The config of a run on a device, in a folder. changes: of the training settings."""
    train = replace(config.train, device=device.type, **{"compile": False, **changes})
    return replace(config, name=name, output=str(folder), train=train)


def run_training(config: Config, *, resume: bool = False) -> list[dict]:
    """Train as lipinc.experiment does, without any output; returns the history."""
    device = choose_device(config.train.device)
    if config.train.deterministic:
        optimization.use_deterministic_kernels(device)
    cache = Cache.of(config)
    rows = select(cache, config.data, config.split, ("train", "validation")).rows
    run = Run.open(config, resume=resume)
    optimization.seed_torch(config.train, epoch=0)
    model = build_model(config).to(device)
    with quiet():
        return loop.fit(model, config, cache, rows, run, device)


def losses(history: list[dict]) -> np.ndarray:
    """(epochs, 2): losses of training and validation."""
    return np.array([[float(row["train_loss"]), float(row["validation_loss"])] for row in history])


def max_difference(found: list[dict], expected: list[dict]) -> float:
    """Largest relative difference between the losses of two histories."""
    if len(found) != len(expected):
        return float("inf")
    return float(np.max(np.abs(losses(found) - losses(expected)) / np.abs(losses(expected))))


def bf16_against_float32(
    device: torch.device, config: Config, folder: Path, *, epochs: int = 6, tolerance: float = BF16
) -> Iterator[Check]:
    """Training in bf16 reaches the loss of float32, and both learn.

    Autocast is forced on the CPU too. V1 cannot be checked there: torch 2.14 crashes in the gradient of 3D convolutions
    in bf16 on a CPU, at some sizes.
    """
    history = {}
    for amp in (False, True):
        run = on_device(config, device, folder, "bf16" if amp else "float32", amp=amp, epochs=epochs, patience=epochs)
        forced = device.type != "cuda" and mock.patch.object(loop, "_autocast", _autocast_everywhere)
        with forced or nullcontext():
            history[amp] = run_training(run)
    plain, mixed = (history[amp][-1]["train_loss"] for amp in (False, True))
    figures = {"float32 loss": plain, "bf16 loss": mixed}
    note = f"{mixed:.4f} and {plain:.4f} after {epochs} epochs"
    yield Check("bf16 training reaches the loss of float32", abs(mixed - plain) / plain, tolerance, note, figures)
    for amp, name in ((False, "float32"), (True, "bf16")):
        first, last = history[amp][0]["train_loss"], history[amp][-1]["train_loss"]
        yield exact(f"training in {name} lowers the loss", last < first, f"{first:.4f} to {last:.4f}")


def _autocast_everywhere(config: TrainConfig, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=config.amp)


def resumed(device: torch.device, config: Config, folder: Path, *, tolerance: float = REPEATED) -> Iterator[Check]:
    """--resume auto: a run interrupted after one epoch ends like an uninterrupted run."""
    whole = on_device(config, device, folder, "whole", epochs=2)
    parts = on_device(config, device, folder, "parts", epochs=1)
    expected = run_training(whole)
    first = run_training(parts)
    found = run_training(replace(parts, train=replace(parts.train, epochs=2)), resume=True)
    note = "losses of two epochs; atomic additions may differ between runs"
    yield Check("--resume auto ends like an uninterrupted run", max_difference(found, expected), tolerance, note)
    note = f"training loss {first[0]['train_loss']:.4f}"
    yield exact("--resume auto keeps the first epoch", found[:1] == first, note)


def deterministic(device: torch.device, config: Config, folder: Path) -> Iterator[Check]:
    """train.deterministic: two runs, and one interrupted after its first epoch, have bit-identical weights.

    Leaves torch in deterministic mode. On CUDA it must run in a process of its own (own_process.py).
    """
    runs = [on_device(config, device, folder, f"run_{number}", epochs=2, deterministic=True) for number in range(3)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        histories = [run_training(run) for run in runs[:2]]
        run_training(replace(runs[2], train=replace(runs[2].train, epochs=1)))
        histories.append(run_training(runs[2], resume=True))
    messages = [str(warning.message) for warning in caught]
    operations = sorted({_first_words(text) for text in messages if any(mark in text for mark in WARNING_MARKS)})
    note = f"warnings: {'; '.join(operations)}" if operations else "no operation warns"
    for number, name in ((1, "two runs"), (2, "an interrupted and an uninterrupted run")):
        expected, found = _last_weights(runs[0]), _last_weights(runs[number])
        unequal = sum(not torch.equal(found[key], expected[key]) for key in expected)
        figures = {"relative difference of losses": max_difference(histories[number], histories[0])}
        title = f"{config.model.name}, deterministic: tensors that differ between {name}"
        yield Check(title, unequal, 0, note, figures)


def _last_weights(config: Config) -> dict[str, torch.Tensor]:
    return load_state(Run(Path(config.output, config.name)).last)["model"]


def _first_words(message: str) -> str:
    """The start of a warning, which names the operation."""
    return " ".join(message.split()[:10])


def checkpoints_across_devices(device: torch.device, config: Config, folder: Path) -> Iterator[Check]:
    """A checkpoint trained on the device or on the CPU has the same scores on both, and a run started on the device
    continues on the CPU."""
    rows = select(Cache.of(config), config.data, config.split, ("train", "validation")).rows["validation"]
    for trained_on, name in ((device, f"trained on {device.type}"), (CPU, "trained on the CPU")):
        run = on_device(config, trained_on, folder, name.replace(" ", "_"), epochs=1)
        run_training(run)
        for precision, tolerance in ((exact_float32, SCORES), (nullcontext, SCORES_TF32)):
            with precision():
                found, expected = (_scores(run, rows, place) for place in (device, CPU))
            spread = (expected - expected.mean()).norm().clamp_min(1e-12)
            error = ((found - expected).norm() / spread).item()
            title = "exact float32" if precision is exact_float32 else "torch's default float32"
            note = f"scores on {device.type} against the CPU, relative to their spread of {spread:.2g}"
            yield Check(f"checkpoint {name}, {title}", error, tolerance, note)
    moved = on_device(config, CPU, folder, f"trained_on_{device.type}", epochs=2)
    history = run_training(moved, resume=True)
    finite = len(history) == 2 and bool(np.isfinite(losses(history)).all())
    yield exact(f"a run started on {device.type} continues on the CPU", finite)


def _scores(config: Config, rows: Sequence[ManifestRow], device: torch.device) -> torch.Tensor:
    """Scores of some videos by the best checkpoint of a run, computed on a device."""
    model = load_checkpoint(Run(Path(config.output, config.name)).best, device).model
    dataset = dataset_for(model, Cache.of(config), rows, device)
    with quiet():
        predictions, _ = predict(model, dataset, config.train, device, description="scores")
    return torch.from_numpy(np.asarray(predictions.score))
