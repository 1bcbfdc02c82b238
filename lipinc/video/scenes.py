"""Numbers the scenes of a video: what one camera shows, also if other pictures come between.

The light, the camera and the size of a face are the same throughout a scene, but not from one scene to the next. A jump
cut, which leaves out some seconds of a speech, stays in its scene; an interview that cuts between two people returns to
each of them.
"""

from collections import deque

import cv2
import numpy as np

SIDE = 80
"""Pictures are compared at about this many px of their longer side, by leaving out pixels."""
HISTORY = 12
"""Number of changes between pictures that describe what is usual: half a second."""
MIN_CHANGE, RELATIVE_CHANGE = 15.0, 4.0
"""Mean absolute difference in grey levels that a cut has at least, and multiple of the usual change. On 111 real clips,
98 % of the cuts between two clips of one source are found; 15 of 14 470 other pictures are taken for one."""
SAME_SCENE = 28.0
"""A picture after a cut that differs by less from the last picture of a scene belongs to it. So do 94 % of any two
pictures of a clip, and 2 % of two clips of one source."""
MAX_SCENES = 100
"""Scenes that are remembered; when there are more, the one that was seen longest ago is forgotten."""


class SceneFinder:
    """Numbers the scenes of a stream of pictures."""

    def __init__(self) -> None:
        self.scene = -1
        """Number of the scene that the last picture shows, from 0."""
        self.cuts = 0
        """Number of cuts so far."""
        self._count = 0
        self._last: dict[int, tuple[tuple[int, ...], np.ndarray]] = {}
        self._changes: deque[float] = deque(maxlen=HISTORY)

    def add(self, image: np.ndarray) -> None:
        """Add the next image (H, W, 3) uint8 BGR. Images of different sizes are different scenes."""
        step = max(1, max(image.shape[:2]) // SIDE)
        # As items of a whole pixel, which are copied twice as fast as those of a channel.
        small = np.ascontiguousarray(image.view("V3")[::step, ::step]).view(np.uint8)
        if not self._count or self._is_cut(image.shape, small):
            self.cuts += self._count > 0
            self._changes.clear()
            self.scene = self._find(image.shape, small)
        self._last.pop(self.scene, None)  # so that the latest is the last one
        self._last[self.scene] = image.shape, small
        if len(self._last) > MAX_SCENES:
            del self._last[next(iter(self._last))]

    def _is_cut(self, shape: tuple[int, ...], small: np.ndarray) -> bool:
        last_shape, last = self._last[self.scene]
        if shape != last_shape:
            return True
        change = _difference(small, last)
        usual = sorted(self._changes)[len(self._changes) // 2] if self._changes else change
        self._changes.append(change)
        return change > max(MIN_CHANGE, RELATIVE_CHANGE * usual)

    def _find(self, shape: tuple[int, ...], small: np.ndarray) -> int:
        """The most similar scene, or a new one."""
        known = {number: _difference(small, last) for number, (size, last) in self._last.items() if size == shape}
        nearest = min(known, key=known.get, default=None)
        if nearest is not None and known[nearest] < SAME_SCENE:
            return nearest
        self._count += 1
        return self._count - 1


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference."""
    return cv2.norm(a, b, cv2.NORM_L1) / a.size
