"""What the models on noise measures have in common: how clips become their features."""

from dataclasses import asdict
from typing import Any

import torch

from lipinc.models.noise_measures import NoiseMeasures
from lipinc.models.registry import ClipShape, MouthModel


class NoiseModel(MouthModel):
    """Base class: a classifier of noise measures. Subclasses take their options as keywords."""

    input_kind = "features"

    def __init__(self, measures: NoiseMeasures, height: int, width: int):
        """Store what is measured.

        Args:
            measures: what is measured.
            height: minimum mouth height in px.
            width: minimum mouth width in px.

        Raises:
            ValueError: there are too few local frames, or the mouths are too small.
        """
        super().__init__()
        measures.check(height, width)
        self.measures = measures

    @classmethod
    def from_options(cls, options: Any, clip: ClipShape) -> "NoiseModel":
        """See `MouthModel.from_options`."""
        return cls(local_frames=clip.local_frames, height=clip.height, width=clip.width, **asdict(options))

    def feature_key(self) -> NoiseMeasures:
        """See `MouthModel.feature_key`."""
        return self.measures

    def feature_names(self) -> list[str]:
        """See `MouthModel.feature_names`."""
        return self.measures.names()

    def extract_features(self, frames: torch.Tensor, residues: torch.Tensor) -> torch.Tensor:
        """Measure clips; see `NoiseMeasures`. Residues are not used: they are unsigned, and wrap around."""
        return self.measures(frames)
