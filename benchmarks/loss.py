"""What does the inconsistency loss cost? Seconds of a training step with and without it.

    python -m benchmarks.loss

A step is forward, total loss, backward and Adam, on random clips of the published size. `x` is the ratio to the step of
the same network without the loss.
"""

import statistics
import time
from dataclasses import dataclass

import torch
import tyro

from lipinc.config import LossConfig, TrainConfig
from lipinc.losses import total_loss
from lipinc.models import LIPINC, LIPINCV2
from lipinc.training import choose_device, make_optimizer

CASES = (
    ("lipinc", "without"),
    ("lipinc", "pooled"),
    ("lipinc", "full"),
    ("lipinc_v2", "without"),
    ("lipinc_v2", "full"),
)


@dataclass(frozen=True)
class Arguments:
    batch: int = 32
    """Clips a step."""
    repeats: int = 3
    """Steps timed, after one that is not; the table has their median."""
    device: str = "auto"
    """auto, cuda or cpu."""


def main(arguments: Arguments) -> None:
    """Print the table."""
    device = choose_device(TrainConfig(device=arguments.device))
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, batch {arguments.batch}")
    print(f"{'network':10s} {'inconsistency':14s} {'s/step':>8s} {'x':>6s}")
    without = 0.0
    for network, features in CASES:
        seconds = step_seconds(network, features, arguments, device)
        if features == "without":
            without = seconds
        print(f"{network:10s} {features:14s} {seconds:8.3f} {seconds / without:6.2f}", flush=True)


def step_seconds(network: str, features: str, arguments: Arguments, device: torch.device) -> float:
    """Median time of a training step, in s."""
    torch.manual_seed(0)
    model = {"lipinc": LIPINC, "lipinc_v2": LIPINCV2}[network](input_scale=1 / 255).to(device).train()
    optimizer = make_optimizer(model, TrainConfig())
    frames, residues = (
        torch.randint(256, (arguments.batch, time, 64, 144, 3), dtype=torch.uint8, device=device) for time in (8, 7)
    )
    labels = torch.arange(arguments.batch, device=device) % 2
    config = LossConfig(inconsistency=0.0 if features == "without" else 5.0)

    def step() -> None:
        if features == "without":
            logits, maps = model(frames, residues), None
        else:
            logits, maps = model(frames, residues, features=features)
        optimizer.zero_grad(set_to_none=True)
        total_loss(logits, maps, labels, config).total.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    step()
    durations = []
    for _ in range(arguments.repeats):
        started = time.perf_counter()
        step()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
