"""Finds frames that repeat the picture before them.

A video at 50 frames per second may hold only 25 pictures per second: players, screen recorders and `ffmpeg -r` fill up
by repetition. Between repeated frames nothing changes but the noise of the codec, which is far less than between two
pictures. A detector that takes them for adjacent pictures takes a lip-sync for a steady, real mouth.
"""

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np

BLOCK = 8
"""Side of the blocks that are compared, in px: the block of the usual codecs."""
HISTORY = 50
"""Number of changes between pictures that describe what is usual in this video: about two seconds."""
USUAL_QUANTILE = 0.9
"""Quantile of the history that stands for a usual change: high, so that a few missed repeats do not lower it."""
RELATIVE_LIMIT = 0.15
"""A frame that changes less than this fraction of a usual change is a repeat. On 24 real clips brought to 50 frames per
second, this finds 100 %, 97 % and 56 % of the repeats after re-encoding at CRF 10, 23 and 35, and leaves out 5 % of
their own frames: pauses, in which nothing moves."""
MIN_LIMIT, MAX_LIMIT = 2.0, 12.0
"""Range of the limit, in grey levels. Below it lies the noise of a good codec; above it, something moves."""

MOUTH_LIMIT = 3.0
"""A mouth that changes less is a repeat, in grey levels, although the picture is new. Low, because a mouth has few
blocks, and real mouths under strong compression change little: limits of 6 and more leave out a tenth of them."""
PERIODS = (2, 3, 4, 5, 6)
"""Cadences of common conversions, in frames: 25 to 50, 24 to 30 or 60, 25 to 30 pictures per second, ..."""
CADENCES = 4
"""Number of periods that establish a cadence."""
CADENCE_LIMIT, CADENCE_QUANTILE = 0.35, 0.75
"""In a cadence, a frame that changes less than this fraction of this quantile of the recent changes is a repeat."""
MAX_HOLD = 0.25
"""Longest time for which a picture may be held until the next one, in s. After a longer one, for example when a call
froze, the next picture is not adjacent."""


class RepeatFilter:
    """Recognises repeats in a stream of pictures of one scene, by comparison with the last picture that was new."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._changes: deque[float] = deque(maxlen=HISTORY)  # of all frames
        self._new_changes: deque[float] = deque(maxlen=HISTORY)  # of frames with a new picture

    def is_repeat(self, image: np.ndarray) -> bool:
        """Whether an image (H, W, 3) uint8 BGR shows the same picture as the last new one. If not, it is the last one.

        An image of another size is new.
        """
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        if self._last is not None and self._last.shape == grey.shape:
            change = largest_change(self._last, grey)
            repeat = self._is_small(change) or self._is_due(change)
            self._changes.append(change)
            if repeat:
                return True
            self._new_changes.append(change)
        self._last = grey
        return False

    def _is_small(self, change: float) -> bool:
        """Whether a change is far smaller than usual."""
        usual = _quantile(self._new_changes, USUAL_QUANTILE) if self._new_changes else 0.0
        return change < min(max(RELATIVE_LIMIT * usual, MIN_LIMIT), MAX_LIMIT)

    def _is_due(self, change: float) -> bool:
        """Whether a smaller change continues a cadence: repeats after bad compression, in which much changes."""
        changes = list(self._changes)
        for period in PERIODS:
            recent = changes[-CADENCES * period :]
            if len(recent) < CADENCES * period:
                return False
            limit = CADENCE_LIMIT * _quantile(recent, CADENCE_QUANTILE)
            if change < limit and max(recent[::period]) < limit:
                return True
        return False


def _quantile(values: Sequence[float], q: float) -> float:
    return sorted(values)[int(q * len(values))]


class MouthPictures:
    """Numbers the pictures of one mouth, which may be repeated although something else moves: a talking head of 25
    pictures per second in a screen recording of 50, or a call that freezes under a running caption."""

    def __init__(self) -> None:
        self.repeats = 0
        """Number of repeats so far."""
        self._holds, self._last_number, self._last_time = 0, -1, 0.0
        self._box: tuple[slice, slice] | None = None
        self._patch: np.ndarray | None = None

    def number(self, picture: int, time: float, image: np.ndarray, lips: np.ndarray) -> int | None:
        """Number the next picture of the mouth.

        Args:
            picture: Number of the picture in the video.
            time: Its presentation time in s.
            image: (H, W, 3) uint8 BGR.
            lips: (P, 2) lip outline in px.

        Returns:
            Its number, adjacent to the last one if the two mouths are adjacent; None for a repeat.
        """
        if self._patch is not None and image.shape[0] >= self._box[0].stop and image.shape[1] >= self._box[1].stop:
            now = cv2.cvtColor(image[self._box], cv2.COLOR_BGR2GRAY)
            if largest_change(self._patch, now) < MOUTH_LIMIT:
                self.repeats += 1
                return None
        left, top = np.floor(lips.min(axis=0)).astype(int).clip(0)
        right, bottom = np.ceil(lips.max(axis=0)).astype(int) + 1
        self._box = slice(top, min(bottom, image.shape[0])), slice(left, min(right, image.shape[1]))
        self._patch = cv2.cvtColor(image[self._box], cv2.COLOR_BGR2GRAY)
        number = picture - self.repeats + self._holds
        if time - self._last_time > MAX_HOLD and number == self._last_number + 1:
            self._holds += 1
            number += 1
        self._last_number, self._last_time = number, time
        return number


def largest_change(before: np.ndarray, after: np.ndarray) -> float:
    """The mean absolute difference of the block that differs most between two grey images (H, W) uint8.

    A moving mouth in a large still picture fills a few blocks: a mean over the picture would not notice it. Remaining
    rows and columns that do not fill a block are ignored, unless the image is smaller than a block.
    """
    change = cv2.absdiff(before, after)
    height, width = (max(1, side // BLOCK) for side in change.shape)
    whole = change[: height * BLOCK, : width * BLOCK]
    return float(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA).max())
