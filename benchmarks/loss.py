"""Cost of the inconsistency loss: seconds of a training step with and without it.

    python -m benchmarks.loss

A step is forward pass, total loss, backward pass and Adam, on random clips of the published size. `cpu` is the time of
all cores, `wall` the elapsed time, `x` the ratio to the step of the same network without the loss.

The cases of a network alternate step by step, so that other load on the machine affects all of them alike. `plain` is
the loss on the full maps by its definition (benchmarks/plain_ssim.py) and autograd. Its steps come after all others:
where they alternate, a step spends hardly any time on clearing the pages of new tensors, which it does in training.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import numpy as np
import torch

from benchmarks.command import run_benchmark
from benchmarks.plain_ssim import pairwise_ssim
from lipinc.config import Config, LossConfig, ModelConfig, TrainConfig
from lipinc.losses import inconsistency
from lipinc.losses.total import LossInputs, total_loss
from lipinc.models.device import choose_device
from lipinc.models.registry import build_model
from lipinc.training.optimization import make_optimizer

CASES = {"lipinc": ("without", "pooled", "full"), "lipinc_v2": ("without", "full")}
"""Network -> loss features to compare; `without`: no inconsistency loss."""


@dataclass(frozen=True)
class Arguments:
    """Cost of the inconsistency loss."""

    batch: int = 32
    """Clips per step."""
    repeats: int = 5
    """Timed steps of each case, after one that is not timed; the table has their medians."""
    networks: tuple[str, ...] = tuple(CASES)
    """Networks to measure."""
    device: str = "auto"
    """auto, cuda or cpu."""


def main(arguments: Arguments) -> None:
    """Print the table."""
    device = choose_device(arguments.device)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, batch {arguments.batch}")
    print(f"{'network':10s} {'inconsistency':14s} {'cpu':>8s} {'x':>6s} {'wall':>8s} {'x':>6s}")
    for network in arguments.networks:
        step = make_step(network, arguments.batch, device)
        seconds = {case: [] for case in (*CASES[network], "plain")}
        for cases in (CASES[network], ("plain",)):
            for repeat in range(1 + arguments.repeats):
                for case in cases:
                    started = time.process_time(), time.perf_counter()
                    step(case)
                    if repeat:
                        seconds[case].append((time.process_time() - started[0], time.perf_counter() - started[1]))
        medians = {case: np.median(durations, axis=0) for case, durations in seconds.items()}
        for case, (cpu, wall) in medians.items():
            cpu_ratio, wall_ratio = medians[case] / medians["without"]
            print(f"{network:10s} {case:14s} {cpu:8.3f} {cpu_ratio:6.2f} {wall:8.3f} {wall_ratio:6.2f}", flush=True)


def make_step(network: str, clips: int, device: torch.device) -> Callable[[str], None]:
    """A training step of a network, as a function of the case."""
    torch.manual_seed(0)
    model = build_model(Config(model=ModelConfig(network, input_scale=1 / 255))).to(device).train()
    optimizer = make_optimizer(model, TrainConfig())
    frames, residues = (
        torch.randint(256, (clips, count, 64, 144, 3), dtype=torch.uint8, device=device) for count in (8, 7)
    )
    labels = torch.arange(clips, device=device) % 2

    def step(case: str) -> None:
        if case == "without":
            logits, maps, config = model(frames, residues), None, LossConfig(inconsistency=0.0)
        else:
            model.loss_features = "pooled" if case == "pooled" else "full"  # lipinc_v2 has one kind, and ignores it
            (logits, maps), config = model(frames, residues, loss_features=True), LossConfig()
        optimizer.zero_grad(set_to_none=True)
        ssim = (lambda maps: pairwise_ssim(maps).mean(dim=1)) if case == "plain" else inconsistency.mean_ssim
        with mock.patch.object(inconsistency, "mean_ssim", ssim):
            loss = total_loss(LossInputs(logits, maps, labels, config))["total"]
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


if __name__ == "__main__":
    run_benchmark(main, Arguments, __spec__.name, __doc__)
