"""Batches: B clips, or the features of B clips, with their labels and videos."""

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

import torch

Any = TypeVar("Any", bound="Batch")


@dataclass(frozen=True)
class Batch:
    """What every batch has."""

    labels: torch.Tensor
    """(B,) int64, 1 = fake."""
    videos: torch.Tensor
    """(B,) int64: position of the video of each clip in the rows of the dataset."""

    @property
    def inputs(self) -> tuple[torch.Tensor, ...]:
        """What the model takes."""
        raise NotImplementedError

    def to(self: Any, device: torch.device) -> Any:
        """The batch on a device, copied asynchronously where its memory is pinned."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self: Any) -> Any:
        """Called by the DataLoader."""
        return self._map(torch.Tensor.pin_memory)

    def _map(self: Any, function) -> Any:
        return type(self)(**{field.name: function(getattr(self, field.name)) for field in dataclasses.fields(self)})


@dataclass(frozen=True)
class ClipBatch(Batch):
    """Clips, for models whose `input_kind` is "clips"."""

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
    """Features of clips, for models whose `input_kind` is "features"."""

    features: torch.Tensor
    """(B, F) float32."""

    @property
    def inputs(self) -> tuple[torch.Tensor, ...]:
        """The features."""
        return (self.features,)
