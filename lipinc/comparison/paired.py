"""Metrics of several detectors on the same videos, and their paired differences, by bootstrap over people."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from lipinc.comparison.delong import DeLong, delong_test
from lipinc.evaluation.metrics import Interval, Ranking, RocCounts, decided, reals_accused, resamples
from lipinc.evaluation.predictions import Predictions

METRICS = {
    "auc": "AUC",
    "ap": "AP",
    "eer": "EER",
    "accuracy": "accuracy",
    "tpr_at_1": "TPR at 1 % FPR",
    "tpr_at_5": "TPR at 5 % FPR",
    "reals_accused": "real people accused",
    "decided": "decided",
}
"""Metric -> its name in tables. accuracy, reals_accused and decided are nan without a threshold."""
FALSE_POSITIVE_RATES = np.unique(np.concatenate([np.linspace(0, 0.1, 51), np.linspace(0.1, 1, 91)]))
"""(G,) where the bands of ROC curves are computed."""


@dataclass(frozen=True)
class Difference:
    """A metric of the first detector minus that of the second one."""

    first: int
    second: int
    metric: str
    interval: Interval
    p: float
    """Two-sided bootstrap p-value; nan without an interval."""


@dataclass(frozen=True, eq=False)
class Paired:
    """D detectors on the same V videos."""

    videos: Predictions
    """The videos; their score is that of the first detector."""
    scores: np.ndarray
    """(D, V) float64, higher = fake."""
    decisions: np.ndarray
    """(D, V) int64: 1 = fake, 0 = uncertain, -1 = real."""
    thresholds: np.ndarray
    """(D,) float64; nan: none."""
    bootstrap: int
    seed: int

    def select(self, chosen: np.ndarray) -> "Paired":
        """Select videos by a mask (V,)."""
        videos, scores, decisions = self.videos.select(chosen), self.scores[:, chosen], self.decisions[:, chosen]
        return Paired(videos, scores, decisions, self.thresholds, self.bootstrap, self.seed)

    @cached_property
    def _results(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Metrics (D, M), those of the resamples (B, D, M), and true positive rates of the resamples (B, D, G)."""
        label = self.videos.label
        rankings = [Ranking(label, score) for score in self.scores]
        values, _ = self._measure(label, rankings, None)
        resampled = [self._measure(label, rankings, w) for w in resamples(self.videos, self.bootstrap, self.seed)]
        count, shape = len(resampled), values.shape
        metrics = np.array([one for one, _ in resampled]).reshape(count, *shape)
        curves = np.array([one for _, one in resampled]).reshape(count, shape[0], len(FALSE_POSITIVE_RATES))
        return values, metrics, curves

    def _measure(
        self, label: np.ndarray, rankings: Sequence[Ranking], weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Metrics (D, M) and true positive rates (D, G), with the weights (V,) of a resample."""
        rows, curves = [], []
        for ranking, decisions, threshold in zip(rankings, self.decisions, self.thresholds, strict=True):
            counts = ranking.counts(weights)
            row = [counts.auc(), counts.average_precision(), counts.eer(), counts.accuracy(threshold)]
            row += [counts.tpr_at_fpr(0.01), counts.tpr_at_fpr(0.05)]
            row += [metric(label, decisions, weights) for metric in (reals_accused, decided)]
            if np.isnan(threshold):
                row = [
                    np.nan if name in ("accuracy", "reals_accused", "decided") else value
                    for name, value in zip(METRICS, row, strict=True)
                ]
            rows.append(row)
            curves.append(_curve(counts))
        return np.array(rows), np.array(curves)

    def metric(self, detector: int, name: str) -> Interval:
        """Return a metric of a detector with its 95 % percentile interval."""
        values, resampled, _ = self._results
        position = list(METRICS).index(name)
        return Interval(float(values[detector, position]), *_interval(resampled[:, detector, position]))

    def difference(self, first: int, second: int, name: str) -> Difference:
        """Return the difference of two detectors. The resamples are the same for both.

        The p-value is twice the fraction of resamples in which the difference is zero or has the other sign, at least
        2 / (B + 1) with B resamples.
        """
        values, resampled, _ = self._results
        position = list(METRICS).index(name)
        found = resampled[:, first, position] - resampled[:, second, position]
        value = float(values[first, position] - values[second, position])
        p = float("nan")
        if len(found) and not np.isnan(found).any():
            p = min(1.0, 2 * (1 + min(np.sum(found <= 0), np.sum(found >= 0))) / (len(found) + 1))
        return Difference(first, second, name, Interval(value, *_interval(found)), p)

    def delong(self, first: int, second: int) -> DeLong:
        """Return DeLong's test of the AUC of two detectors."""
        return delong_test(self.videos.label, self.scores[first], self.scores[second])

    def band(self, detector: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the pointwise 95 % band of a ROC curve at `FALSE_POSITIVE_RATES`: two arrays (G,)."""
        curves = self._results[2][:, detector]
        if not len(curves):
            return np.full((2, len(FALSE_POSITIVE_RATES)), np.nan)
        return tuple(np.percentile(curves, (2.5, 97.5), axis=0))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of detectors, in order."""
        return list(combinations(range(len(self.scores)), 2))


def _curve(counts: RocCounts) -> np.ndarray:
    """True positive rates (G,) at `FALSE_POSITIVE_RATES`, linearly interpolated; nan without a class."""
    if not counts.has_both:
        return np.full(len(FALSE_POSITIVE_RATES), np.nan)
    false_positives, true_positives = counts.false_positives / counts.reals, counts.true_positives / counts.fakes
    # Of a vertical part of the curve, its upper end counts.
    last = np.append(false_positives[1:] > false_positives[:-1], True)
    return np.interp(FALSE_POSITIVE_RATES, false_positives[last], true_positives[last])


def _interval(values: np.ndarray) -> tuple[float, float]:
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)
