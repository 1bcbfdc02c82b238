"""Video-level metrics, bootstrap intervals over identities, and break-downs by group.

The positive class is fake. The score of a video is the mean of logit(fake) - logit(real) over its windows. A video is
classified as fake if score >= threshold.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lipinc.datasets.records import GROUP_COLUMNS, Label, VideoRecord, paired_reals
from lipinc.evaluation.predictions import Predictions
from lipinc.models.calibration import FACE_HEIGHTS, Calibration
from lipinc.video.quality import QUALITY_NAMES

MIN_PEOPLE = 10
"""Fewest people of a class for whom metrics are shown as a result. The AUC of two people is often 1 by chance."""


class RocCounts(NamedTuple):
    """Cumulative weights of reals and fakes at each distinct score, from the highest score to the lowest."""

    scores: np.ndarray
    """(T,) float64, the distinct scores in descending order."""
    false_positives: np.ndarray
    """(T + 1,) float64, starting with 0, where no video is classified as fake."""
    true_positives: np.ndarray
    """(T + 1,) float64, likewise."""

    @property
    def reals(self) -> float:
        """Total weight of the reals."""
        return self.false_positives[-1]

    @property
    def fakes(self) -> float:
        """Total weight of the fakes."""
        return self.true_positives[-1]

    @property
    def has_both(self) -> bool:
        """Whether there are reals and fakes, and no score is nan."""
        return bool(self.reals * self.fakes > 0)

    def auc(self) -> float:
        """See the function `auc`."""
        if not self.has_both:
            return float("nan")
        pairs = np.diff(self.false_positives) * (self.true_positives[1:] + self.true_positives[:-1]) / 2
        return float(np.sum(pairs) / (self.reals * self.fakes))

    def average_precision(self) -> float:
        """Average precision without interpolation, as in scikit-learn; nan without reals."""
        if not self.has_both:
            return float("nan")
        flagged = self.false_positives + self.true_positives
        precision = self.true_positives[1:] / np.where(flagged[1:] > 0, flagged[1:], 1.0)
        return float(np.sum(np.diff(self.true_positives) * precision) / self.fakes)

    def accuracy(self, threshold: float) -> float:
        """Fraction of correctly classified videos. Defined for a single class, too."""
        flagged = np.count_nonzero(self.scores >= threshold)
        correct = self.true_positives[flagged] + self.reals - self.false_positives[flagged]
        videos = self.reals + self.fakes
        return float(correct / videos) if videos > 0 else float("nan")

    def balanced_accuracy(self, threshold: float) -> float:
        """Mean of the true positive rate and the true negative rate."""
        if not self.has_both:
            return float("nan")
        flagged = np.count_nonzero(self.scores >= threshold)
        false_positive_rate = self.false_positives[flagged] / self.reals
        return float((self.true_positives[flagged] / self.fakes + 1 - false_positive_rate) / 2)

    def eer(self) -> float:
        """Equal error rate: the false positive rate at which it equals the miss rate, on the linearly interpolated
        ROC."""
        if not self.has_both:
            return float("nan")
        false_alarms = self.false_positives / self.reals
        # Miss rate minus false positive rate decreases from 1 to -1, so it crosses 0 between two points.
        excess = 1 - self.true_positives / self.fakes - false_alarms
        after = int(np.argmax(excess <= 0))
        fraction = excess[after - 1] / (excess[after - 1] - excess[after])
        return float(false_alarms[after - 1] + fraction * (false_alarms[after] - false_alarms[after - 1]))

    def tpr_at_fpr(self, limit: float) -> float:
        """Highest true positive rate at a false positive rate of at most `limit`, without interpolation: a threshold
        reaches it on these videos."""
        if not self.has_both:
            return float("nan")
        allowed = self.false_positives <= limit * self.reals * (1 + 1e-9)
        return float(self.true_positives[allowed].max() / self.fakes)


class Ranking:
    """The order of the scores of V videos: sorts once, and counts under many weights."""

    def __init__(self, labels: np.ndarray, scores: np.ndarray):
        """Sort the scores.

        Args:
            labels: (V,), 1 = fake.
            scores: (V,).
        """
        scores = np.asarray(scores, dtype=np.float64)
        self._order = np.argsort(-scores, kind="stable")
        self._is_fake = (np.asarray(labels) == 1)[self._order]
        ranked = scores[self._order]
        last = np.append(ranked[1:] != ranked[:-1], True) if len(ranked) else np.zeros(0, dtype=bool)
        self._last = np.flatnonzero(last)
        self._scores = ranked[self._last]
        self._unit = np.nan if np.isnan(scores).any() else 1.0

    def counts(self, weights: np.ndarray | None = None) -> RocCounts:
        """Return the counts for ROC and precision-recall curves.

        Args:
            weights: (V,); None: all 1.

        Returns:
            The counts; videos with equal scores share one point. All counts are nan if a score is nan.
        """
        ranked = np.ones(len(self._order)) if weights is None else np.asarray(weights, dtype=np.float64)[self._order]
        fakes = np.cumsum(np.where(self._is_fake, ranked, 0.0))[self._last]
        reals = np.cumsum(np.where(self._is_fake, 0.0, ranked))[self._last]
        return RocCounts(self._scores, np.append(0.0, reals) * self._unit, np.append(0.0, fakes) * self._unit)


def roc_counts(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> RocCounts:
    """Compute the counts for ROC and precision-recall curves: see `Ranking`."""
    return Ranking(labels, scores).counts(weights)


# Labels (V,) below: 1 = fake. Weights (V,): the multiplicity of each video; None: all 1. A metric is nan if a class
# that it needs is absent or a score is nan.


def auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Area under the ROC curve: the probability that a fake scores higher than a real, with ties counted as one
    half."""
    return roc_counts(labels, scores, weights).auc()


# The next four depend on decisions (V,) int: 1 = fake, 0 = uncertain, -1 = real.


def reals_accused(labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Fraction of the real videos that are called fake. Defined without fakes, too."""
    return _fraction(decisions == 1, labels == 0, weights)


def fakes_missed(labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Fraction of the fakes that are called real. Defined without reals, too."""
    return _fraction(decisions == -1, labels == 1, weights)


def decided(labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Fraction of the videos that are called real or fake, not uncertain."""
    return _fraction(decisions != 0, np.ones(len(labels), dtype=bool), weights)


def decided_wrongly(labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Fraction of the decided videos whose decision is wrong; nan if nothing is decided."""
    return _fraction((decisions == 1) != (labels == 1), decisions != 0, weights)


DECISION_METRICS = {
    "reals_accused": reals_accused,
    "fakes_missed": fakes_missed,
    "decided": decided,
    "decided_wrongly": decided_wrongly,
}


def _fraction(event: np.ndarray, among: np.ndarray, weights: np.ndarray | None) -> float:
    weights = np.ones(len(event)) if weights is None else np.asarray(weights, dtype=np.float64)
    total = weights[among].sum()
    return float(weights[among & event].sum() / total) if total > 0 else float("nan")


def within_pairs(scores: np.ndarray, reals: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Probability that a fake scores higher than the real video it was made from, with ties counted as one half.

    Both videos of a pair show the same person and camera, so neither can help the detector.

    Args:
        scores: (V,).
        reals: (V,) int, index of the real video of each fake; -1 if there is none.
        weights: (V,).

    Returns:
        The probability; nan without pairs.
    """
    fakes = np.flatnonzero(reals >= 0)
    excess = np.asarray(scores)[fakes] - np.asarray(scores)[reals[fakes]]
    weights = np.ones(len(fakes)) if weights is None else np.asarray(weights, dtype=np.float64)[fakes]
    if not weights.sum() > 0 or np.isnan(excess).any():
        return float("nan")
    return float(np.sum(weights * ((excess > 0) + 0.5 * (excess == 0))) / weights.sum())


def frame_auc(labels: np.ndarray, window_scores: Sequence[np.ndarray], weights: np.ndarray | None = None) -> float:
    """AUC of frames: every frame of a window is an example with the score of the window and the label of the video.

    All windows have the same number of frames, so this is the AUC of windows: a video counts once for each of them.

    Args:
        labels: (V,), 1 = fake.
        window_scores: the score of each window (K,) of each video.
        weights: (V,).
    """
    windows = [len(one) for one in window_scores]
    weights = None if weights is None else np.repeat(weights, windows)
    return auc(np.repeat(labels, windows), np.concatenate([*window_scores, []]), weights)


FACE_HEIGHT = "face height"
"""Break-down by the size of the face (calibration.FACE_HEIGHTS)."""
GROUPINGS = {**GROUP_COLUMNS, FACE_HEIGHT: "all"}
"""Break-downs of metrics -> the videos of each group (see `records.column`)."""


@dataclass(frozen=True)
class Interval:
    """A metric on all videos, and its 95 % interval; low and high are nan if there is no interval."""

    value: float
    low: float
    high: float


def compute_metrics(
    predictions: Predictions,
    threshold: float,
    *,
    refused: Sequence[VideoRecord] = (),
    frame_level: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Compute all metrics, with 95 % percentile intervals by bootstrap over identities.

    Each resample draws as many identities as there are, with replacement, and takes all their videos. A video without
    an identity is treated as a separate identity. Resamples that lack a class of the videos are skipped. With fewer
    than two identities there is no interval.

    Args:
        predictions: the videos.
        threshold: decision threshold, in units of the score.
        refused: videos that belong to them and have no score.
        frame_level: also compute frame_auc; the predictions need their `window_scores`.
        bootstrap: number of resamples.
        seed: random seed of the resamples.

    Returns:
        Metric name -> interval: auc, ap, accuracy, balanced_accuracy, eer, reals_accused, fakes_missed, decided,
        decided_wrongly and, if there are pairs, within_pairs. Without decisions of their own, videos are called fake
        from the threshold on, and all are decided. With refused videos also auc_with_refused: the AUC in which each of
        them has a fake probability of 0.5, the threshold. The other metrics leave them out.
    """
    found = _intervals(predictions, _metrics(predictions, threshold, frame_level), bootstrap, seed)
    if refused:
        everything = predictions.with_refused(refused, threshold)
        found |= _intervals(everything, _area(everything, "auc_with_refused"), bootstrap, seed)
    return found


def count_people(predictions: Predictions) -> dict[Label, int]:
    """Return label -> number of people with a video of this label."""
    people = list(zip((record.label for record in predictions.records), _people(predictions), strict=True))
    return {label: len({person for own, person in people if own is label}) for label in Label}


def too_few(people: dict[Label, int]) -> bool:
    """Return whether a class that is present has fewer than `MIN_PEOPLE` people."""
    return any(0 < count < MIN_PEOPLE for count in people.values())


def break_down(
    predictions: Predictions,
    threshold: float,
    by: str,
    *,
    refused: Sequence[VideoRecord] = (),
    frame_level: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
) -> list[dict[str, str | int | float]]:
    """Compute the metrics of each group of videos.

    Args:
        predictions: the videos.
        threshold: decision threshold, in units of the score.
        by: one of `GROUPINGS`, which defines whether a group consists of its fakes and all reals, or of its own videos
            only.
        refused: see `compute_metrics`. The faces of refused videos were not measured: by size of the face, they are
            not counted.
        frame_level: see `compute_metrics`.
        bootstrap: see `compute_metrics`.
        seed: see `compute_metrics`.

    Returns:
        One row per group, sorted by name: see `group_row`. Videos without a value form the group "unknown"; if no
        video has a value, there are no rows.
    """
    # The faces of refused videos were not measured.
    everything = predictions if by == FACE_HEIGHT else predictions.with_refused(refused, threshold)
    rows = []
    for group, within in group_masks(everything, by).items():
        chosen, chosen_refused = predictions.select(within[: len(predictions)]), everything.select(within)
        area = _intervals(chosen, _area(chosen, "auc"), bootstrap, seed)["auc"]
        values = _metrics(chosen, threshold, frame_level)(None)
        values["auc_with_refused"] = auc(chosen_refused.label, chosen_refused.score)
        rows.append(group_row(group, chosen, values, area, refused=len(chosen_refused) - len(chosen)))
    return rows


def group_masks(predictions: Predictions, by: str) -> dict[str, np.ndarray]:
    """Return the videos of each group, as a mask (V,) bool, sorted by the name of the group: see `break_down`."""
    real = predictions.label == 0
    groups = _sizes(predictions) if by == FACE_HEIGHT else predictions.column(by)
    fakes_only = GROUPINGS[by] == "fakes"
    grouped = groups[~real] if fakes_only else groups
    if not (grouped != "").any():
        return {}
    named = np.where(groups == "", "unknown", groups)
    names = sorted(set(np.where(grouped == "", "unknown", grouped).tolist()))
    return {name: real | (named == name) if fakes_only else named == name for name in names}


def _sizes(predictions: Predictions) -> np.ndarray:
    """Return the range of the face height of each video, in words that sort by size: (V,) str; "" if it is unknown."""
    if predictions.quality is None:
        return np.full(len(predictions), "")
    height = predictions.quality[:, QUALITY_NAMES.index("face_height")]
    sizes = np.full(len(predictions), "", dtype="U32")
    for low, high in pairwise(FACE_HEIGHTS):
        words = f"{low:.0f} to {high:.0f} px" if np.isfinite(high) else f"{low:.0f} px and more"
        sizes[(low <= height) & (height < high)] = words
    return sizes


def group_row(
    group: str, predictions: Predictions, values: dict[str, float], area: Interval, *, refused: int
) -> dict[str, str | int | float]:
    """Return one row of a break-down: group, real and fake (numbers of videos with a score), refused, real_people,
    fake_people, too_few_people, auc_low, auc_high, and the metrics.

    Args:
        group: its name.
        predictions: its videos.
        values: its metrics, as `compute_metrics` names them.
        area: its AUC with the interval.
        refused: its number of refused videos.
    """
    people = count_people(predictions)
    return {
        "group": group,
        "real": int(np.sum(predictions.label == 0)),
        "fake": int(np.sum(predictions.label == 1)),
        "refused": refused,
        "real_people": people[Label.REAL],
        "fake_people": people[Label.FAKE],
        "too_few_people": too_few(people),
        "within_pairs": float("nan"),  # default for groups without pairs
        "auc_with_refused": area.value,  # default for groups without refused videos
        **values,
        "auc_low": area.low,
        "auc_high": area.high,
    }


Measure = Callable[[np.ndarray | None], dict[str, float]]
"""Weights (V,) of the videos, None: all 1 -> the metrics that are defined for them. Sorts the videos only once, not for
each metric and resample."""


def _metrics(predictions: Predictions, threshold: float, frame_level: bool) -> Measure:
    labels, scores = predictions.label, predictions.score
    ranking, reals = Ranking(labels, scores), paired_reals(predictions.records)
    decisions = Calibration(threshold, 1.0, (threshold, threshold)).decide(scores)
    decisions = decisions if predictions.decision is None else predictions.decision

    def measure(weights: np.ndarray | None) -> dict[str, float]:
        counts = ranking.counts(weights)
        found = {
            "auc": counts.auc(),
            "ap": counts.average_precision(),
            "accuracy": counts.accuracy(threshold),
            "balanced_accuracy": counts.balanced_accuracy(threshold),
            "eer": counts.eer(),
            **{name: metric(labels, decisions, weights) for name, metric in DECISION_METRICS.items()},
        }
        if (reals >= 0).any():
            found["within_pairs"] = within_pairs(scores, reals, weights)
        if frame_level:
            found["frame_auc"] = frame_auc(labels, predictions.window_scores, weights)
        return found

    return measure


def _area(predictions: Predictions, name: str) -> Measure:
    """Measures the AUC alone."""
    ranking = Ranking(predictions.label, predictions.score)
    return lambda weights: {name: ranking.counts(weights).auc()}


def _people(predictions: Predictions) -> list[tuple[str, str]]:
    """Return the person of each video; a video without an identity is a separate person."""
    return [("identity", one.identity) if one.identity else ("video", one.key) for one in predictions.records]


def resamples(predictions: Predictions, bootstrap: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the weights (V,) int of the videos in each bootstrap resample of people: see `compute_metrics`."""
    labels, people = predictions.label, _people(predictions)
    numbers = {person: number for number, person in enumerate(sorted(set(people)))}
    person_index = np.array([numbers[person] for person in people], dtype=int)
    classes = [labels == label for label in np.unique(labels)]
    rng = np.random.default_rng(seed)
    for _ in range(bootstrap if len(numbers) >= 2 else 0):
        multiplicity = np.bincount(rng.integers(len(numbers), size=len(numbers)), minlength=len(numbers))
        weights = multiplicity[person_index]
        if all(weights[within].any() for within in classes):
            yield weights


def _intervals(predictions: Predictions, measure: Measure, bootstrap: int, seed: int) -> dict[str, Interval]:
    found = measure(None)
    resampled = [list(measure(weights).values()) for weights in resamples(predictions, bootstrap, seed)]
    low_high = np.percentile(resampled, (2.5, 97.5), axis=0) if resampled else np.full((2, len(found)), np.nan)
    return {
        name: Interval(value, float(low), float(high))
        for (name, value), low, high in zip(found.items(), *low_high, strict=True)
    }
