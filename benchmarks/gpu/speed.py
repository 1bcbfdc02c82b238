"""Speed: clips per second of training and detection, relative to the floors, and peak memory.

Training runs the steps of the training loop on one batch. Detection scores windows that are already cut, from the host
and back.
"""

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from benchmarks.gpu.cases import (
    NETWORKS,
    PUBLISHED,
    RepeatedBatch,
    Size,
    loaded_clips,
    network_config,
    quiet,
    synchronize,
    training_warnings,
)
from benchmarks.gpu.floors import Rates, Work, work_of_detection, work_of_training
from benchmarks.gpu.sections import Measurement
from benchmarks.memory import peak_memory
from lipinc.batches.batch import ClipBatch
from lipinc.config import Config, TrainConfig
from lipinc.detection.detector import CLIPS_AT_ONCE
from lipinc.errors import one_line
from lipinc.models.checkpoint import DEFAULT_CHECKPOINT, load_checkpoint
from lipinc.models.registry import MouthModel, build_model
from lipinc.training import loop
from lipinc.training.optimization import make_optimizer
from lipinc.video.mouth import residues

Precision = Literal["float32", "bf16", "compiled"]
"""compiled: bf16 and torch.compile."""
LARGEST = 0
"""Stands for the largest batch that fits."""


@dataclass
class Trainer:
    """A model in training with its optimizer."""

    model: MouthModel
    optimizer: torch.optim.Optimizer
    config: Config
    size: Size
    device: torch.device

    def seconds(self, batch: ClipBatch, steps: int) -> float:
        """Seconds of some training steps on one batch."""
        train = replace(self.config.train, batch_size=len(batch.labels))
        started = time.perf_counter()
        with quiet():
            loop.train_one_epoch(
                self.model,
                RepeatedBatch(batch, steps),
                self.optimizer,
                train,
                self.config.loss,
                epoch=1,
                device=self.device,
            )
        return time.perf_counter() - started  # the last step has waited for the device

    def free(self) -> None:
        """Release the memory of the last steps."""
        self.optimizer.zero_grad(set_to_none=True)
        release(self.device)


def make_trainer(
    network: str, device: torch.device, size: Size, *, inconsistency: bool, precision: Precision
) -> Trainer:
    """A new model and its optimizer. inconsistency: with the inconsistency loss."""
    train = TrainConfig(device=device.type, amp=precision != "float32")
    config = network_config(network, size, inconsistency=inconsistency, train=train)
    torch.manual_seed(0)
    model = build_model(config).to(device)
    if precision == "compiled":
        torch.compiler.reset()
        model.compile(backend=loop._compile_or_fall_back)
    return Trainer(model, make_optimizer(model, train), config, size, device)


def training_rates(
    device: torch.device,
    rates: Rates,
    size: Size = PUBLISHED,
    *,
    precisions: Sequence[Precision] = ("bf16", "float32"),
    networks: Sequence[str] = NETWORKS,
    losses: Sequence[bool] = (True, False),
    batches: Sequence[int] = (256, 32, LARGEST),
    seconds: float = 0.7,
    first: int = 512,
    limit: int = 8192,
    found: dict[str, float] | None = None,
) -> Iterator[Measurement]:
    """Training speed of each network, with and without the inconsistency loss, in each precision and batch size.

    Args:
        losses: with the inconsistency loss, without it, or both.
        seconds: for how long each case is measured.
        first, limit: smallest and largest batch to try as the largest that fits.
        found: receives the clips per second of each case, by its name.
    """
    cases = [(precision, network, loss) for precision in precisions for network in networks for loss in losses]
    for precision, network, inconsistency in cases:
        trainer = make_trainer(network, device, size, inconsistency=inconsistency, precision=precision)
        work = work_of_training(trainer.config, device)
        title = f"{network}, {precision}, {'with' if inconsistency else 'without'} inconsistency loss, batch "
        for batch in batches:
            if batch != LARGEST:
                measurement = measure(trainer, f"{title}{batch}", batch, work, rates, seconds)
            else:
                clips, reason = largest_batch(trainer, first=first, limit=limit)
                if clips is None:
                    measurement = Measurement(f"{title}largest", {}, f"{first} clips do not fit: {reason}")
                else:
                    note = f"{clips} clips, then {reason}"
                    measurement = measure(trainer, f"{title}largest", clips, work, rates, seconds, note)
            if found is not None and "clips/s" in measurement.figures:
                found[measurement.name] = measurement.figures["clips/s"]
            yield measurement
        trainer.free()


def measure(
    trainer: Trainer, name: str, clips: int, work: Work, rates: Rates, seconds: float, note: str = ""
) -> Measurement:
    """Training speed of one case, after steps that warm up and compile.

    If compiling fails, there is no speed of the compiled network; the note says why.
    """
    batch, device = loaded_clips(clips, trainer.size, trainer.device), trainer.device
    with training_warnings() as fallbacks:
        warm_up = trainer.seconds(batch, 3)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        step = trainer.seconds(batch, 3) / 3
        steps = int(min(max(seconds / step, 5), 200))
        step = trainer.seconds(batch, steps) / steps
    if fallbacks:
        return Measurement(name, {}, "; ".join(fallbacks))
    figures = {
        "clips/s": clips / step,
        "ms per step": 1000 * step,
        "/ operations": step / work.seconds_of_operations(rates, clips, bf16=trainer.config.train.amp),
        "/ bytes": step / work.seconds_of_bytes(rates, clips),
        "peak GB": peak_gigabytes(device),
        "warm-up s": warm_up,
    }
    return Measurement(name, figures, note)


def largest_batch(trainer: Trainer, *, first: int, limit: int) -> tuple[int | None, str]:
    """The largest of first, 2 x first, ... with which two steps run, None if there is none; and why no larger one."""
    fits, clips, reason = None, first, "no larger one was tried"
    while clips <= limit:
        trainer.free()
        try:
            trainer.seconds(loaded_clips(clips, trainer.size, trainer.device), 2)
        except torch.OutOfMemoryError:
            reason = "out of memory"
            break
        except RuntimeError as error:  # for example more elements than an operation can count
            reason = one_line(error)[:200]
            break
        fits, clips = clips, 2 * clips
    trainer.free()  # here, not in the handlers: their tracebacks hold the tensors of the step
    return fits, reason


def detection_rates(
    device: torch.device, rates: Rates, *, batches: Sequence[int] = (1, CLIPS_AT_ONCE, 256), seconds: float = 0.5
) -> Iterator[Measurement]:
    """Speed of scoring windows, for each shipped checkpoint and batch size.

    The detector scores one window at a time if a model takes features of native mouths, otherwise CLIPS_AT_ONCE. The
    other batch sizes show what more at once would gain.
    """
    random = np.random.default_rng(0)
    for file in sorted(DEFAULT_CHECKPOINT.parent.glob("*.safetensors")):
        checkpoint = load_checkpoint(file, device)
        model, mouth, sampling = checkpoint.model.eval(), checkpoint.config.mouth, checkpoint.config.sampling
        shape = (sampling.local_frames + sampling.global_frames, mouth.height, mouth.width, 3)
        used = 1 if mouth.cut == "native" and model.input_kind == "features" else CLIPS_AT_ONCE
        for batch in batches:
            frames = random.integers(256, size=(batch, *shape), dtype=np.uint8)
            clips = [torch.from_numpy(array) for array in (frames, residues(frames, mouth.residue))]
            work = work_of_detection(model, *(mouths.to(device) for mouths in clips))
            taken = _scoring_seconds(model, clips, device, seconds)
            operations = work.seconds_of_operations(rates, batch, bf16=False)
            figures = {
                "clips/s": batch / taken,
                "ms": 1000 * taken,
                "/ operations": taken / operations if operations else None,
                "/ bytes": taken / work.seconds_of_bytes(rates, batch),
            }
            yield Measurement(f"{file.stem}, {batch} at once" + (" (like detect.py)" if batch == used else ""), figures)


@torch.inference_mode()
def _scoring_seconds(
    model: MouthModel, clips: list[torch.Tensor], device: torch.device, seconds: float, warm_up: int = 3
) -> float:
    """Seconds to score clips once, from the host and back, as the mean over about `seconds`."""

    def score() -> None:
        logits = model.score_clips(*(mouths.to(device) for mouths in clips))
        (logits[:, 1] - logits[:, 0]).double().cpu()

    for _ in range(warm_up):
        score()
    synchronize(device)
    started, passes = time.perf_counter(), 0
    while not passes or time.perf_counter() - started < seconds:
        score()
        passes += 1
    return (time.perf_counter() - started) / passes


def release(device: torch.device) -> None:
    """Return unused memory to the device."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()


def peak_gigabytes(device: torch.device) -> float:
    """Peak memory of the device since its statistics were reset; for the CPU, of this process."""
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else peak_memory() / 1e3
