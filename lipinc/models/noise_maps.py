"""Noise maps: the networks of LIPINC on maps of the noise in a mouth, in place of its pixels (not in the papers).

From the pixels of a few hundred videos the networks learn people. The logarithm of the energy of fine detail, and of
its changes from frame to frame, shows what generators leave behind, and little of a person. A map covers the whole
mouth, whatever its size in px, but every energy is one of decoded pixels.

>>> model = NoiseMaps(network="lipinc_v2", height=16, width=40)
>>> features = model.extract_features(frames, residues)  # (B, 8, 64, 144, 3) 0..255 BGR -> (B, 28 800)
>>> logits = model(features)  # (B, 2), class 1 = fake
"""

from collections.abc import Hashable
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import torch
from torch import nn
from torch.nn import functional

from lipinc.config import Config
from lipinc.config.ranges import Range, UnitInterval
from lipinc.losses.precision import to_float
from lipinc.models.lipinc import LIPINC
from lipinc.models.lipinc_v2 import LIPINCV2, PATCH
from lipinc.models.noise_measures import COLOURS, FLOOR, laplacian_pyramid, one_thread
from lipinc.models.registry import ClipShape, MouthModel, register_model

BANDS = 3
"""Bands of the Laplacian pyramid: channels of a map, in place of the three colours."""
MEAN, DEVIATION = 1.5, 2.0
"""Typical logarithm of an energy, in squared grey levels, and its standard deviation: the maps are standardised by
them."""


@dataclass(frozen=True)
class NoiseMapsOptions:
    """Options of the model noise_maps: a network of LIPINC on maps of noise energy (not in the papers)."""

    network: Literal["lipinc", "lipinc_v2"] = "lipinc"
    """The network on the maps: V1 or V2."""
    height: Annotated[int, Range(2)] = 2
    """Cells of a map from top to bottom. V1 learns people from fine maps; V2 needs a multiple of its patches, 8."""
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
        self.network = LIPINC(frames=frames, **sizes) if network == "lipinc" else LIPINCV2(**sizes)

    @classmethod
    def from_options(cls, options: NoiseMapsOptions, clip: ClipShape) -> "NoiseMaps":
        """See `MouthModel.from_options`."""
        return cls(frames=clip.frames, **asdict(options))

    @classmethod
    def validate(cls, config: Config) -> list[str]:
        """See `MouthModel.validate`."""
        options, problems = config.model.options, super().validate(config)
        if options.network == "lipinc_v2" and (options.height % PATCH or options.width % PATCH):
            problems.append(
                f"maps of {options.height} x {options.width} cells cannot be divided into the patches of lipinc_v2, "
                f"{PATCH} x {PATCH}; use --model.height 16 --model.width 40"
            )
        return problems

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
            (B, (2 N - 1) H W BANDS) float16: maps (N, H, W, BANDS) of the frames, then maps (N - 1, H, W, BANDS) of the
            differences between consecutive frames. Each cell has the logarithm of its mean energy.
        """
        with torch.autocast(frames.device.type, enabled=False), one_thread():
            brightness = torch.einsum("c,bnhwc->bnhw", COLOURS[0].to(frames.device), to_float(frames))[:, :, None]
            *bands, _ = laplacian_pyramid(brightness, BANDS)
            changes = [band[:, 1:] - band[:, :-1] for band in bands]
            maps = [torch.stack([self._map(one) for one in ones], dim=-1).flatten(1) for ones in (bands, changes)]
            # An epoch of FakeAVCeleb's clips is kept in memory; a thousandth is far below their noise.
            return torch.cat(maps, dim=1).half()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Classify maps.

        Args:
            features: (B, F) float16, from `extract_features`.

        Returns:
            Logits (B, 2), class 1 = fake.
        """
        maps = features.float().unflatten(1, (2 * self.frames - 1, *self.size, BANDS))
        return self.network(maps[:, : self.frames], maps[:, self.frames :])

    def _map(self, band: torch.Tensor) -> torch.Tensor:
        """Return the map (B, N, H, W) of a band (B, N, 1, h, w). Every cell has at least one pixel."""
        energy = functional.adaptive_avg_pool2d(band.square()[:, :, 0], self.size)
        return ((energy + FLOOR).log() - MEAN) / DEVIATION
