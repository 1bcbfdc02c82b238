"""Noise discriminant: a linear classifier of noise measures, fitted within pairs of a fake and its real video.

Not in the papers. It has a few dozen weights, which have a closed-form solution: no epochs, and random subsets of the
features that are the same in every fit.
"""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from torch import nn

from lipinc.config.ranges import Range
from lipinc.models.discriminant import VideoFeatures, fit_contrast, fit_discriminant
from lipinc.models.noise_measures import NoiseMeasures
from lipinc.models.noise_model import NoiseModel
from lipinc.models.registry import register_model

MAX_DEVIATIONS = 4.0
"""Standardised features are clipped to this magnitude: one odd window must not decide on a video."""


@dataclass(frozen=True)
class NoiseDiscriminantOptions:
    """Options of the model noise_discriminant: a linear classifier with a closed-form solution (not in the papers)."""

    levels: Annotated[int, Range(1)] = 3
    """Bands of the Laplacian pyramid, each at half the size of the previous one; at most 3 for mouth.cut native."""
    chroma: bool = False
    """Measure colour channels, too. Kept: for data of one camera and codec."""
    regions: bool = True
    """Compare the energy of the finest bands between the regions of the mouth. Kept: for ablations."""
    shrinkage: Annotated[float, Range(0, float("inf"), open=True)] = 0.001
    """Multiple of the mean variance that is added to every variance. Kept: fewer videos need more."""
    share: Annotated[float, Range(0.01, 1)] = 0.3
    """Fraction of the features in each of the random subsets over which the classifier is averaged; 1: no subsets."""


@register_model("noise_discriminant")
class NoiseDiscriminant(NoiseModel):
    """A linear classifier of standardised noise measures."""

    Options = NoiseDiscriminantOptions
    closed_form = True
    standard_contrast = True

    def __init__(
        self,
        *,
        local_frames: int = 5,
        height: int = 64,
        width: int = 144,
        levels: int = 3,
        chroma: bool = False,
        regions: bool = True,
        shrinkage: float = 0.001,
        share: float = 0.3,
    ):
        """Create the classifier with weights of 0.

        Args:
            local_frames: number of adjacent frames at the start of a clip.
            height: minimum mouth height in px.
            width: minimum mouth width in px.
            levels, chroma, regions, shrinkage, share: see `NoiseDiscriminantOptions`.

        Raises:
            ValueError: there are too few local frames, or the mouths are too small.
        """
        super().__init__(NoiseMeasures(local_frames, levels, chroma, regions), height, width)
        self.shrinkage, self.share = shrinkage, share
        size = len(self.measures.names())
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))
        self.register_buffer("contrast_weight", torch.zeros(size))
        self.weight, self.bias = nn.Parameter(torch.zeros(size)), nn.Parameter(torch.zeros(()))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Classify features.

        Args:
            features: (B, F) float32, from `extract_features`.

        Returns:
            Logits (B, 2), class 1 = fake.
        """
        logit = self._project(features, self.weight) + self.bias
        return torch.stack([-logit / 2, logit / 2], dim=1)

    def contrast(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """See `MouthModel.contrast`: what a forgery changes, relative to how the windows of one video scatter."""
        return self._project(features, self.contrast_weight)

    @torch.no_grad()
    def solve(self, videos: VideoFeatures) -> None:
        """See `MouthModel.solve`."""
        self.mean.copy_(torch.from_numpy(videos.features.mean(axis=0)))
        self.deviation.copy_(torch.from_numpy(np.maximum(videos.features.std(axis=0), 1e-6)))
        standardised = self._standardise(torch.from_numpy(videos.features).to(self.mean)).double().cpu().numpy()
        deviation = self.deviation.double().cpu().numpy()
        videos = replace(videos, features=standardised, within=videos.within / np.outer(deviation, deviation))
        found = fit_discriminant(videos, self.shrinkage, self.share)
        self.contrast_weight.copy_(torch.from_numpy(fit_contrast(videos, self.shrinkage, self.share)))
        self.weight.copy_(torch.from_numpy(found.weight))
        self.bias.fill_(found.bias)

    def _project(self, features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        with torch.autocast(features.device.type, enabled=False):  # bf16 cannot resolve differences of one grey level
            return self._standardise(features) @ weight

    def _standardise(self, features: torch.Tensor) -> torch.Tensor:
        return ((features - self.mean) / self.deviation).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
