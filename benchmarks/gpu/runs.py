"""Does a training run on a device come out as it should: in bf16, resumed, moved to another device and back?

All runs are of one config on one finished cache, for the GPU check that of the demo corpus.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from benchmarks.gpu.cases import exact_float32, quiet
from benchmarks.gpu.outcomes import Check, exact
from lipinc import training
from lipinc.checkpoint import load_checkpoint, load_state
from lipinc.config import Config, TrainConfig
from lipinc.data.cache import Cache, ManifestRow
from lipinc.data.measured import clips_for
from lipinc.data.selection import select
from lipinc.run import Run
from lipinc.training import predict, train

BF16 = 0.05
"""Tolerance of the relative difference between the last epochs' training losses in bf16 and in float32. With bf16
emulated on a CPU it was 0.006 on the demo corpus."""
REPEATED = 0.02
"""Tolerance of the relative difference of losses between two runs that differ by rounding alone."""
SCORES, SCORES_TF32 = 0.001, 0.05
"""Tolerances of the difference of a checkpoint's scores, over their spread: in exact float32, and as torch has it,
which convolves in TF32 on CUDA."""
CPU = torch.device("cpu")


def on(config: Config, device: torch.device, folder: Path, name: str, **changes) -> Config:
    """The config, to be trained on a device under a folder."""
    train = replace(config.train, device=device.type, **{"compile": False, **changes})
    return replace(config, name=name, output=str(folder), train=train)


def run_training(config: Config, *, resume: bool = False) -> list[dict]:
    """Train without any output; returns the history."""
    cache = Cache.of(config)
    _, _, rows = select(cache, config)
    with quiet():
        return train(config, cache, rows, Run.open(config, resume=resume))


def losses(history: list[dict]) -> np.ndarray:
    """(epochs, 2): losses of training and validation."""
    return np.array([[row["train_loss"], row["validation_loss"]] for row in history])


def difference(mine: list[dict], expected: list[dict]) -> float:
    """Largest relative difference of the losses of two histories."""
    if len(mine) != len(expected):
        return float("inf")
    return float(np.max(np.abs(losses(mine) - losses(expected)) / np.abs(losses(expected))))


def weights(config: Config) -> dict[str, torch.Tensor]:
    """The weights that a run ended with."""
    return load_state(Run(Path(config.output, config.name)).last)["model"]


def bf16_against_float32(
    device: torch.device, config: Config, folder: Path, *, epochs: int = 6, tolerance: float = BF16
) -> Iterator[Check]:
    """Training in bf16 reaches the loss of float32, and both learn. Off CUDA the autocast of training is forced, which
    torch 2.14 crashes at for V1 on a CPU: its 3D convolutions have no working gradient in bf16 there."""
    history = {}
    for amp in (False, True):
        one = on(config, device, folder, "bf16" if amp else "float32", amp=amp, epochs=epochs, patience=epochs)
        forced = device.type != "cuda" and mock.patch.object(training, "_autocast", _autocast_anywhere)
        with forced or nullcontext():
            history[amp] = run_training(one)
    plain, mixed = (history[amp][-1]["train_loss"] for amp in (False, True))
    figures = {"float32 loss": plain, "bf16 loss": mixed}
    note = f"{mixed:.4f} and {plain:.4f} after {epochs} epochs"
    yield Check("bf16 training reaches the loss of float32", abs(mixed - plain) / plain, tolerance, note, figures)
    for amp, name in ((False, "float32"), (True, "bf16")):
        first, last = history[amp][0]["train_loss"], history[amp][-1]["train_loss"]
        yield exact(f"training in {name} lowers the loss", last < first, f"{first:.4f} to {last:.4f}")


def _autocast_anywhere(config: TrainConfig, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=config.amp)


def resumed(device: torch.device, config: Config, folder: Path, *, tolerance: float = REPEATED) -> Iterator[Check]:
    """--resume auto: interrupted after one epoch, a run ends as an uninterrupted one."""
    whole = on(config, device, folder, "whole", epochs=2)
    parts = on(config, device, folder, "parts", epochs=1)
    expected = run_training(whole)
    first = run_training(parts)
    found = run_training(replace(parts, train=replace(parts.train, epochs=2)), resume=True)
    note = "losses of two epochs; atomic additions may differ from run to run"
    yield Check("--resume auto ends as an uninterrupted run", difference(found, expected), tolerance, note)
    yield exact(
        "--resume auto keeps the first epoch", found[:1] == first, f"training loss {first[0]['train_loss']:.4f}"
    )


def _scores(config: Config, cache: Cache, rows: list[ManifestRow], device: torch.device) -> torch.Tensor:
    """Of some videos by the best checkpoint of a run, on a device."""
    model = load_checkpoint(Run(Path(config.output, config.name)).best, device).model
    with quiet():
        predictions, _ = predict(
            model, clips_for(model, cache, rows, device), config.train, device, description="scores"
        )
    return torch.from_numpy(np.asarray(predictions.score))


def checkpoints_across_devices(device: torch.device, config: Config, folder: Path) -> Iterator[Check]:
    """A checkpoint trained on the device scores the same on the CPU, one trained on the CPU the same on the device,
    and a run begun on the device goes on on the CPU."""
    cache = Cache.of(config)
    rows = select(cache, config)[2]["validation"]
    for trained_on, name in ((device, f"trained on {device.type}"), (CPU, "trained on the CPU")):
        one = on(config, trained_on, folder, name.replace(" ", "_"), epochs=1)
        run_training(one)
        for precision, tolerance in ((exact_float32, SCORES), (nullcontext, SCORES_TF32)):
            with precision():
                mine, expected = (_scores(one, cache, rows, place) for place in (device, CPU))
            spread = (expected - expected.mean()).norm().clamp_min(1e-12)
            error = ((mine - expected).norm() / spread).item()
            how = "exact float32" if precision is exact_float32 else "float32 as torch has it"
            note = f"scores on {device.type} against the CPU over their spread, {spread:.2g}"
            yield Check(f"checkpoint {name}, {how}", error, tolerance, note)
    moved = on(config, CPU, folder, f"trained_on_{device.type}", epochs=2)
    history = run_training(moved, resume=True)
    finite = len(history) == 2 and bool(np.isfinite(losses(history)).all())
    yield exact(f"a run begun on {device.type} goes on on the CPU", finite)
