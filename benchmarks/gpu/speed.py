"""Clips a second that are trained on, beside the floors, with the peak of memory. The loop is that of training."""

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from benchmarks.gpu.cases import NETWORKS, RepeatedBatch, experiment, quiet, random_clips, warnings_of_training
from benchmarks.gpu.floors import Rates, Work, work_of_training
from benchmarks.gpu.outcomes import Measurement
from benchmarks.memory import peak_memory
from lipinc import training
from lipinc.checkpoint import model_for
from lipinc.config import Config, TrainConfig
from lipinc.data.dataset import Batch
from lipinc.errors import named

Precision = Literal["float32", "bf16", "compiled"]
LARGEST = 0
"""Stands for the largest batch that fits."""


@dataclass
class Trainer:
    """A network in training with its optimizer."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    config: Config
    device: torch.device

    def seconds(self, batch: Batch, steps: int) -> float:
        """Of so many steps of `train_one_epoch` on one batch."""
        started = time.perf_counter()
        with quiet():
            training.train_one_epoch(
                self.model, RepeatedBatch(batch, steps), self.optimizer, self.config, epoch=1, device=self.device
            )
        return time.perf_counter() - started  # its last step has waited for the device

    def free(self) -> None:
        """Forget what the last steps left in memory."""
        self.optimizer.zero_grad(set_to_none=True)
        release(self.device)


def trainer(network: str, device: torch.device, *, inconsistency: bool, precision: Precision, **size: int) -> Trainer:
    """A fresh one. size: height, width, hidden."""
    settings = TrainConfig(device=device.type, amp=precision != "float32")
    config = experiment(network, inconsistency=inconsistency, train=settings, **size)
    torch.manual_seed(0)
    model = model_for(config).to(device)
    if precision == "compiled":
        torch.compiler.reset()
        model.compile(backend=training._compiled_or_as_it_is)
    return Trainer(model, training.make_optimizer(model, settings), config, device)


def training_rates(
    device: torch.device,
    rates: Rates,
    *,
    precisions: Sequence[Precision] = ("bf16", "float32"),
    networks: Sequence[str] = NETWORKS,
    losses: Sequence[bool] = (True, False),
    batches: Sequence[int] = (256, 32, LARGEST),
    seconds: float = 0.7,
    first: int = 512,
    limit: int = 8192,
    found: dict[str, float] | None = None,
    **size: int,
) -> Iterator[Measurement]:
    """Of each network with and without the inconsistency loss, in each precision and at each batch.

    Args:
        losses: with the inconsistency loss, without it, or both.
        seconds: how long a case is timed.
        first, limit: the smallest and the largest batch that are tried as the largest.
        found: gets the clips a second of each case by its name.
        size: height, width and hidden of the networks.
    """
    for precision in precisions:
        for network in networks:
            for inconsistency in losses:
                yield from _cases(
                    device, rates, network, inconsistency, precision, batches, seconds, first, limit, found, size
                )


def case_name(network: str, batch: int | str, inconsistency: bool, precision: Precision) -> str:
    """A case as the table names it."""
    return f"{network}, {precision}, {'with' if inconsistency else 'without'} inconsistency loss, batch {batch}"


def _cases(
    device: torch.device,
    rates: Rates,
    network: str,
    inconsistency: bool,
    precision: Precision,
    batches: Sequence[int],
    seconds: float,
    first: int,
    limit: int,
    found: dict[str, float] | None,
    size: dict[str, int],
) -> Iterator[Measurement]:
    """The cases of one network, at each batch."""
    one = trainer(network, device, inconsistency=inconsistency, precision=precision, **size)
    work = work_of_training(one.config, device)
    for batch in batches:
        largest = batch == LARGEST
        clips, reason = largest_batch(one, first=first, limit=limit, size=size) if largest else (batch, "")
        name = case_name(network, "largest" if largest else clips, inconsistency, precision)
        if clips is None:
            yield Measurement(name, {}, f"not even {first} clips: {reason}")
            continue
        note = f"{clips} clips, then {reason}" if largest else ""
        yield measure(one, name, clips, work, rates, seconds, note, found, size)
    one.free()


def measure(
    one: Trainer,
    name: str,
    clips: int,
    work: Work,
    rates: Rates,
    seconds: float,
    note: str,
    found: dict[str, float] | None,
    size: dict[str, int],
) -> Measurement:
    """Clips a second of one case, after steps that warm up and compile."""
    batch = _on_host(clips, one.device, size)
    with warnings_of_training() as fallbacks:
        began = time.perf_counter()
        one.seconds(batch, 3)
        warm_up = time.perf_counter() - began
        if one.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(one.device)
        step = one.seconds(batch, 3) / 3
        steps = int(min(max(seconds / step, 5), 200))
        step = one.seconds(batch, steps) / steps
    figures = {
        "clips/s": clips / step,
        "ms a step": 1000 * step,
        "/ operations": step / work.seconds_of_operations(rates, clips, bf16=one.config.train.amp),
        "/ bytes": step / work.seconds_of_bytes(rates, clips),
        "peak GB": peak_gigabytes(one.device),
        "warm-up s": warm_up,
    }
    if found is not None and not fallbacks:
        found[name] = clips / step
    return Measurement(name, figures, "; ".join([note, *fallbacks]).strip("; "))


def largest_batch(one: Trainer, *, first: int, limit: int, size: dict[str, int]) -> tuple[int | None, str]:
    """The last of first, twice that, ... that two steps run with, None if the first does not; and what ends it."""
    fits, clips, reason = None, first, "no larger one was tried"
    while clips <= limit:
        one.free()
        try:
            one.seconds(_on_host(clips, one.device, size), 2)
        except torch.OutOfMemoryError:
            reason = "out of memory"
            break
        except RuntimeError as error:  # more elements than an operation can count, for example
            reason = named(error)[:200]
            break
        fits, clips = clips, 2 * clips
    one.free()  # here, not in the handlers: their tracebacks hold the tensors of the step
    return fits, reason


def release(device: torch.device) -> None:
    """Give memory that nothing uses back to the device."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()


def peak_gigabytes(device: torch.device) -> float:
    """Of memory: of the device since its statistics were reset, or of this process."""
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else peak_memory() / 1e3


def _on_host(clips: int, device: torch.device, size: dict[str, int]) -> Batch:
    """A batch as the loader hands it over: on the host, pinned for CUDA."""
    batch = random_clips(clips, **{name: value for name, value in size.items() if name != "hidden"})
    return batch.pin_memory() if device.type == "cuda" else batch
