"""What is known about a face at each moment of a video: the running fake probability and the box of the mouth."""

from collections.abc import Sequence

import numpy as np

from lipinc.detection.verdict import MouthTrack, WindowScore

MAX_INTERPOLATED = 0.25
"""Maximum time in s between two frames with a mouth, within which its box is interpolated."""


class RunningProbability:
    """The fake probability at each moment: the mean of the windows that cover it.

    A window covers the time from the first to the last of its local frames. Between two windows, each holds up to the
    middle. Before the first and after the last one, there is no probability.
    """

    def __init__(self, windows: Sequence[WindowScore]) -> None:
        starts = np.array([window.start for window in windows], dtype=float)
        # A window that lasts no time (frames may repeat a time) would cover nothing.
        ends = np.maximum(np.array([window.end for window in windows], dtype=float), starts + 1e-6)
        probabilities = np.array([window.probability for window in windows], dtype=float)
        edges = np.unique(np.concatenate([starts, ends]))
        middles = (edges[:-1] + edges[1:]) / 2
        # Of the windows that have started, without those that have ended.
        count = _sum_until(middles, starts, np.ones(len(windows))) - _sum_until(middles, ends, np.ones(len(windows)))
        total = _sum_until(middles, starts, probabilities) - _sum_until(middles, ends, probabilities)
        means = total / np.maximum(count, 1)
        gaps = np.flatnonzero(count == 0)  # each lies between two windows
        means[gaps] = means[gaps - 1]
        self.edges = np.insert(edges, gaps + 1, middles[gaps])
        """(E + 1,) float64, increasing: times in s between which the probability is constant; (0,) without windows."""
        self.values = np.insert(means, gaps + 1, means[gaps + 1])
        """(E,) float64."""

    def __call__(self, time: float) -> float | None:
        """The probability at a time in s; None outside of all windows."""
        if len(self.values) == 0 or not self.edges[0] <= time <= self.edges[-1]:
            return None
        piece = np.searchsorted(self.edges, time, side="right") - 1
        return float(self.values[min(piece, len(self.values) - 1)])


def box_at(track: MouthTrack, frame_id: int, time: float) -> np.ndarray | None:
    """The box of a mouth in a frame: observed, or interpolated between two observations at most MAX_INTERPOLATED apart.

    Returns:
        (4,) float64 left, top, right, bottom in px of the turned picture; None if the mouth is not known.
    """
    position = int(np.searchsorted(track.frame_ids, frame_id))
    if position < len(track.frame_ids) and track.frame_ids[position] == frame_id:
        return track.boxes[position].astype(float)
    if position in (0, len(track.frame_ids)):
        return None
    before, after = track.times[position - 1 : position + 1]
    if not before <= time <= after or after - before > MAX_INTERPOLATED + 1e-6:  # rounded time stamps
        return None
    weight = (time - before) / max(after - before, 1e-9)
    return (1 - weight) * track.boxes[position - 1] + weight * track.boxes[position]


def _sum_until(moments: np.ndarray, times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each moment, the sum of the values whose times are not after it."""
    order = np.argsort(times, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(values[order])])
    return sums[np.searchsorted(times[order], moments, side="right")]
