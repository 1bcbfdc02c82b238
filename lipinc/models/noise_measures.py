"""Noise measures: hand-crafted statistics of mouth noise and of its consistency over time.

Not in the papers. A generated mouth lacks camera noise, its texture does not move with the skin, and its colour
channels change together. A network that learns this from pixels needs more than a hundred videos. Interpolation changes
most measures, so they are most informative on native mouth crops (`mouth.cut`).

>>> measure = NoiseMeasures(local_frames=5, levels=4)
>>> features = measure(frames)  # (B, 8, 64, 144, 3) 0..255 BGR -> (B, 258)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn import functional

from lipinc.losses.precision import to_float

COLOURS = torch.tensor(((0.25, 0.5, 0.25), (1.0, -1.0, 0.0), (0.5, -1.0, 0.5)))
"""Weights of (blue, green, red) for brightness and two opponent colour channels, which are 0 for grey."""
BINOMIAL = torch.tensor((1.0, 4.0, 6.0, 4.0, 1.0)) / 16
"""Smoothing filter, applied along each axis."""
SHIFTS = (1, 2, 4, 8)
"""Offsets in px for the spatial autocorrelation of frame differences."""
REGION_BANDS = 2
"""Number of bands whose energy is compared between the regions of the mouth."""
ROWS, COLUMNS = ("top", "middle", "bottom"), ("centre", "sides")
"""Regions of the mouth: a grid of 3 x 3, of which left and right are averaged."""
FLOOR = 0.05
"""Offset added to energies before the logarithm, in squared grey levels; smaller energies are rounding errors."""


@dataclass(frozen=True)
class NoiseMeasures:
    """What is measured, and the measurement."""

    local_frames: int
    """Number of adjacent frames at the start of a clip, at least 3."""
    levels: int
    """Bands of the Laplacian pyramid, each at half the size of the previous one."""
    chroma: bool = True
    """Measure colour channels, too. Codecs and cameras treat colours so differently that they mislead a detector on
    sources that it was not trained on."""
    regions: bool = False
    """Compare the energy of the finest bands between the regions of the mouth: lips, teeth and the skin around them."""

    def check(self, height: int, width: int) -> None:
        """Raise ValueError if mouths of at least this size, in px, cannot be measured."""
        if self.local_frames < 3:
            raise ValueError("second differences need at least 3 local frames")
        if min(height, width) >> self.levels < 2 or min(height, width) <= max(SHIFTS):
            raise ValueError(f"{self.levels} bands need mouths of more than {max(max(SHIFTS), 2**self.levels)} px")

    @property
    def colours(self) -> torch.Tensor:
        """(C, 3) float32: weights of the measured channels."""
        return COLOURS if self.chroma else COLOURS[:1]

    def names(self) -> list[str]:
        """Return the names of the F features, in order: "energy 0 brightness mean" etc."""
        colours = ("brightness", "blue-green", "magenta-green") if self.chroma else ("brightness",)
        bands = [str(level) for level in range(self.levels + 1)]
        pairs = ("brightness with blue-green", "brightness with magenta-green", "blue-green with magenta-green")
        pairs = pairs if self.chroma else ()
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
        names = [f"{name} {moment}" for name in names for moment in ("mean", "deviation")]
        bands = range(REGION_BANDS if self.regions else 0)
        return names + [
            f"relative energy {band} {row} {column}" for band in bands for row in ROWS for column in COLUMNS
        ]

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """Measure clips.

        The features are the mean and the standard deviation, over frames or pairs of frames, of

        - for each band of a Laplacian pyramid and each colour channel: the energy of the local frames; the energy of
          the difference between adjacent frames; the temporal correlation; the local-global correlation (the global
          frames have the same pose); the cross-channel correlation of the differences; the L1/L2 ratio of the
          differences; the energy of the second difference;
        - for each colour channel: the spatial autocorrelation of the difference between adjacent frames;

        and, with `regions`, the mean energy of the finest bands in each region, relative to all regions.

        Args:
            frames: (B, N, H, W, 3) uint8 or float, BGR, 0..255. Global frames follow the local ones.

        Returns:
            (B, F) float32, in the order of `names`.
        """
        # bf16 cannot resolve differences of one grey level.
        with torch.autocast(frames.device.type, enabled=False), one_thread():
            return self._measure(to_float(frames))

    def _measure(self, frames: torch.Tensor) -> torch.Tensor:
        local = self.local_frames
        colours = torch.einsum("oc,bnhwc->bnohw", self.colours.to(frames), frames)
        found: list[torch.Tensor] = []
        *bands, rest = laplacian_pyramid(colours, self.levels)
        for band in (*bands, rest - rest.mean(dim=(3, 4), keepdim=True)):
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
        # (B, pairs or frames, C) each -> (B, C, 2) -> (B, F)
        moments = [torch.stack([one.mean(dim=1), one.std(dim=1)], dim=2) for one in found]
        regions = _relative_energies(colours[:, :local, 0]) if self.regions else []
        return torch.cat([one.flatten(1) for one in (*moments, *regions)], dim=1)

    def _between_colours(self, change: torch.Tensor, energy: torch.Tensor) -> list[torch.Tensor]:
        """Return the correlations (B, N, 3) between the colours of changes (B, N, 3, H, W); nothing for one colour."""
        if not self.chroma:
            return []
        pairs = ((0, 1), (0, 2), (1, 2))
        found = [_correlation(change[:, :, a], change[:, :, b], energy[:, :, a], energy[:, :, b]) for a, b in pairs]
        return [torch.stack(found, dim=2)]


def laplacian_pyramid(pictures: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """Return the bands of pictures (B, N, C, H, W), each at half the size of the previous one, and what remains.

    Returns:
        `levels` bands, the finest first, then the low-pass rest: (B, N, C, h, w) each.
    """
    bands = []
    for _ in range(levels):
        smooth = _smooth(pictures)
        bands.append(pictures - smooth)
        pictures = smooth[..., ::2, ::2]
    return [*bands, pictures]


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one CPU thread. Mouths are so small that several gain nothing when all cores are free, and wait for
    each other thirty times as long as they compute when they are not."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _relative_energies(brightness: torch.Tensor) -> list[torch.Tensor]:
    """Return the log energies (B, 3, 2) of each band of pictures (B, L, H, W) in each region, less their mean."""
    found, pictures = [], brightness[:, :, None]
    for _ in range(REGION_BANDS):  # both at full size, so that the regions of small mouths have enough pixels
        smooth = _smooth(pictures)
        squares = (pictures - smooth)[:, :, 0].square()
        grid = (functional.adaptive_avg_pool2d(squares, 3) + FLOOR).log().mean(dim=1)
        grid = grid - grid.mean(dim=(1, 2), keepdim=True)
        found.append(torch.stack([grid[..., 1], (grid[..., 0] + grid[..., 2]) / 2], dim=2))
        pictures = smooth
    return found


def _smooth(pictures: torch.Tensor) -> torch.Tensor:
    planes = pictures.flatten(1, 2)  # (B, N 3, H, W), for a depthwise convolution, which is fast on CPUs
    kernel = torch.outer(BINOMIAL, BINOMIAL).to(planes).expand(planes.shape[1], 1, -1, -1)
    padded = functional.pad(planes, (2, 2, 2, 2), mode="replicate")
    return functional.conv2d(padded, kernel, groups=planes.shape[1]).unflatten(1, pictures.shape[1:3])


def _energy(pictures: torch.Tensor) -> torch.Tensor:
    return pictures.square().mean(dim=(-2, -1))


def _correlation(a: torch.Tensor, b: torch.Tensor, energy_a: torch.Tensor, energy_b: torch.Tensor) -> torch.Tensor:
    return (a * b).mean(dim=(-2, -1)) / (energy_a * energy_b + 1e-3).sqrt()
