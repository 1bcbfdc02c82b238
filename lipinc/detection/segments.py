"""Finds stretches of a scene whose mouth differs from the rest of the same scene: a video may be forged in part.

Between cameras, codecs and light the windows of real videos differ by more than a forgery changes them. Within one
scene all of this is known from the rest, so a forged stretch stands out although no window of it does. What is compared
is therefore not the score of the whole, but a contrast (`MouthModel.contrast`) that ignores what moves from window to
window within a scene. All stretches are compared with the rest of their scene (circular binary segmentation: Olshen,
Venkatraman, Lucito, Wigler, Biostatistics 2004). A steady scene has no suspicious stretch, however high its score is:
the whole decides on it. Nor has one that is too short for a rest.

A long video has more places where noise may look like a forgery. The probability of a segment therefore counts the
stretches that score as high in a real video of the same length, and the decision on a video depends on it.

The constants come from `python -m benchmarks.segments`; docs/results.md has the error rates.
"""

from dataclasses import dataclass

import numpy as np

NOISE_WINDOWS = 60
"""The noise is measured in each scene, and what is known from other videos counts like a measurement of so many
windows."""
MAX_ABOVE, MAX_BELOW = 4.0, 2.0
"""Contrasts are clipped to these distances from the median of the scene, in units of its noise: one odd window must not
decide on a stretch, and a part that lies lower must not make the others suspicious."""
CORRELATION = 1.7
"""Variance of the mean of adjacent windows, relative to that of as many independent ones."""
DRIFT = 0.07
"""Variance of the level within a scene, relative to that of the noise: light and pose change slowly."""
LEAST = 1.0
"""A stretch scores only by what it exceeds this difference from the rest, in units of the noise: with enough windows,
the least change of a pose is beyond chance."""
MIN_WINDOWS = 6
"""Minimum number of windows in a stretch, and in the rest of its scene."""
MIN_SECONDS = 1.0
"""Minimum duration of a stretch."""
LENGTH_RATIO, LENGTH_STEPS = 1.2, 8
"""Ratio of one examined length to the next, and the number of places a length apart at which it is examined. The ends
of what is found are then refined window by window."""
MIN_SCORE = 1.2
"""Lowest score of a segment, chosen so that at most 2 % of the real minutes of the benchmark are in segments."""
RATE_SCORE, RATE_SLOPE = 0.2, 0.6
"""Real videos have about exp(-RATE_SLOPE (score - RATE_SCORE)) stretches a minute with at least this score, most of
them in a few videos."""
FOUND = 0.65
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


def find_segments(start: np.ndarray, end: np.ndarray, contrast: np.ndarray, scene: np.ndarray) -> tuple[Segment, ...]:
    """Find the suspicious stretches of one face. Memory is proportional to W, time too unless the scenes are many.

    Args:
        start: (W,) float, presentation time of the first local frame of each window in s, increasing.
        end: (W,) float, of the last local frame.
        contrast: (W,) float, in units of its scatter within real videos; see `MouthModel.contrast`.
        scene: (W,) int, number of the scene of each window; windows of scene -1 are left out.

    Returns:
        Segments in temporal order; they do not overlap. None in a scene that is steady, or of fewer than
        2 * MIN_WINDOWS windows.
    """
    segments = []
    for first, last, score in scan(start, end, contrast, scene, MIN_SCORE):
        by_chance = (end[-1] - start[0]) / 60 * np.exp(RATE_SLOPE * (RATE_SCORE - score))
        segments.append(Segment(first, last, float(FOUND / (FOUND + by_chance))))
    return tuple(segments)


def scan(
    start: np.ndarray, end: np.ndarray, contrast: np.ndarray, scene: np.ndarray, lowest: float
) -> list[tuple[float, float, float]]:
    """Find all stretches with at least a score; see `find_segments`.

    Returns:
        (start, end, score) in temporal order: in s, and by how many standard deviations of real scenes the contrast
        lies above the rest of its scene and `LEAST`.
    """
    found = []
    for number in np.unique(scene[scene >= 0]):
        inside = np.flatnonzero(scene == number)
        if len(inside) < 2 * MIN_WINDOWS:
            continue
        others = np.cumsum((scene >= 0) & (scene != number))
        for first, stop, score in _scan(start[inside], end[inside], contrast[inside], lowest):
            # A scene may be interrupted by others, which are no part of the stretch.
            windows = inside[first:stop]
            for part in np.split(windows, np.flatnonzero(np.diff(others[windows])) + 1):
                found.append((float(start[part[0]]), float(end[part[-1]]), score))
    return sorted(found)


def _scan(start: np.ndarray, end: np.ndarray, contrast: np.ndarray, lowest: float) -> list[tuple[int, int, float]]:
    """The same in one scene, as windows first..stop - 1."""
    stretches, found = _Stretches(start, end, contrast), []
    # What was found is not part of the rest any more, which may reveal others. A rest of less than half of the scene
    # may itself be what is odd.
    while new := stretches.find(lowest):
        stretches.exclude(new)
        found += new
        if sum(stop - first for first, stop in found) > len(contrast) / 2:
            break
    return [(first, stop, float(stretches.score(first, stop))) for first, stop in sorted(found)]


def scatter(contrast: np.ndarray) -> float:
    """Standard deviation of the windows (W,) of a video around their level; nan for a single one.

    It comes from differences of neighbours, whose median ignores the few at cuts and at the ends of a forged stretch.
    """
    if len(contrast) < 2:
        return np.nan
    # 1.4826 times the median of the magnitude of normal deviates is their standard deviation.
    return float(1.4826 * np.median(np.abs(np.diff(contrast))) / np.sqrt(2))


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
    """Scores of all stretches of a scene. A stretch is a range of windows [first, stop)."""

    def __init__(self, start: np.ndarray, end: np.ndarray, contrast: np.ndarray):
        self._start, self._end = start, end
        self._noise = _noise(contrast)
        values = np.clip((contrast - np.median(contrast)) / self._noise, -MAX_BELOW, MAX_ABOVE)
        self._sums = np.concatenate([[0.0], np.cumsum(values)])
        self._is_rest = np.ones(len(contrast), dtype=bool)
        self._count_rest()

    def exclude(self, stretches: list[tuple[int, int]]) -> None:
        """Take stretches out of the rest, and out of what is searched."""
        for first, stop in stretches:
            self._is_rest[first:stop] = False
        self._count_rest()

    def _count_rest(self) -> None:
        self._rest, self._rest_sum = int(self._is_rest.sum()), float(np.diff(self._sums)[self._is_rest].sum())
        self._excluded = np.concatenate([[0], np.cumsum(~self._is_rest)])

    def score(self, first: np.ndarray | int, stop: np.ndarray | int) -> np.ndarray:
        """Return how far stretches lie above the rest and `LEAST`, in standard deviations of real scenes."""
        count, total = stop - first, self._sums[stop] - self._sums[first]
        searched = self._excluded[stop] == self._excluded[first]
        rest = np.maximum(self._rest - searched * count, 1)
        above = total / count - (self._rest_sum - searched * total) / rest
        return (above - LEAST) / np.sqrt(CORRELATION * (1 / count + 1 / rest) + DRIFT)

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
        taken, found = np.zeros(len(self._is_rest), dtype=bool), []
        for first, stop in zip(firsts[order].tolist(), stops[order].tolist(), strict=True):
            if not taken[first:stop].any():
                first, stop = self._refine(first, stop, taken)
                taken[first:stop] = True
                found.append((first, stop))
        return found

    def _peaks(self, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First and stop windows, and scores, of the stretches of a length that score higher than their neighbours."""
        first = np.arange(0, len(self._is_rest) - length + 1, max(1, length // LENGTH_STEPS))
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


def _noise(contrast: np.ndarray) -> float:
    """Scatter of the windows of a scene around its level, shrunk towards that of other videos, which is 1."""
    known = len(contrast) - 1
    return float(np.sqrt((known * scatter(contrast) ** 2 + NOISE_WINDOWS) / (known + NOISE_WINDOWS)))
