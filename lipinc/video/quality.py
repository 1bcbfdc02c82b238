"""Measures the input quality of a video outside the faces, where nobody forged anything.

A detector of forged mouths reads fine detail. Whether a video still has any does not depend on what was done to its
mouths, so it is measured on the picture around the faces, at the size of the file: in blocks of 16 x 16 px, near the
faces where enough of the picture is left there, because that is about as far from the camera as they are.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields

import cv2
import numpy as np

BLOCK = 16
"""Side of a block in px: corners of a tight face crop hold a few, and three octaves of detail fit in."""
GRID = 8
"""Side in px of the blocks in which codecs transform a picture; BLOCK is a multiple of it."""
MIN_BLOCKS, MAX_BLOCKS = 8, 128
"""Number of blocks measured in a picture: fewer say nothing, more cost time."""
MIN_NEAR_BLOCKS = 32
"""With fewer blocks near the faces, the rest of the picture is measured too."""
MARGIN, SURROUNDINGS = 0.2, 1.0
"""Fractions of a face's box by which it is enlarged on each side: what is left out, and what is near."""
MAX_PICTURES, FIRST_INTERVAL = 60, 12
"""Pictures that are measured in a video, and at first one of how many."""
BLACK = 32
"""Grey level below which rows and columns at the border of a picture are a letterbox."""
BLACK_MARGIN = 4
"""Rows and columns next to a letterbox, in px, in which a codec blends it with the picture."""
MEAN_RANGE = 24.0, 232.0
"""Mean grey level of blocks whose noise is measured: darker and brighter ones are clipped."""
MIN_TEXTURE = 4.0
"""Standard deviation in grey levels of a block in which sharpness is measured."""
IN_FOCUS = 0.75
"""Quantile over these blocks: most of the surroundings of a face may be out of focus. A higher one would measure a
caption or a logo."""
FLAT = 0.25
"""Fraction of the blocks, the flattest ones, in which noise is measured."""
EDGE = 16.0
"""Difference of two pixels in grey levels above which they belong to an edge of the scene, not of the codec's grid."""
ROUNDING = 1 / 12
"""Variance that rounding to whole grey levels adds."""

_WINDOW = np.outer(np.hanning(BLOCK + 1)[:-1], np.hanning(BLOCK + 1)[:-1]).astype(np.float32)
_FREQUENCY = np.hypot(np.fft.fftfreq(BLOCK)[:, None], np.fft.rfftfreq(BLOCK)[None])
"""In cycles per px."""
_WEIGHT = np.where(np.isin(np.arange(BLOCK // 2 + 1), (0, BLOCK // 2)), 1, 2) / (_WINDOW**2).sum() / BLOCK**2
"""Turns the squared spectrum of a windowed block into its contributions to the variance."""


@dataclass(frozen=True)
class Quality:
    """Input quality of one face of a video. Each measure is nan if it is unknown."""

    face_height: float
    """Median height of the box of the face's landmarks, in px of the frame in the file."""
    sharpness: float
    """Energy of the finest octave of detail (1/4 to 1/2 cycle per px) relative to that of all three octaves in
    textured blocks, as log2. Blurred and enlarged pictures have less."""
    noise: float
    """Standard deviation of the noise of the luma in flat blocks, in grey levels. Codecs remove most of it."""
    blockiness: float
    """Mean absolute difference of neighbouring pixels across the lines of the codec's grid, relative to the others
    (natural logarithm). About 0 without a visible grid."""
    frame_rate: float
    """Pictures of the mouth per second, by the presentation times, without repeats and pauses."""
    bits_per_pixel: float
    """Size of the coded frames, without sound, by the number of pixels of all pictures without repeats, in bit. nan for
    a folder of pictures."""
    repeats: float
    """Fraction of the frames that repeat the picture before them."""

    def to_array(self) -> np.ndarray:
        """(Q,) float32, in the order of QUALITY_NAMES."""
        return np.array(astuple(self), dtype=np.float32)

    @classmethod
    def from_array(cls, values: np.ndarray) -> "Quality":
        """From the (Q,) values of `to_array`."""
        return cls(*map(float, values))

    def outside(self, limits: Mapping[str, tuple[float, float]]) -> list[str]:
        """Return the names of the measures that lie outside their limits; see `outside_limits`."""
        is_outside = outside_limits(np.array(astuple(self)), limits)
        return [name for name, out in zip(QUALITY_NAMES, is_outside, strict=True) if out]


QUALITY_NAMES = tuple(field.name for field in fields(Quality))
"""Names of the Q measures, in the order of `Quality.to_array`."""


def outside_limits(values: np.ndarray, limits: Mapping[str, tuple[float, float]]) -> np.ndarray:
    """Return which measures lie outside their limits: (*S, Q) bool. Unknown ones (nan), and those without limits, do
    not.

    Args:
        values: (*S, Q) float, in the order of QUALITY_NAMES.
        limits: name of a measure -> lowest and highest value.
    """
    low, high = np.array([limits.get(name, (-np.inf, np.inf)) for name in QUALITY_NAMES]).T
    return (values < low) | (values > high)


class QualityMeter:
    """Sharpness, noise and blockiness of a video: the medians over some of its pictures, evenly spread.

    Memory and time do not grow with the length of the video: when MAX_PICTURES are measured, every second one is
    dropped, and from then on only half as many are measured.
    """

    def __init__(self) -> None:
        self._interval, self._next = FIRST_INTERVAL, 0
        self._measured: list[tuple[float, float, float]] = []

    def add(self, number: int, image: np.ndarray, boxes: np.ndarray) -> None:
        """Measure a picture, if it is due.

        Args:
            number: Number of the picture in the video, increasing.
            image: (H, W, 3) uint8 BGR at the size of the file.
            boxes: (M, 4) left, top, right, bottom of all its faces in px.
        """
        if number < self._next:
            return
        self._measured.append(measure_picture(image, boxes))
        if len(self._measured) == MAX_PICTURES:
            self._measured, self._interval = self._measured[::2], 2 * self._interval
        self._next = number + self._interval

    @property
    def medians(self) -> tuple[float, float, float]:
        """Sharpness, noise and blockiness (see Quality); nan where no picture has a value."""
        values = np.array(self._measured).reshape(-1, 3).T
        return tuple(float(np.median(row[known])) if (known := ~np.isnan(row)).any() else np.nan for row in values)


def measure_picture(image: np.ndarray, boxes: np.ndarray) -> tuple[float, float, float]:
    """Sharpness, noise and blockiness (see Quality) of a picture outside its faces; nan where too little is left.

    Args:
        image: (H, W, 3) uint8 BGR.
        boxes: (M, 4) left, top, right, bottom of its faces in px.
    """
    corners = _choose_blocks(_without_letterbox(image), boxes)
    if len(corners) < MIN_BLOCKS:
        return np.nan, np.nan, np.nan
    pixels = np.concatenate([image[top : top + BLOCK, left : left + BLOCK] for top, left in corners])
    blocks = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY).reshape(-1, BLOCK, BLOCK).astype(np.float32)
    fine, coarse = _octaves(blocks)
    return _sharpness(fine, coarse), _noise(blocks, coarse), _blockiness(blocks)


def _without_letterbox(image: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a picture without the black bars at its borders."""
    sides = []
    for axis, sample in ((0, image[::BLOCK, :, 1]), (1, image[:, :: 4 * BLOCK, 1])):  # green is most of the luma
        lit = np.flatnonzero(sample.max(axis=axis) >= BLACK)
        length = image.shape[1 - axis]
        if not lit.size:
            return 0, 0, 0, 0
        first, last = int(lit[0]), int(lit[-1]) + 1
        sides.append((first + BLACK_MARGIN * (first > 0), last - BLACK_MARGIN * (last < length)))
    (left, right), (top, bottom) = sides
    return left, top, right, bottom


def _choose_blocks(area: tuple[int, int, int, int], boxes: np.ndarray) -> np.ndarray:
    """(B, 2) int: top and left of the blocks to measure, on the codec's grid."""
    left, top, right, bottom = area
    tops, lefts = (
        np.arange(-(-start // GRID) * GRID, stop - BLOCK + 1, BLOCK) for start, stop in ((top, bottom), (left, right))
    )
    outside = ~_touches(tops, lefts, boxes, MARGIN)
    near = outside & _touches(tops, lefts, boxes, SURROUNDINGS)
    rows, columns = np.nonzero(near if near.sum() >= MIN_NEAR_BLOCKS else outside)
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), MAX_BLOCKS)).astype(int)
    return np.stack([tops[rows[chosen]], lefts[columns[chosen]]], axis=1)


def _touches(tops: np.ndarray, lefts: np.ndarray, boxes: np.ndarray, margin: float) -> np.ndarray:
    """(T, L) bool: whether the blocks at these rows (T,) and columns (L,) touch any of the boxes, each enlarged by a
    fraction of its size on each side."""
    start, stop = boxes[:, :2], boxes[:, 2:]
    (left, top), (right, bottom) = (start - margin * (stop - start)).T, (stop + margin * (stop - start)).T
    in_rows = (tops + BLOCK > top[:, None]) & (tops < bottom[:, None])  # (M, T)
    in_columns = (lefts + BLOCK > left[:, None]) & (lefts < right[:, None])
    return (in_rows[:, :, None] & in_columns[:, None, :]).any(axis=0)


def _octaves(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance (B,) of blocks in the finest octave, 1/4 to 1/2 cycle per px, and in all that is coarser."""
    # Not by BLAS: its threads would wait for the next picture at full speed.
    mean = (blocks * _WINDOW).sum(axis=(1, 2)) / _WINDOW.sum()
    spectrum = np.fft.rfft2((blocks - mean[:, None, None]) * _WINDOW)
    power = (spectrum.real**2 + spectrum.imag**2) * _WEIGHT
    fine = (_FREQUENCY >= 0.25) & (_FREQUENCY <= 0.5)
    return power[:, fine].sum(axis=1), power[:, _FREQUENCY < 0.25].sum(axis=1)


def _sharpness(fine: np.ndarray, coarse: np.ndarray) -> float:
    texture = fine + coarse
    textured = texture >= MIN_TEXTURE**2
    if not textured.any():
        return np.nan
    return float(np.quantile(np.log2((fine[textured] + ROUNDING) / texture[textured]), IN_FOCUS))


def _noise(blocks: np.ndarray, coarse: np.ndarray) -> float:
    """Immerkaer, Fast noise variance estimation, 1996."""
    exposed = np.flatnonzero((blocks.mean(axis=(1, 2)) >= MEAN_RANGE[0]) & (blocks.mean(axis=(1, 2)) <= MEAN_RANGE[1]))
    if len(exposed) < MIN_BLOCKS:
        return np.nan
    # The flattest blocks by their coarse detail: choosing them by the noise itself would find too little of it.
    flat = blocks[exposed[np.argsort(coarse[exposed], kind="stable")[: max(1, round(FLAT * len(exposed)))]]]
    residue = np.diff(np.diff(flat, n=2, axis=1), n=2, axis=2)  # [1 -2 1] in both directions: 36 times the variance
    return float(np.sqrt(np.pi / 2) / 6 * np.median(np.abs(residue).mean(axis=(1, 2))))


def _blockiness(blocks: np.ndarray) -> float:
    logs = []
    for axis in (1, 2):
        steps = np.minimum(np.abs(np.diff(blocks, axis=axis)), EDGE).mean(axis=(0, 3 - axis))  # (BLOCK - 1,)
        phases = np.array([steps[phase::GRID].mean() for phase in range(GRID)])
        line = phases.argmax()
        others = np.delete(phases, line).mean()
        if others > 0:
            logs.append(np.log(phases[line] / others))
    return float(np.mean(logs)) if logs else np.nan
