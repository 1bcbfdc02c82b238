"""Turns decoded pictures upright, as the display matrix of their file says."""

import itertools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Orientation:
    """How a stored picture is shown: mirrored left to right if `mirrored`, then turned clockwise by `rotation`."""

    rotation: int = 0
    """0, 90, 180 or 270 degrees clockwise."""
    mirrored: bool = False

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return an image (H, W, 3) as it is shown. The result is contiguous."""
        if self.mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(np.rot90(image, -self.rotation // 90))

    def __str__(self) -> str:
        words = ["mirrored"] * self.mirrored + [f"turned clockwise by {self.rotation} degrees"] * bool(self.rotation)
        return " and ".join(words) or "upright"


def nearest_orientation(matrix: bytes) -> Orientation:
    """Return the orientation nearest to a display matrix; a matrix without a direction is upright.

    Args:
        matrix: 9 int32 in native byte order, a b u c d v x y w: FFmpeg's AV_FRAME_DATA_DISPLAYMATRIX. A pixel at (p, q)
            is shown at (a p + c q, b p + d q), apart from the offset; p and q count to the right and downwards.
    """
    a, b, _, c, d = np.frombuffer(matrix, dtype=np.int32)[:5].astype(float)
    scores = {
        orientation: a * ca + b * cb + c * cc + d * cd for orientation, (ca, cb, cc, cd) in _EIGHT.items()
    }  # the cosine of the angle between both matrices, apart from a common factor
    return max(scores, key=scores.__getitem__)  # of equal ones the first: upright


def _coefficients(rotation: int, mirrored: bool) -> tuple[int, int, int, int]:
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[rotation]
    sign = -1 if mirrored else 1
    return sign * cosine, sign * sine, -sine, cosine


_EIGHT = {
    Orientation(rotation, mirrored): _coefficients(rotation, mirrored)
    for mirrored, rotation in itertools.product((False, True), (0, 90, 180, 270))
}
