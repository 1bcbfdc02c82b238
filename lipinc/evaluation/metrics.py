"""Metrics per video, with intervals by bootstrap over identities, and their break-downs by group.

The positive class is fake. A score is the mean of logit(fake) - logit(real) over the windows of a video; a video counts
as fake from the threshold on (score >= threshold).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from lipinc.datasets.records import GROUP_COLUMNS
from lipinc.evaluation.predictions import Predictions


class RocCounts(NamedTuple):
    """Weight of reals and of fakes that score at least each distinct score, from the highest one down.

    scores: float64 [T], falling. false_positives, true_positives: float64 [T + 1], beginning with 0, 0: the point
    where nothing counts as fake.
    """

    scores: np.ndarray
    false_positives: np.ndarray
    true_positives: np.ndarray

    @property
    def reals(self) -> float:
        return self.false_positives[-1]

    @property
    def fakes(self) -> float:
        return self.true_positives[-1]


def roc_counts(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> RocCounts:
    """The counts behind the ROC and the precision-recall curve. labels, scores, weights: [V]; weights default to 1.

    Videos of equal score share one point. A score that is not a number has no rank: it turns all counts into nan.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights, dtype=np.float64)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.zeros(0, dtype=int)
    fakes = np.where(labels == 1, weights, 0.0)[order]
    reals = np.where(labels == 1, 0.0, weights)[order]
    unit = np.nan if np.isnan(scores).any() else 1.0
    false_positives = np.append(0.0, np.cumsum(reals)[last]) * unit
    return RocCounts(ranked[last], false_positives, np.append(0.0, np.cumsum(fakes)[last]) * unit)


# Each metric below takes labels [V] (1 = fake), scores [V] and, last, weights [V] (how often each video counts), and
# is nan where a class it needs is absent or a score is not a number.


def auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Area under the ROC: the chance that a fake outscores a real, ties counting half."""
    counts = roc_counts(labels, scores, weights)
    if not counts.reals * counts.fakes > 0:
        return float("nan")
    pairs = np.diff(counts.false_positives) * (counts.true_positives[1:] + counts.true_positives[:-1]) / 2
    return float(np.sum(pairs) / (counts.reals * counts.fakes))


def average_precision(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean precision over the fakes, by steps and not by interpolation (as scikit-learn does). nan without reals."""
    counts = roc_counts(labels, scores, weights)
    if not counts.reals * counts.fakes > 0:
        return float("nan")
    flagged = counts.false_positives + counts.true_positives
    precision = counts.true_positives[1:] / np.where(flagged[1:] > 0, flagged[1:], 1.0)
    return float(np.sum(np.diff(counts.true_positives) * precision) / counts.fakes)


def accuracy(labels: np.ndarray, scores: np.ndarray, threshold: float, weights: np.ndarray | None = None) -> float:
    """Share of the videos that the threshold judges right. One class is enough for it."""
    counts = roc_counts(labels, scores, weights)
    flagged = np.count_nonzero(counts.scores >= threshold)
    right = counts.true_positives[flagged] + counts.reals - counts.false_positives[flagged]
    videos = counts.reals + counts.fakes
    return float(right / videos) if videos > 0 else float("nan")


def balanced_accuracy(
    labels: np.ndarray, scores: np.ndarray, threshold: float, weights: np.ndarray | None = None
) -> float:
    """Mean of the shares of reals and of fakes that the threshold judges right."""
    counts = roc_counts(labels, scores, weights)
    if not counts.reals * counts.fakes > 0:
        return float("nan")
    flagged = np.count_nonzero(counts.scores >= threshold)
    false_positive_rate = counts.false_positives[flagged] / counts.reals
    return float((counts.true_positives[flagged] / counts.fakes + 1 - false_positive_rate) / 2)


def reals_accused(
    labels: np.ndarray, scores: np.ndarray, threshold: float, weights: np.ndarray | None = None
) -> float:
    """Share of the real videos that the threshold calls fake (false positive rate). Reals alone are enough for it."""
    counts = roc_counts(labels, scores, weights)
    if not counts.reals > 0:
        return float("nan")
    return float(counts.false_positives[np.count_nonzero(counts.scores >= threshold)] / counts.reals)


def eer(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Equal error rate: where the linearly interpolated ROC has as large a share of false alarms as of misses."""
    counts = roc_counts(labels, scores, weights)
    if not counts.reals * counts.fakes > 0:
        return float("nan")
    false_alarms = counts.false_positives / counts.reals
    # Falls from 1 to -1, so the crossing lies between two points.
    excess = 1 - counts.true_positives / counts.fakes - false_alarms
    after = int(np.argmax(excess <= 0))
    share = excess[after - 1] / (excess[after - 1] - excess[after])
    return float(false_alarms[after - 1] + share * (false_alarms[after] - false_alarms[after - 1]))


def within_pairs(
    labels: np.ndarray, scores: np.ndarray, paired_reals: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """The chance that a fake outscores the real video that it was made from, ties counting half: neither people nor
    cameras can help. paired_reals: int [V], position of that video, -1 where there is none. nan without pairs."""
    fakes = np.flatnonzero(paired_reals >= 0)
    excess = np.asarray(scores)[fakes] - np.asarray(scores)[paired_reals[fakes]]
    weights = np.ones(len(fakes)) if weights is None else np.asarray(weights, dtype=np.float64)[fakes]
    if not weights.sum() > 0 or np.isnan(excess).any():
        return float("nan")
    return float(np.sum(weights * ((excess > 0) + 0.5 * (excess == 0))) / weights.sum())


@dataclass(frozen=True)
class Interval:
    """A metric on all videos, and its 95 % interval; low and high are nan where there is none."""

    value: float
    low: float
    high: float


def compute_metrics(
    predictions: Predictions, threshold: float, *, bootstrap: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """auc, ap, accuracy, balanced_accuracy, eer, reals_accused and, where there are pairs, within_pairs, each with its
    95 % percentile interval by bootstrap over identities.

    bootstrap: resamples. Each draws as many identities as there are, with replacement, and takes all videos of each;
    a video of unknown identity is one of its own. Resamples that lack a class are skipped; with fewer than two
    identities there is no interval.
    """
    return _intervals(predictions, _metrics(predictions, threshold), bootstrap, seed)


def break_down(
    predictions: Predictions, threshold: float, by: str, *, bootstrap: int = 1000, seed: int = 0
) -> list[dict[str, str | int | float]]:
    """One row per group, by name: group, real and fake (numbers of videos), auc_low, auc_high, and the metrics of
    `compute_metrics`.

    by: a column of `GROUP_COLUMNS`, which says whether a group is the fakes of each value against all reals, or all
    videos of each value. Videos whose value is unknown are the group "unknown"; there are no rows at all if it is
    unknown for every video. Intervals as in `compute_metrics`.
    """
    real = predictions.label == 0
    groups = predictions.column(by)
    fakes_only = GROUP_COLUMNS[by] == "fakes"
    grouped = groups[~real] if fakes_only else groups
    if not (grouped != "").any():
        return []
    named = np.where(groups == "", "unknown", groups)
    rows = []
    for group in sorted(set(np.where(grouped == "", "unknown", grouped).tolist())):
        within = named == group
        chosen = predictions.select(real | (within & ~real) if fakes_only else within)
        area = _intervals(chosen, {"auc": auc}, bootstrap, seed)["auc"]
        labels, scores = chosen.label, chosen.score
        values = {name: metric(labels, scores) for name, metric in _metrics(chosen, threshold).items()}
        rows.append(
            {
                "group": group,
                "real": int(np.sum(labels == 0)),
                "fake": int(np.sum(labels == 1)),
                "within_pairs": float("nan"),  # where there are no pairs
                **values,
                "auc_low": area.low,
                "auc_high": area.high,
            }
        )
    return rows


def _metrics(predictions: Predictions, threshold: float) -> dict[str, Callable[..., float]]:
    """The metrics that these videos allow, as functions of labels, scores and weights."""
    metrics: dict[str, Callable[..., float]] = {
        "auc": auc,
        "ap": average_precision,
        "accuracy": partial(accuracy, threshold=threshold),
        "balanced_accuracy": partial(balanced_accuracy, threshold=threshold),
        "eer": eer,
        "reals_accused": partial(reals_accused, threshold=threshold),
    }
    paired_reals = predictions.paired_reals()
    if (paired_reals >= 0).any():
        metrics["within_pairs"] = partial(within_pairs, paired_reals=paired_reals)
    return metrics


def _intervals(
    predictions: Predictions, metrics: dict[str, Callable[..., float]], bootstrap: int, seed: int
) -> dict[str, Interval]:
    labels, scores = predictions.label, predictions.score
    people = [
        ("identity", identity) if identity else ("video", key)
        for identity, key in ((record.identity, record.key) for record in predictions.records)
    ]
    numbers = {person: number for number, person in enumerate(sorted(set(people)))}
    person_of = np.array([numbers[person] for person in people], dtype=int)
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(bootstrap if len(numbers) >= 2 else 0):
        times = np.bincount(rng.integers(len(numbers), size=len(numbers)), minlength=len(numbers))
        weights = times[person_of]
        if weights[labels == 0].any() and weights[labels == 1].any():
            resampled.append([metric(labels, scores, weights=weights) for metric in metrics.values()])
    low_high = np.percentile(resampled, (2.5, 97.5), axis=0) if resampled else np.full((2, len(metrics)), np.nan)
    return {
        name: Interval(metric(labels, scores), float(low), float(high))
        for (name, metric), low, high in zip(metrics.items(), *low_high, strict=True)
    }
