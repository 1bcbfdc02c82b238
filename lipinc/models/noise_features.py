"""Noise features: hand-crafted statistics of mouth noise and its temporal consistency, classified by a small network.

Not in the papers. A generated mouth lacks camera noise, its texture does not move with the skin, and its colour
channels change together. A network that learns this from pixels needs more than a hundred videos. Here 258 fixed
features (216 with three bands) measure it, and only about 20 thousand weights are learned. Interpolation changes most
features, so they are most informative on native mouth crops (`mouth.cut`).

>>> model = NoiseFeatures()
>>> features = model.extract_features(frames, residues)  # (B, 8, 64, 144, 3) 0..255 BGR -> (B, 258)
>>> logits = model(features)  # (B, 2), class 1 = fake
"""

from dataclasses import asdict, dataclass
from typing import Annotated

import torch
from torch import nn
from torch.nn import functional

from lipinc.config.ranges import Range, UnitInterval
from lipinc.losses.precision import to_float
from lipinc.models.registry import ClipShape, MouthModel, register_model

COLOURS = torch.tensor(((0.25, 0.5, 0.25), (1.0, -1.0, 0.0), (0.5, -1.0, 0.5)))
"""Weights of (blue, green, red) for brightness and two opponent colour channels, which are 0 for grey."""
BINOMIAL = torch.tensor((1.0, 4.0, 6.0, 4.0, 1.0)) / 16
"""Smoothing filter, applied along each axis."""
SHIFTS = (1, 2, 4, 8)
"""Offsets in px for the spatial autocorrelation of frame differences."""
FLOOR = 0.05
"""Offset added to energies before the logarithm, in squared grey levels; smaller energies are rounding errors."""
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
    hidden: Annotated[int, Range(0)] = 64
    """Width of the hidden layers; 0: none, a linear classifier."""
    chroma: bool = True
    """Measure colour channels, too. False: brightness only. Codecs and cameras treat colours so differently that they
    mislead a detector on sources that it was not trained on."""
    batch_norm_momentum: UnitInterval = 0.01
    """Weight of a new batch in the running statistics (PyTorch's convention)."""


@register_model("noise_features")
class NoiseFeatures(MouthModel):
    """A network with two hidden layers on standardised noise features."""

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
        chroma: bool = True,
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
            levels, hidden, chroma, dropout, input_dropout, input_noise, batch_norm_momentum: see
                `NoiseFeaturesOptions`.

        Raises:
            ValueError: there are too few local frames, or the mouths are too small.
        """
        super().__init__()
        if local_frames < 3:
            raise ValueError("second differences need at least 3 local frames")
        if min(height, width) >> levels < 2 or min(height, width) <= max(SHIFTS):
            raise ValueError(f"{levels} bands need mouths of more than {max(max(SHIFTS), 2**levels)} px")
        self.local_frames, self.levels, self.input_noise = local_frames, levels, input_noise
        self.colours = COLOURS if chroma else COLOURS[:1]
        size = len(self.names())

        def layer(inputs: int) -> list[nn.Module]:
            norm = nn.BatchNorm1d(hidden, momentum=batch_norm_momentum)
            return [nn.Linear(inputs, hidden), norm, nn.ReLU(), nn.Dropout(dropout)]

        self.standardise = nn.BatchNorm1d(size, affine=False, momentum=batch_norm_momentum)
        layers = [*layer(size), *layer(hidden)] if hidden else []
        self.network = nn.Sequential(nn.Dropout(input_dropout), *layers, nn.Linear(hidden or size, 2))

    @classmethod
    def from_options(cls, options: NoiseFeaturesOptions, clip: ClipShape) -> "NoiseFeatures":
        """See `MouthModel.from_options`."""
        return cls(local_frames=clip.local_frames, height=clip.height, width=clip.width, **asdict(options))

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

    def feature_key(self) -> tuple:
        """See `MouthModel.feature_key`."""
        return self.local_frames, self.levels, len(self.colours)

    def names(self) -> list[str]:
        """Return the names of the F features, in order: "energy 0 brightness mean" etc."""
        colours = ("brightness", "blue-green", "magenta-green")[: len(self.colours)]
        bands = [str(level) for level in range(self.levels + 1)]
        pairs = ("brightness with blue-green", "brightness with magenta-green", "blue-green with magenta-green")
        pairs = pairs if len(self.colours) > 1 else ()
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
        """Compute the features of clips.

        They are the mean and the standard deviation, over frames or pairs of frames, of

        - for each band of a Laplacian pyramid and each colour channel: the energy of the local frames; the energy of
        the
          difference between adjacent frames; the temporal correlation; the local-global correlation (the global frames
          have the same pose); the cross-channel correlation of the differences; the L1/L2 ratio of the differences; the
          energy of the second difference;
        - for each colour channel: the spatial autocorrelation of the difference between adjacent frames.

        Args:
            frames: (B, N, H, W, 3) uint8 or float, BGR, 0..255.
            residues: not used. Differences are computed from the frames, signed, and between local frames only.

        Returns:
            (B, F) float32, in the order of `names`.
        """
        with torch.autocast(frames.device.type, enabled=False):  # bf16 cannot resolve differences of one grey level
            return self._extract(frames)

    def _extract(self, frames: torch.Tensor) -> torch.Tensor:
        local = self.local_frames
        frames = to_float(frames)
        colours = torch.einsum("oc,bnhwc->bnohw", self.colours.to(frames), frames)
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
                *self._between_colours(change, change_energy),
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

    def _between_colours(self, change: torch.Tensor, energy: torch.Tensor) -> list[torch.Tensor]:
        """Return the correlations (B, N, 3) between the colours of changes (B, N, 3, H, W); nothing for one colour."""
        if len(self.colours) == 1:
            return []
        pairs = ((0, 1), (0, 2), (1, 2))
        found = [_correlation(change[:, :, a], change[:, :, b], energy[:, :, a], energy[:, :, b]) for a, b in pairs]
        return [torch.stack(found, dim=2)]

    def _bands(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """Return the Laplacian pyramid of pictures (B, N, 3, H, W); the last band is the residual without its mean."""
        bands = []
        for _ in range(self.levels):
            smooth = _smooth(pictures)
            bands.append(pictures - smooth)
            pictures = smooth[..., ::2, ::2]
        return [*bands, pictures - pictures.mean(dim=(3, 4), keepdim=True)]


def _smooth(pictures: torch.Tensor) -> torch.Tensor:
    planes = pictures.flatten(1, 2)  # (B, N 3, H, W), for a depthwise convolution, which is fast on CPUs
    kernel = torch.outer(BINOMIAL, BINOMIAL).to(planes).expand(planes.shape[1], 1, -1, -1)
    padded = functional.pad(planes, (2, 2, 2, 2), mode="replicate")
    return functional.conv2d(padded, kernel, groups=planes.shape[1]).unflatten(1, pictures.shape[1:3])


def _energy(pictures: torch.Tensor) -> torch.Tensor:
    return pictures.square().mean(dim=(-2, -1))


def _correlation(a: torch.Tensor, b: torch.Tensor, energy_a: torch.Tensor, energy_b: torch.Tensor) -> torch.Tensor:
    return (a * b).mean(dim=(-2, -1)) / (energy_a * energy_b + 1e-3).sqrt()
