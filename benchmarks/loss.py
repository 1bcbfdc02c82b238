"""What does the inconsistency loss cost? Seconds of a training step with and without it.

    python -m benchmarks.loss

A step is forward, total loss, backward and Adam, on random clips of the published size. `cpu` is the time of all cores,
`wall` the clock's, `x` the ratio to the step of the same network without the loss; the cases of a network take turns,
step by step, so that whatever else the machine does meets all of them. `plain` is the same loss on the full maps,
written down plainly and left to autograd. Its turns come after all others: between them a step spends hardly any time
in the system, which clears the pages of new tensors, and in training it does.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import numpy as np
import torch
import tyro

from lipinc.config import LossConfig, TrainConfig
from lipinc.losses import inconsistency as losses
from lipinc.models import LIPINC, LIPINCV2
from lipinc.models.device import choose_device
from lipinc.training.optimization import make_optimizer
from benchmarks.plain_ssim import pairwise_ssim

CASES = {"lipinc": ("without", "pooled", "full"), "lipinc_v2": ("without", "full")}


@dataclass(frozen=True)
class Arguments:
    batch: int = 32
    """Clips a step."""
    repeats: int = 5
    """Steps timed of each case, after one that is not; the table has their medians."""
    networks: tuple[str, ...] = tuple(CASES)
    """Which of them."""
    device: str = "auto"
    """auto, cuda or cpu."""


def main(arguments: Arguments) -> None:
    """Print the table."""
    device = choose_device(TrainConfig(device=arguments.device))
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, batch {arguments.batch}")
    print(f"{'network':10s} {'inconsistency':14s} {'cpu':>8s} {'x':>6s} {'wall':>8s} {'x':>6s}")
    for network in arguments.networks:
        step = make_step(network, arguments, device)
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


def make_step(network: str, arguments: Arguments, device: torch.device) -> Callable[[str], None]:
    """A training step of a network, to be called with the case."""
    torch.manual_seed(0)
    model = {"lipinc": LIPINC, "lipinc_v2": LIPINCV2}[network](input_scale=1 / 255).to(device).train()
    optimizer = make_optimizer(model, TrainConfig())
    frames, residues = (
        torch.randint(256, (arguments.batch, time, 64, 144, 3), dtype=torch.uint8, device=device) for time in (8, 7)
    )
    labels = torch.arange(arguments.batch, device=device) % 2

    def step(case: str) -> None:
        if case == "without":
            logits, maps = model(frames, residues), None
        else:
            logits, maps = model(frames, residues, features="full" if case == "plain" else case)
        optimizer.zero_grad(set_to_none=True)
        ssim = (lambda maps: pairwise_ssim(maps).mean(dim=1)) if case == "plain" else losses.mean_ssim
        with mock.patch.object(losses, "mean_ssim", ssim):
            loss = losses.total_loss(logits, maps, labels, LossConfig(inconsistency=0.0 if maps is None else 5.0))
        loss.total.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
