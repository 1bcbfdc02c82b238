"""Noise features: a small network on hand-crafted noise measures of the mouth (noise_measures.py; not in the papers).

>>> model = NoiseFeatures()
>>> features = model.extract_features(frames, residues)  # (B, 8, 64, 144, 3) 0..255 BGR -> (B, 258)
>>> logits = model(features)  # (B, 2), class 1 = fake
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import nn

from lipinc.config.ranges import Range, UnitInterval
from lipinc.models.noise_measures import NoiseMeasures
from lipinc.models.noise_model import NoiseModel
from lipinc.models.registry import register_model

MAX_DEVIATIONS = 4.0
"""Standardised features are clipped to this magnitude: larger values do not occur in training."""


@dataclass(frozen=True)
class NoiseFeaturesOptions:
    """Options of the model noise_features: fixed features and a network of 20 thousand weights (not in the papers)."""

    dropout: UnitInterval = 0.5
    """Dropout rate of the hidden layers. Kept: sets the strength of the regularisation."""
    input_dropout: UnitInterval = 0.3
    """Dropout rate of the input features. Kept: sets the strength of the regularisation."""
    input_noise: UnitInterval = 0.3
    """Standard deviation of the Gaussian noise added to the standardised features in training. Kept: sets the strength
    of the regularisation."""
    levels: Annotated[int, Range(1)] = 4
    """Bands of the Laplacian pyramid, each at half the size of the previous one; at most 3 for mouth.cut native."""
    hidden: Annotated[int, Range(1)] = 64
    """Width of the hidden layers. Kept: sets the size of the network."""
    batch_norm_momentum: UnitInterval = 0.01
    """Weight of a new batch in the running statistics (PyTorch's convention)."""


@register_model("noise_features")
class NoiseFeatures(NoiseModel):
    """A network with two hidden layers on standardised noise measures."""

    Options = NoiseFeaturesOptions

    def __init__(
        self,
        *,
        local_frames: int = 5,
        height: int = 64,
        width: int = 144,
        levels: int = 4,
        hidden: int = 64,
        dropout: float = 0.5,
        input_dropout: float = 0.3,
        input_noise: float = 0.3,
        batch_norm_momentum: float = 0.1,
    ):
        """Create the network with fresh weights.

        Args:
            local_frames: number of adjacent frames at the start of a clip.
            height: minimum mouth height in px.
            width: minimum mouth width in px.
            levels, hidden, dropout, input_dropout, input_noise, batch_norm_momentum: see `NoiseFeaturesOptions`.

        Raises:
            ValueError: there are too few local frames, or the mouths are too small.
        """
        super().__init__(NoiseMeasures(local_frames, levels), height, width)
        self.input_noise = input_noise
        size = len(self.measures.names())

        def layer(inputs: int) -> list[nn.Module]:
            norm = nn.BatchNorm1d(hidden, momentum=batch_norm_momentum)
            return [nn.Linear(inputs, hidden), norm, nn.ReLU(), nn.Dropout(dropout)]

        self.standardise = nn.BatchNorm1d(size, affine=False, momentum=batch_norm_momentum)
        self.network = nn.Sequential(nn.Dropout(input_dropout), *layer(size), *layer(hidden), nn.Linear(hidden, 2))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Classify features.

        Args:
            features: (B, F) float32, from `extract_features`.

        Returns:
            Logits (B, 2), class 1 = fake.
        """
        with torch.autocast(features.device.type, enabled=False):  # bf16 cannot resolve differences of one grey level
            x = self.standardise(features).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
        if self.training and self.input_noise:
            x = x + self.input_noise * torch.randn_like(x)
        return self.network(x)
