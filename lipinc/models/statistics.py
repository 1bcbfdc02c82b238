"""MouthStatistics: the papers' inconsistencies measured by fixed filters, and a small network that reads them.

Not in the papers. Their networks have to find out from pixels that a generated mouth is smoother than the camera's
noise, that its texture does not go with the skin from frame to frame, and that its colours change together. On a
hundred videos they cannot; here 258 numbers say it (216 with three bands), and some 20 thousand weights are left to
learn. Interpolation changes most of them, so that they say most of mouths cut natively (`mouth.cut`).

>>> model = MouthStatistics()
>>> logits = model(frames, residues)  # (B, 8, 64, 144, 3) and (B, 7, 64, 144, 3), 0..255, BGR -> (B, 2), 1 = fake
"""

import torch
from torch import nn
from torch.nn import functional

from lipinc.models.precision import to_float

COLOURS = torch.tensor(((0.25, 0.5, 0.25), (1.0, -1.0, 0.0), (0.5, -1.0, 0.5)))
"""Of (blue, green, red): brightness, and two opponent colours that are 0 for grey."""
BINOMIAL = torch.tensor((1.0, 4.0, 6.0, 4.0, 1.0)) / 16
"""The filter that smooths, along each axis."""
SHIFTS = (1, 2, 4, 8)
"""In px, at which the differences of frames are compared with themselves."""
FLOOR = 0.05
"""Added to energies, in squared grey levels, before the logarithm: below it there is only rounding."""
LARGEST = 4.0
"""Statistics are cut at so many standard deviations: what lies beyond was not trained on."""


class MouthStatistics(nn.Module):
    """Statistics of a clip, standardised, and a network of two hidden layers."""

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
        noise: float = 0.3,
        batch_norm_momentum: float = 0.1,
    ):
        """local_frames: how many of the frames are adjacent ones; height, width: of the smallest mouth in px; levels:
        bands of the pyramid, each at half the size; input_dropout, noise: share of the standardised statistics that
        training hides, and standard deviation of what it adds; batch_norm_momentum: weight of a new batch in the
        running statistics."""
        super().__init__()
        if local_frames < 3:
            raise ValueError("the changes of a change need at least 3 local frames")
        if min(height, width) >> levels < 2 or min(height, width) <= max(SHIFTS):
            raise ValueError(f"{levels} bands need mouths of more than {max(max(SHIFTS), 2**levels)} px")
        self.local_frames, self.levels, self.noise = local_frames, levels, noise
        size = len(self.names())

        def layer(inputs: int) -> list[nn.Module]:
            norm = nn.BatchNorm1d(hidden, momentum=batch_norm_momentum)
            return [nn.Linear(inputs, hidden), norm, nn.ReLU(), nn.Dropout(dropout)]

        self.standardise = nn.BatchNorm1d(size, affine=False, momentum=batch_norm_momentum)
        hide = nn.Dropout(input_dropout)
        self.network = nn.Sequential(hide, *layer(size), *layer(hidden), nn.Linear(hidden, 2))

    def forward(self, frames: torch.Tensor, residues: torch.Tensor) -> torch.Tensor:
        """frames: (B, N, H, W, 3) BGR, 0..255, uint8 or float, or the `statistics` (B, F) of clips measured before.
        Returns logits (B, 2). The residues are not looked at: differences are formed from the frames, with their sign
        and size, and over local frames alone."""
        with torch.autocast(frames.device.type, enabled=False):  # differences of one grey level need their bits
            measured = frames if frames.dim() == 2 else self.statistics(frames)
            x = self.standardise(measured).clamp(-LARGEST, LARGEST)
        if self.training and self.noise:
            x = x + self.noise * torch.randn_like(x)
        return self.network(x)

    def names(self) -> list[str]:
        """What each of the F statistics is, in order: "energy 0 brightness mean" and so on."""
        colours = ("brightness", "blue-green", "magenta-green")
        bands = [str(level) for level in range(self.levels + 1)]
        pairs = ("brightness with blue-green", "brightness with magenta-green", "blue-green with magenta-green")
        of_bands = ("energy", "change", "persistence", "likeness to global", "colours together", "peakedness", "unrest")
        names = [
            f"{what} {band} {colour}"
            for band in bands
            for what in of_bands
            for colour in (pairs if what == "colours together" else colours)
        ]
        names += [
            f"smoothness {shift} px {way} {colour}"
            for shift in SHIFTS
            for way in ("down", "right")
            for colour in colours
        ]
        return [f"{name} {moment}" for name in names for moment in ("mean", "deviation")]

    def statistics(self, frames: torch.Tensor) -> torch.Tensor:
        """frames (B, N, H, W, 3) -> (B, F) float32, in the order of `names`: the mean and the standard deviation, over
        frames or pairs of frames, of

        - for each band of a Laplacian pyramid and each colour: the energy of the local frames; the energy of the change
          between adjacent ones; how far their texture persists (the correlation of adjacent ones), and is that of the
          global frames (of the same pose); how far colours change together; the peakedness of the changes (absolute
          against squared mean); the energy of the change of the change;
        - for each colour: how smooth the change between adjacent frames is over the picture (its correlation with
          itself, some px away).
        """
        local = self.local_frames
        frames = to_float(frames)
        colours = torch.einsum("oc,bnhwc->bnohw", COLOURS.to(frames), frames)
        found: list[torch.Tensor] = []
        for band in self._bands(colours):
            change = band[:, 1:local] - band[:, : local - 1]
            energy, change_energy = _energy(band), _energy(change)
            unrest = _energy(change[:, 1:] - change[:, :-1])
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
                (unrest + FLOOR).log(),
            ]
        change = colours[:, 1:local] - colours[:, : local - 1]
        change = change - change.mean(dim=(3, 4), keepdim=True)
        for shift in SHIFTS:
            for way in (3, 4):
                size = change.shape[way] - shift
                near, far = change.narrow(way, 0, size), change.narrow(way, shift, size)
                found.append(_correlation(near, far, _energy(near), _energy(far)))
        # (B, pairs or frames, 3) each -> (B, 3, 2) -> (B, F)
        moments = [torch.stack([one.mean(dim=1), one.std(dim=1)], dim=2) for one in found]
        return torch.cat([one.flatten(1) for one in moments], dim=1)

    def _bands(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """(B, N, 3, H, W) -> a Laplacian pyramid of it; the last band is what is left, without its mean."""
        bands = []
        for _ in range(self.levels):
            smooth = _smooth(pictures)
            bands.append(pictures - smooth)
            pictures = smooth[..., ::2, ::2]
        return [*bands, pictures - pictures.mean(dim=(3, 4), keepdim=True)]


def _smooth(pictures: torch.Tensor) -> torch.Tensor:
    planes = pictures.flatten(1, 2)  # (B, N 3, H, W): a plane for itself each, which is what CPUs are fast at
    kernel = torch.outer(BINOMIAL, BINOMIAL).to(planes).expand(planes.shape[1], 1, -1, -1)
    padded = functional.pad(planes, (2, 2, 2, 2), mode="replicate")
    return functional.conv2d(padded, kernel, groups=planes.shape[1]).unflatten(1, pictures.shape[1:3])


def _energy(pictures: torch.Tensor) -> torch.Tensor:
    return pictures.square().mean(dim=(-2, -1))


def _correlation(a: torch.Tensor, b: torch.Tensor, energy_a: torch.Tensor, energy_b: torch.Tensor) -> torch.Tensor:
    return (a * b).mean(dim=(-2, -1)) / (energy_a * energy_b + 1e-3).sqrt()
