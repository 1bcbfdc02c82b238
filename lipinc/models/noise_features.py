"""Noise features: fixed filters measure the noise of mouths and its consistency over time; a small network reads them.

Not in the papers. Their networks have to learn from pixels that a generated mouth is smoother than camera noise, that
its texture does not follow the skin from frame to frame, and that its colours change together. A hundred videos do not
suffice for that. Here 258 features (216 with three bands) measure it, and about 20 thousand weights remain to be
learned. Interpolation changes most features, so they are most informative on mouths that are cut natively
(`mouth.cut`).

>>> model = NoiseFeatures()
>>> features = model.extract_features(frames, residues)  # (B, 8, 64, 144, 3) 0..255 BGR -> (B, 258)
>>> logits = model(features)  # (B, 2), class 1 = fake
"""

from dataclasses import asdict, dataclass
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional

from lipinc.config.ranges import Range, Share
from lipinc.losses.precision import to_float
from lipinc.models.registry import ClipShape, MouthModel, register_model

COLOURS = torch.tensor(((0.25, 0.5, 0.25), (1.0, -1.0, 0.0), (0.5, -1.0, 0.5)))
"""Weights of (blue, green, red) for brightness and for two opponent colours, which are 0 for grey."""
BINOMIAL = torch.tensor((1.0, 4.0, 6.0, 4.0, 1.0)) / 16
"""Smoothing filter along each axis."""
SHIFTS = (1, 2, 4, 8)
"""Offsets in px for the spatial autocorrelation of frame differences."""
FLOOR = 0.05
"""Added to energies, in squared grey levels, before the logarithm: below it there is only rounding error."""
LARGEST = 4.0
"""Features are clipped at this many standard deviations: values beyond were not seen in training."""


@dataclass(frozen=True)
class NoiseFeaturesOptions:
    """Options of noise_features: fixed noise features and a network of 20 thousand weights (not in the papers)."""

    dropout: Share = 0.5
    """Dropout rate of the hidden layers. Kept: the strength of the regularisation."""
    input_dropout: Share = 0.3
    """Dropout rate of the input features. Kept: the strength of the regularisation."""
    input_noise: Share = 0.3
    """Standard deviation of the Gaussian noise that training adds to the standardised features. Kept: the strength of
    the regularisation."""
    levels: Annotated[int, Range(1)] = 4
    """Bands of the Laplacian pyramid, each at half the size of the one before; at most 3 for mouth.cut native."""
    hidden: Annotated[int, Range(1)] = 64
    """Width of the hidden layers. Kept: small networks for tests and small data sets."""
    batch_norm_momentum: Share = 0.01
    """Weight of a new batch in the running statistics (Keras' 0.99 in PyTorch's terms)."""


@register_model("noise_features")
class NoiseFeatures(MouthModel):
    """Features of a clip, standardised, and a network of two hidden layers."""

    Options = NoiseFeaturesOptions
    input_kind = "features"

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
        """local_frames: how many of the frames are adjacent; height, width: of the smallest mouth in px; the others are
        as in `NoiseFeaturesOptions`."""
        super().__init__()
        if local_frames < 3:
            raise ValueError("second differences need at least 3 local frames")
        if min(height, width) >> levels < 2 or min(height, width) <= max(SHIFTS):
            raise ValueError(f"{levels} bands need mouths of more than {max(max(SHIFTS), 2**levels)} px")
        self.local_frames, self.levels, self.input_noise = local_frames, levels, input_noise
        size = len(self.names())

        def layer(inputs: int) -> list[nn.Module]:
            norm = nn.BatchNorm1d(hidden, momentum=batch_norm_momentum)
            return [nn.Linear(inputs, hidden), norm, nn.ReLU(), nn.Dropout(dropout)]

        self.standardise = nn.BatchNorm1d(size, affine=False, momentum=batch_norm_momentum)
        hide = nn.Dropout(input_dropout)
        self.network = nn.Sequential(hide, *layer(size), *layer(hidden), nn.Linear(hidden, 2))

    @classmethod
    def from_options(cls, options: NoiseFeaturesOptions, clip: ClipShape) -> "NoiseFeatures":
        """As `MouthModel.from_options`."""
        return cls(local_frames=clip.local_frames, height=clip.height, width=clip.width, **asdict(options))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """features: (B, F) float32, of `extract_features`. Returns logits (B, 2)."""
        with torch.autocast(features.device.type, enabled=False):  # differences of one grey level need their bits
            x = self.standardise(features).clamp(-LARGEST, LARGEST)
        if self.training and self.input_noise:
            x = x + self.input_noise * torch.randn_like(x)
        return self.network(x)

    def names(self) -> list[str]:
        """Name of each of the F features, in order: "energy 0 brightness mean" and so on."""
        colours = ("brightness", "blue-green", "magenta-green")
        bands = [str(level) for level in range(self.levels + 1)]
        pairs = ("brightness with blue-green", "brightness with magenta-green", "blue-green with magenta-green")
        measures = (
            *("energy", "difference energy", "temporal correlation", "local-global correlation"),
            *("cross-channel correlation", "L1/L2 ratio", "second-difference energy"),
        )
        names = [
            f"{measure} {band} {colour}"
            for band in bands
            for measure in measures
            for colour in (pairs if measure == "cross-channel correlation" else colours)
        ]
        names += [
            f"spatial autocorrelation {shift} px {direction} {colour}"
            for shift in SHIFTS
            for direction in ("down", "right")
            for colour in colours
        ]
        return [f"{name} {moment}" for name in names for moment in ("mean", "deviation")]

    def extract_features(self, frames: torch.Tensor, residues: torch.Tensor) -> torch.Tensor:
        """Features (B, F) float32 of frames (B, N, H, W, 3), in the order of `names`.

        They are the mean and the standard deviation, over frames or pairs of frames, of

        - for each band of a Laplacian pyramid and each colour: the energy of the local frames; the energy of the
          difference between adjacent frames; their temporal correlation; their correlation with the global frames (of
          the same pose); the cross-channel correlation of the differences; the L1/L2 ratio of the differences; the
          energy of the second difference;
        - for each colour: the spatial autocorrelation of the difference between adjacent frames.

        The residues are not used: differences are computed from the frames, with sign and magnitude, and between local
        frames alone.
        """
        with torch.autocast(frames.device.type, enabled=False):  # differences of one grey level need their bits
            return self._extract(frames)

    def _extract(self, frames: torch.Tensor) -> torch.Tensor:
        local = self.local_frames
        frames = to_float(frames)
        colours = torch.einsum("oc,bnhwc->bnohw", COLOURS.to(frames), frames)
        found: list[torch.Tensor] = []
        for band in self._bands(colours):
            change = band[:, 1:local] - band[:, : local - 1]
            energy, change_energy = _energy(band), _energy(change)
            second_energy = _energy(change[:, 1:] - change[:, :-1])
            found += [
                (energy[:, :local] + FLOOR).log(),
                (change_energy + FLOOR).log(),
                _correlation(band[:, 1:local], band[:, : local - 1], energy[:, 1:local], energy[:, : local - 1]),
                _correlation(
                    band[:, local - 1 : local], band[:, local:], energy[:, local - 1 : local], energy[:, local:]
                ),
                torch.stack(
                    [
                        _correlation(change[:, :, a], change[:, :, b], change_energy[:, :, a], change_energy[:, :, b])
                        for a, b in ((0, 1), (0, 2), (1, 2))
                    ],
                    dim=2,
                ),
                2 * (change.abs().mean(dim=(3, 4)) + FLOOR / 2).log() - (change_energy + FLOOR**2 / 4).log(),
                (second_energy + FLOOR).log(),
            ]
        change = colours[:, 1:local] - colours[:, : local - 1]
        change = change - change.mean(dim=(3, 4), keepdim=True)
        for shift in SHIFTS:
            for axis in (3, 4):
                size = change.shape[axis] - shift
                near, far = change.narrow(axis, 0, size), change.narrow(axis, shift, size)
                found.append(_correlation(near, far, _energy(near), _energy(far)))
        # (B, pairs or frames, 3) each -> (B, 3, 2) -> (B, F)
        moments = [torch.stack([one.mean(dim=1), one.std(dim=1)], dim=2) for one in found]
        return torch.cat([one.flatten(1) for one in moments], dim=1)

    def _bands(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """Laplacian pyramid of pictures (B, N, 3, H, W); the last band is the remainder, without its mean."""
        bands = []
        for _ in range(self.levels):
            smooth = _smooth(pictures)
            bands.append(pictures - smooth)
            pictures = smooth[..., ::2, ::2]
        return [*bands, pictures - pictures.mean(dim=(3, 4), keepdim=True)]


def _smooth(pictures: torch.Tensor) -> torch.Tensor:
    planes = pictures.flatten(1, 2)  # (B, N 3, H, W): depthwise, which is fast on CPUs
    kernel = torch.outer(BINOMIAL, BINOMIAL).to(planes).expand(planes.shape[1], 1, -1, -1)
    padded = functional.pad(planes, (2, 2, 2, 2), mode="replicate")
    return functional.conv2d(padded, kernel, groups=planes.shape[1]).unflatten(1, pictures.shape[1:3])


def _energy(pictures: torch.Tensor) -> torch.Tensor:
    return pictures.square().mean(dim=(-2, -1))


def _correlation(a: torch.Tensor, b: torch.Tensor, energy_a: torch.Tensor, energy_b: torch.Tensor) -> torch.Tensor:
    return (a * b).mean(dim=(-2, -1)) / (energy_a * energy_b + 1e-3).sqrt()
