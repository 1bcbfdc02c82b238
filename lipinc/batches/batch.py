"""Batch types: clips, or features of clips, with labels and video indices."""

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

import torch

Self = TypeVar("Self", bound="Batch")


@dataclass(frozen=True)
class Batch:
    """Base class of batches."""

    labels: torch.Tensor
    """(B,) int64, 1 = fake."""
    videos: torch.Tensor
    """(B,) int64: index of each clip's video in the rows of the dataset."""

    @property
    def inputs(self) -> tuple[torch.Tensor, ...]:
        """The positional arguments of the model's forward method."""
        raise NotImplementedError

    def to(self: Self, device: torch.device) -> Self:
        """Copy the batch to a device, asynchronously if its memory is pinned."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self: Self) -> Self:
        """Pin the memory of the batch; called by the DataLoader."""
        return self._map(torch.Tensor.pin_memory)

    @property
    def nbytes(self) -> int:
        """The size of all tensors, in bytes."""
        return sum(getattr(self, field.name).nbytes for field in dataclasses.fields(self))

    def _map(self: Self, function) -> Self:
        return type(self)(**{field.name: function(getattr(self, field.name)) for field in dataclasses.fields(self)})


@dataclass(frozen=True)
class ClipBatch(Batch):
    """A batch for models with `input_kind` "clips"."""

    frames: torch.Tensor
    """(B, N, H, W, 3) uint8 BGR."""
    residues: torch.Tensor
    """(B, N - 1, H, W, 3) uint8."""

    @property
    def inputs(self) -> tuple[torch.Tensor, ...]:
        """Frames and residues."""
        return self.frames, self.residues


@dataclass(frozen=True)
class FeatureBatch(Batch):
    """A batch for models with `input_kind` "features"."""

    features: torch.Tensor
    """(B, F) float32."""

    @property
    def inputs(self) -> tuple[torch.Tensor, ...]:
        """The features."""
        return (self.features,)
