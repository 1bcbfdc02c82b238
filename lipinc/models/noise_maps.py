"""Noise maps: the networks of LIPINC on maps of the noise in a mouth, in place of its pixels (not in the papers).

From the pixels of a few hundred videos the networks learn people. The energy of fine detail, and of its changes from
frame to frame, shows what generators leave behind, and little of a person. A map covers the whole mouth, whatever its
size in px, but every energy is one of decoded pixels.

The logarithms of the energies of neighbouring bands are nearly equal: how strong the noise is hides how it is
distributed over the bands. A cell therefore has their mean and their contrasts, each in units of its own spread.

>>> model = NoiseMaps(network="lipinc_v2")
>>> features = model.extract_features(frames, residues)  # (B, 8, 64, 144, 3) 0..255 BGR -> (B, 540)
>>> logits = model(features)  # (B, 2), class 1 = fake
"""

from collections.abc import Hashable
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import torch
from torch import nn
from torch.nn import functional

from lipinc.config.ranges import Range, UnitInterval
from lipinc.losses.precision import to_float
from lipinc.models.lipinc import LIPINC
from lipinc.models.lipinc_v2 import LIPINCV2
from lipinc.models.noise_measures import COLOURS, FLOOR, laplacian_pyramid, one_thread
from lipinc.models.registry import ClipShape, MouthModel, register_model

BANDS = 3
"""Bands of the Laplacian pyramid, the finest first."""
SPECTRUM = torch.tensor(((1 / 3, 1 / 3, 1 / 3), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0)))
"""Channels of a map, in place of the three colours, from the logarithms of the energies of the bands: their mean, the
slope and the curvature of the spectrum."""
FRAMES = torch.tensor(((2.5, -2.0, 0.0), (1.4, 0.8, 0.8)))
"""Typical channels of frames, and their standard deviations, by which maps are standardised; energies are in squared
grey levels."""
CHANGES = torch.tensor(((1.9, -0.4, 0.0), (1.5, 1.2, 0.8)))
"""The same for differences between frames."""


@dataclass(frozen=True)
class NoiseMapsOptions:
    """Options of the model noise_maps: a network of LIPINC on maps of noise energy (not in the papers)."""

    network: Literal["lipinc", "lipinc_v2"] = "lipinc"
    """The network on the maps: V1 or V2."""
    height: Annotated[int, Range(2)] = 2
    """Cells of a map from top to bottom. V2's patches are single cells. From finer maps both networks learn people."""
    width: Annotated[int, Range(2)] = 6
    """Cells of a map from left to right, likewise."""
    hidden: Annotated[int, Range(1)] = 4096
    """Width of the dense layers of the head (published: 4096 for V1, 1024 for V2). Kept: small networks for tests."""
    batch_norm_momentum: UnitInterval = 0.01
    """Weight of a new batch in the running statistics (PyTorch's convention). Runs of a few hundred steps need about
    0.1."""


@register_model("noise_maps")
class NoiseMaps(MouthModel):
    """LIPINC (V1) or LIPINC-V2 on noise maps: of the frames, and in place of residues of their differences."""

    Options = NoiseMapsOptions
    input_kind = "features"

    def __init__(
        self,
        *,
        frames: int = 8,
        network: Literal["lipinc", "lipinc_v2"] = "lipinc",
        height: int = 2,
        width: int = 6,
        hidden: int = 4096,
        batch_norm_momentum: float = 0.01,
    ):
        """Create the network with fresh weights.

        Args:
            frames: frames per clip, N.
            network, height, width, hidden, batch_norm_momentum: see `NoiseMapsOptions`.

        Raises:
            ValueError: the network does not support maps of this size, or so few frames.
        """
        super().__init__()
        self.frames, self.size = frames, (height, width)
        sizes = {"height": height, "width": width, "hidden": hidden, "batch_norm_momentum": batch_norm_momentum}
        self.network = LIPINC(frames=frames, **sizes) if network == "lipinc" else LIPINCV2(patch=1, **sizes)

    @classmethod
    def from_options(cls, options: NoiseMapsOptions, clip: ClipShape) -> "NoiseMaps":
        """See `MouthModel.from_options`."""
        return cls(frames=clip.frames, **asdict(options))

    def classifier(self) -> nn.Linear:
        """See `MouthModel.classifier`."""
        return self.network.classifier()

    def feature_key(self) -> Hashable:
        """See `MouthModel.feature_key`."""
        return self.size

    def extract_features(self, frames: torch.Tensor, residues: torch.Tensor) -> torch.Tensor:
        """Compute the maps of clips.

        Args:
            frames: (B, N, h, w, 3) uint8 or float, BGR, 0..255; any mouth size.
            residues: not used: they are unsigned, and wrap around.

        Returns:
            (B, (2 N - 1) H W BANDS) float32: maps (N, H, W, BANDS) of the frames, then maps (N - 1, H, W, BANDS) of the
            differences between consecutive frames. Each cell has the channels of `SPECTRUM`, standardised.
        """
        with torch.autocast(frames.device.type, enabled=False), one_thread():
            brightness = torch.einsum("c,bnhwc->bnhw", COLOURS[0].to(frames.device), to_float(frames))[:, :, None]
            *bands, _ = laplacian_pyramid(brightness, BANDS)
            changes = [band[:, 1:] - band[:, :-1] for band in bands]
            maps = [self._map(bands, FRAMES).flatten(1), self._map(changes, CHANGES).flatten(1)]
            return torch.cat(maps, dim=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Classify maps.

        Args:
            features: (B, F) float32, from `extract_features`.

        Returns:
            Logits (B, 2), class 1 = fake.
        """
        maps = features.unflatten(1, (2 * self.frames - 1, *self.size, BANDS))
        return self.network(maps[:, : self.frames], maps[:, self.frames :])

    def _map(self, bands: list[torch.Tensor], typical: torch.Tensor) -> torch.Tensor:
        """Return the maps (B, N, H, W, BANDS) of bands (B, N, 1, h, w). Every cell has at least one pixel."""
        energies = [functional.adaptive_avg_pool2d(band.square()[:, :, 0], self.size) for band in bands]
        spectrum = (torch.stack(energies, dim=-1) + FLOOR).log() @ SPECTRUM.T.to(bands[0])
        mean, deviation = typical.to(spectrum)
        return (spectrum - mean) / deviation
