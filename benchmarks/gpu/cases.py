"""Models, clips and helpers that the sections of the GPU check share."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import nn
from tqdm import tqdm

from benchmarks.plain_ssim import similar_maps
from lipinc.batches.batch import ClipBatch
from lipinc.config import Config, LossConfig, ModelConfig, MouthConfig, TrainConfig
from lipinc.evaluation import scoring
from lipinc.losses.total import LossInputs, total_loss
from lipinc.training import loop

NETWORKS = ("lipinc", "lipinc_v2")
FRAMES = 8
"""Mouths per clip."""


@dataclass(frozen=True)
class Size:
    """Sizes of mouths and networks; the defaults are the published ones."""

    height: int = 64
    """Of a mouth, in px."""
    width: int = 144
    hidden: int = 0
    """Width of the dense layers; 0: as published."""


PUBLISHED = Size()


def network_config(
    network: str,
    size: Size = PUBLISHED,
    *,
    inconsistency: bool = True,
    train: TrainConfig = TrainConfig(amp=False),  # noqa: B008 - frozen
) -> Config:
    """A published network on input of unit range. inconsistency: with the inconsistency loss, on full maps."""
    options = {"hidden": size.hidden} if size.hidden else {}
    return Config(
        mouth=MouthConfig(height=size.height, width=size.width),
        model=ModelConfig(network, input_scale=1 / 255, batch_norm_momentum=0.1, **options),
        loss=LossConfig(inconsistency=5.0 if inconsistency else 0.0),
        train=train,
    )


def random_clips(clips: int, size: Size = PUBLISHED, *, seed: int = 0) -> ClipBatch:
    """Clips on the CPU whose frames share a picture, each with noise of its own. Every other one is labelled fake."""
    different = min(clips, 32)
    frames = 255 * similar_maps(different, FRAMES, 3, size.height, size.width, seed=seed).permute(0, 1, 3, 4, 2)
    frames = frames.to(torch.uint8).repeat(-(-clips // different), 1, 1, 1, 1)[:clips]
    labels = torch.arange(clips) % 2
    return ClipBatch(labels, torch.zeros_like(labels), frames, frames[:, 1:] - frames[:, :-1])


def loaded_clips(clips: int, size: Size, device: torch.device) -> ClipBatch:
    """`random_clips` as a data loader returns them: on the host, pinned for CUDA."""
    batch = random_clips(clips, size)
    return batch.pin_memory() if device.type == "cuda" else batch


def training_loss(model: nn.Module, batch: ClipBatch, config: Config) -> torch.Tensor:
    """Forward pass and total loss, as in training."""
    with loop._autocast(config.train, batch.frames.device):
        logits, maps = loop._forward(model, batch.inputs, config.loss)
    return total_loss(LossInputs(logits, maps, batch.labels, config.loss))["total"]


def switch_off_randomness(model: nn.Module) -> nn.Module:
    """Set dropout and input noise of a model to 0, in place; returns the model."""
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
        if hasattr(layer, "input_noise"):
            layer.input_noise = 0.0
    return model


class RepeatedBatch:
    """A data loader that returns the same batch again and again, to measure the training step alone."""

    def __init__(self, batch: ClipBatch, steps: int):
        self._batch, self._steps = batch, steps
        self.batch_sampler = SimpleNamespace(sampler=range(steps * len(batch.labels)))
        self.dataset = SimpleNamespace(rows=[SimpleNamespace(record=SimpleNamespace(key="synthetic"))])

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[ClipBatch]:
        for _ in range(self._steps):
            yield self._batch


@contextmanager
def exact_float32() -> Iterator[None]:
    """float32 without TF32, which rounds the factors of products to 10 bits."""
    settings = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [setting.allow_tf32 for setting in settings]
    try:
        for setting in settings:
            setting.allow_tf32 = False
        yield
    finally:
        for setting, allowed in zip(settings, before, strict=True):
            setting.allow_tf32 = allowed


@contextmanager
def quiet() -> Iterator[None]:
    """Train and predict without progress bars and log lines."""
    log = logging.getLogger("lipinc")

    def hidden(items: Any, **options: Any) -> tqdm:
        return tqdm(items, **{**options, "disable": True})

    with ExitStack() as stack:
        for module in (loop, scoring):
            stack.enter_context(mock.patch.object(module, "progress_bar", hidden))
        stack.callback(log.setLevel, log.level)
        log.setLevel(logging.WARNING)
        yield


@contextmanager
def training_warnings() -> Iterator[list[str]]:
    """Collect the warnings that the training loop logs in the block, such as a failure of torch.compile."""
    found: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())
    loop.log.addHandler(handler)
    try:
        yield found
    finally:
        loop.log.removeHandler(handler)


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def relative_error(found: torch.Tensor, reference: torch.Tensor, *, min_norm: float = 1e-12) -> float:
    """Norm of the difference, divided by the norm of the reference or by `min_norm` if that is larger."""
    found, reference = found.detach().double().cpu(), reference.detach().double().cpu()
    return ((found - reference).norm() / max(reference.norm().item(), min_norm)).item()
