"""Networks, clips and training loops that the sections of the GPU check share."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from tqdm import tqdm

from benchmarks.plain_ssim import similar_maps
from lipinc import training
from lipinc.config import Config, LossConfig, ModelConfig, MouthConfig, TrainConfig
from lipinc.data.dataset import Batch

NETWORKS = ("lipinc", "lipinc_v2")
FRAMES = 8


def experiment(
    network: str,
    *,
    height: int = 64,
    width: int = 144,
    hidden: int = 0,
    inconsistency: bool = True,
    dropout: float = 0.5,
    train: TrainConfig = TrainConfig(),  # noqa: B008 - frozen
) -> Config:
    """The published network and loss, on input of unit range.

    Args:
        height, width: of a mouth in px.
        hidden: width of the dense layers; 0: as published.
        inconsistency: with the inconsistency loss, on full maps, or without.
    """
    return Config(
        mouth=MouthConfig(height=height, width=width),
        model=ModelConfig(name=network, hidden=hidden, dropout=dropout, input_scale=1 / 255, batch_norm_momentum=0.1),
        loss=LossConfig(inconsistency=5.0 if inconsistency else 0.0),
        train=train,
    )


def random_clips(clips: int, *, height: int = 64, width: int = 144, seed: int = 0) -> Batch:
    """Clips on the CPU whose frames share a picture, each with its own noise; half of them are labelled fake."""
    different = min(clips, 32)
    frames = 255 * similar_maps(different, FRAMES, 3, height, width, seed=seed).permute(0, 1, 3, 4, 2)
    frames = frames.to(torch.uint8).repeat(-(-clips // different), 1, 1, 1, 1)[:clips]
    labels = torch.arange(clips) % 2
    return Batch(frames, frames[:, 1:] - frames[:, :-1], labels, torch.zeros(clips, dtype=torch.int64))


class RepeatedBatch:
    """A loader whose batches are one batch, over and over: the step alone is measured."""

    def __init__(self, batch: Batch, steps: int):
        self._batch, self._steps = batch, steps
        self.batch_sampler = SimpleNamespace(sampler=range(steps * len(batch.labels)))
        self.dataset = SimpleNamespace(rows=[SimpleNamespace(record=SimpleNamespace(key="synthetic"))])

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self._steps):
            yield self._batch


@contextmanager
def exact_float32() -> Iterator[None]:
    """float32 without TF32, which rounds the operands of products to 10 bits."""
    places = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = False
        yield
    finally:
        for place, allowed in zip(places, before, strict=True):
            place.allow_tf32 = allowed


@contextmanager
def quiet() -> Iterator[None]:
    """Training without progress bars and log lines."""
    log = logging.getLogger("lipinc")
    level = log.level

    def hidden(items: Any, **options: Any) -> tqdm:
        return tqdm(items, **{**options, "disable": True})

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(training, "tqdm", hidden))
        stack.callback(log.setLevel, level)
        log.setLevel(logging.WARNING)
        yield


@contextmanager
def warnings_of_training() -> Iterator[list[str]]:
    """The warnings that lipinc.training logs in the block: where torch.compile falls back, it says so there."""
    found: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())
    training.log.addHandler(handler)
    try:
        yield found
    finally:
        training.log.removeHandler(handler)


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def relative(mine: torch.Tensor, reference: torch.Tensor, *, least: float = 1e-12) -> float:
    """Norm of the difference over the norm of the reference, or over `least` where that is larger."""
    mine, reference = mine.detach().double().cpu(), reference.detach().double().cpu()
    return ((mine - reference).norm() / max(reference.norm().item(), least)).item()
