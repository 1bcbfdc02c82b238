"""Finds stretches of a video whose mouth scores higher than the rest of the same video: a video may be forged in part.

The level of the score differs between cameras, by more than a forgery changes it. Within one video the level is known
from the rest, so a forged stretch stands out although no window of it does. All stretches are compared with the rest
(circular binary segmentation: Olshen, Venkatraman, Lucito, Wigler, Biostatistics 2004), by a score that accounts for
the noise of the windows and for what is known about the level: much if the rest is long, and from other cameras alone
if there is no rest. A steady video has no suspicious stretch, however high its score is: the whole decides on it.

A long video has more places where noise may look like a forgery. The probability of a segment therefore counts the
stretches that score as high in a real video of the same length, and the decision on a video depends on it.

The constants come from `python -m benchmarks.segments`; docs/results.md has the error rates.
"""

from dataclasses import dataclass

import numpy as np

NOISE = 1.65
"""Standard deviation of the calibrated logits of the windows of a real video: median over videos."""
NOISE_WINDOWS = 20
"""The noise is measured in each video, and `NOISE` counts like a measurement of so many windows."""
MAX_DEVIATIONS = 4.0
"""Logits are clipped to this distance from the median of the video, in units of its noise: one odd window must not
decide on a stretch."""
CORRELATION = 1.7
"""Variance of the mean of adjacent windows, relative to that of as many independent ones."""
LEVEL = -1.4
"""Mean level of real videos, a calibrated logit."""
LEVEL_VARIANCE, DRIFT_VARIANCE = 0.8, 1.0
"""Variances of the level of real videos: what all stretches of a video have in common, and what differs from shot to
shot. Chosen so that one threshold flags as little of videos with many shots as of those with one."""
CONTRAST = 1.6
"""Distance from the rest of the same video, in standard deviations of the noise, that a score of 1 needs at least.
Otherwise noise would be flagged in a steady video at a high level, such as that of an unusual camera."""
MIN_WINDOWS = 6
"""Minimum number of windows in a stretch, and in the rest of the video."""
MIN_SECONDS = 1.0
"""Minimum duration of a stretch."""
LENGTH_RATIO, LENGTH_STEPS = 1.2, 8
"""Ratio of one examined length to the next, and the number of places a length apart at which it is examined. The ends
of what is found are then refined window by window."""
MIN_SCORE = 1.9
"""Lowest score of a segment, chosen so that at most 2 % of the real minutes of the benchmark are in segments."""
RATE_SCORE, RATE_SLOPE = 1.4, 2.15
"""Real videos have exp(-RATE_SLOPE (score - RATE_SCORE)) stretches a minute with at least this score."""
FOUND = 0.3
"""Fraction of forged stretches that are found."""
DOUBTFUL, FAKE = 0.75, 0.98
"""A video with a segment of at least these probabilities is at least `uncertain`, and `fake`."""


@dataclass(frozen=True)
class Segment:
    """A suspicious stretch of a video."""

    start: float
    """Presentation time of the first frame of its first window, in s."""
    end: float
    """Presentation time of the last frame of its last window, in s."""
    probability: float
    """Probability that it is forged, 0..1, if every other video has a forged stretch: FOUND / (FOUND + R) with R
    stretches that score as high in a real video of this length. It is a score, not a probability, for kinds of
    forgeries and of cameras unlike those of the benchmark."""


def find_segments(start: np.ndarray, end: np.ndarray, logit: np.ndarray) -> tuple[Segment, ...]:
    """Find the suspicious stretches of one face. Time and memory are proportional to W.

    Args:
        start: (W,) float, presentation time of the first local frame of each window in s, increasing.
        end: (W,) float, of the last local frame.
        logit: (W,) float, calibrated logit(fake) of each window; see `Calibration.logit`.

    Returns:
        Segments in temporal order; they do not overlap. None in a video that is steady, or of fewer than
        2 * MIN_WINDOWS windows.
    """
    segments = []
    for first, stop, score in scan(start, end, logit, MIN_SCORE):
        minutes = (end[-1] - start[0]) / 60
        by_chance = minutes * np.exp(RATE_SLOPE * (RATE_SCORE - score))
        segments.append(Segment(float(start[first]), float(end[stop - 1]), float(FOUND / (FOUND + by_chance))))
    return tuple(segments)


def scan(start: np.ndarray, end: np.ndarray, logit: np.ndarray, lowest: float) -> list[tuple[int, int, float]]:
    """Find all stretches with at least a score; see `find_segments`.

    Returns:
        (first, stop, score) in temporal order: windows first..stop - 1, and by how many standard deviations of real
        videos they lie above the level that the rest of the video predicts.
    """
    if len(logit) < 2 * MIN_WINDOWS:
        return []
    stretches, found = _Stretches(start, end, logit), []
    # What was found is not part of the rest any more, which may reveal others.
    while new := stretches.find(lowest):
        stretches.exclude(new)
        found += new
    return [(first, stop, float(stretches.score(first, stop))) for first, stop in sorted(found)]


def decide_in_part(decision: int, segments: tuple[Segment, ...]) -> int:
    """Return the decision on a video that may be forged in part: 1 = fake, 0 = uncertain, -1 = real.

    Segments only raise suspicion: a video that is fake as a whole has none if it is steady.

    Args:
        decision: the decision on the whole, by its mean score; see `Calibration.decide`.
        segments: its suspicious stretches.
    """
    surest = max((segment.probability for segment in segments), default=0.0)
    return max(decision, -1 + (surest >= DOUBTFUL) + (surest >= FAKE))


class _Stretches:
    """Scores of all stretches of a video. A stretch is a range of windows [first, stop)."""

    def __init__(self, start: np.ndarray, end: np.ndarray, logit: np.ndarray):
        self._start, self._end = start, end
        variance = _noise_variance(logit)
        median, width = np.median(logit), MAX_DEVIATIONS * np.sqrt(variance)
        self._values = np.clip(logit, median - width, median + width)
        self._variance = CORRELATION * variance
        self._sums = np.concatenate([[0.0], np.cumsum(self._values)])
        self._is_rest = np.ones(len(logit), dtype=bool)
        self._count_rest()

    def exclude(self, stretches: list[tuple[int, int]]) -> None:
        """Take stretches out of the rest, and out of what is searched."""
        for first, stop in stretches:
            self._is_rest[first:stop] = False
        self._count_rest()

    def _count_rest(self) -> None:
        self._rest, self._rest_sum = int(self._is_rest.sum()), float(self._values[self._is_rest].sum())
        self._excluded = np.concatenate([[0], np.cumsum(~self._is_rest)])

    def score(self, first: np.ndarray | int, stop: np.ndarray | int) -> np.ndarray:
        """Return how far stretches lie above the level that the rest predicts, in standard deviations of real videos.

        The level of the rest is shrunk towards that of real videos, the more the less is known about it (best linear
        unbiased prediction of random effects).
        """
        count, total = stop - first, self._sums[stop] - self._sums[first]
        searched = self._excluded[stop] == self._excluded[first]
        rest = np.maximum(self._rest - searched * count, 1)
        level = (self._rest_sum - searched * total) / rest
        weight = LEVEL_VARIANCE / (LEVEL_VARIANCE + DRIFT_VARIANCE + self._variance / rest)
        variance = self._variance / count + DRIFT_VARIANCE + LEVEL_VARIANCE * (1 - weight)
        above = (total / count - LEVEL - weight * (level - LEVEL)) / np.sqrt(variance)
        contrast = (total / count - level) / np.sqrt(self._variance / count + self._variance / rest)
        return np.minimum(above, contrast / CONTRAST)

    def find(self, lowest: float) -> list[tuple[int, int]]:
        """Return stretches in the rest with at least a score, the highest of those that overlap."""
        longest = self._rest - MIN_WINDOWS
        if longest < MIN_WINDOWS:
            return []
        steps = np.arange(np.log(longest / MIN_WINDOWS) / np.log(LENGTH_RATIO) + 1)
        lengths = np.unique(np.minimum(np.round(MIN_WINDOWS * LENGTH_RATIO**steps).astype(int), longest))
        firsts, stops, scores = (np.concatenate(parts) for parts in zip(*map(self._peaks, lengths), strict=True))
        order = np.argsort(-scores, kind="stable")
        order = order[: np.count_nonzero(scores >= lowest)]
        taken, found = np.zeros(len(self._values), dtype=bool), []
        for first, stop in zip(firsts[order].tolist(), stops[order].tolist(), strict=True):
            if not taken[first:stop].any():
                first, stop = self._refine(first, stop, taken)
                taken[first:stop] = True
                found.append((first, stop))
        return found

    def _peaks(self, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First and stop windows, and scores, of the stretches of a length that score higher than their neighbours."""
        first = np.arange(0, len(self._values) - length + 1, max(1, length // LENGTH_STEPS))
        valid = self._lasts(first, first + length) & (self._excluded[first + length] == self._excluded[first])
        scores = np.where(valid, self.score(first, first + length), -np.inf)
        padded = np.pad(scores, 1, constant_values=-np.inf)
        peaks = np.flatnonzero((scores >= padded[:-2]) & (scores >= padded[2:]) & valid)
        return first[peaks], first[peaks] + length, scores[peaks]

    def _refine(self, first: int, stop: int, taken: np.ndarray) -> tuple[int, int]:
        """Move the ends of a stretch, by up to its length, to where its score is highest."""
        reach = stop - first
        begin = max(0, first - reach)
        blocked = (~self._is_rest | taken)[begin : stop + reach]
        before, after = np.flatnonzero(blocked[: first - begin]), np.flatnonzero(blocked[stop - begin :])
        lowest = begin + before[-1] + 1 if len(before) else begin
        highest = stop + after[0] if len(after) else begin + len(blocked)
        for _ in range(2):
            firsts = np.arange(lowest, stop - MIN_WINDOWS + 1)
            firsts = firsts[(stop - firsts <= self._rest - MIN_WINDOWS) & self._lasts(firsts, stop)]
            first = int(firsts[self.score(firsts, stop).argmax()])
            stops = np.arange(first + MIN_WINDOWS, highest + 1)
            stops = stops[(stops - first <= self._rest - MIN_WINDOWS) & self._lasts(first, stops)]
            stop = int(stops[self.score(first, stops).argmax()])
        return first, stop

    def _lasts(self, first: np.ndarray | int, stop: np.ndarray | int) -> np.ndarray:
        """Whether stretches last at least the minimum duration."""
        return self._end[stop - 1] - self._start[first] >= MIN_SECONDS


def _noise_variance(logit: np.ndarray) -> float:
    """Variance of the windows of a video around its level, shrunk towards that of other videos.

    It comes from differences of neighbours, whose median ignores the few at the ends of a forged stretch.
    """
    # 1.4826 times the median of the magnitude of normal deviates is their standard deviation.
    measured = (1.4826 * np.median(np.abs(np.diff(logit)))) ** 2 / 2
    known = len(logit) - 1
    return float((known * measured + NOISE_WINDOWS * NOISE**2) / (known + NOISE_WINDOWS))
