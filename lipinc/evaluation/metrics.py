"""How good a detector is, a video at a time: predictions, threshold, metrics, intervals over identities, break-downs.

The positive class is fake. A score is the mean of logit(fake) - logit(real) over a video's windows; a video counts as
fake from the threshold on (score >= threshold).
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from lipinc.datasets.records import version_suffix
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically
from lipinc.files.csv_table import guard_formula, unguard_formula

CSV_COLUMNS = (
    "key", "label", "fake_probability", "score", "prediction", "windows", "identity", "generator", "race", "gender",
    "family", "audio", "pair", "condition",
)  # fmt: skip
TEXT_COLUMNS = ("key", "identity", "generator", "race", "gender", "family", "audio", "pair", "condition")


@dataclass(frozen=True, eq=False)
class Predictions:
    """The scores of V videos, with what the data set says of each. Lists are accepted and become arrays.

    key: str [V], see catalog.VideoRecord. label: int64 [V], 1 = fake, 0 = real. score: float64 [V], mean over the
    windows of logit(fake) - logit(real). windows: int64 [V], windows behind the score. identity, generator, race,
    gender, family, audio, pair, condition: str [V], as in catalog.VideoRecord, "" where unknown. ValueError if lengths
    differ or a label is neither 0 nor 1.
    """

    key: np.ndarray
    label: np.ndarray
    score: np.ndarray
    windows: np.ndarray
    identity: np.ndarray
    generator: np.ndarray
    race: np.ndarray
    gender: np.ndarray
    family: np.ndarray
    audio: np.ndarray
    pair: np.ndarray
    condition: np.ndarray

    def __post_init__(self):
        dtypes = {"label": np.int64, "score": np.float64, "windows": np.int64}
        for name in self.__dataclass_fields__:
            array = np.asarray(getattr(self, name), dtype=dtypes.get(name, np.str_))
            if array.shape != (len(self.key),):
                raise ValueError(f"{name} has shape {array.shape} where {len(self.key)} videos are predicted")
            object.__setattr__(self, name, array)
        if not np.isin(self.label, (0, 1)).all():
            raise ValueError("a label is 0 (real) or 1 (fake)")

    def __len__(self) -> int:
        return len(self.key)

    def select(self, mask: np.ndarray) -> "Predictions":
        """The videos that a boolean mask [V], or an array of positions, picks."""
        return Predictions(**{name: getattr(self, name)[mask] for name in self.__dataclass_fields__})

    def real_of(self) -> np.ndarray:
        """Of each fake, the position of the real video that it was made from, under the same condition: int64 [V]; -1
        where there is none."""
        position = {key: i for i, key in enumerate(self.key.tolist())}
        reals = (
            pair and pair + version_suffix(None, condition)
            for pair, condition in zip(self.pair.tolist(), self.condition.tolist(), strict=True)
        )
        return np.array([position.get(real, -1) for real in reals], dtype=np.int64)

    def write(self, path: Path, threshold: float, temperature: float = 1.0) -> None:
        """Write predictions.csv (UTF-8). `read` gives the same texts and the very same float64 scores back.

        fake_probability is the sigmoid of (score - threshold) / temperature; prediction is 1 from the threshold on. A
        text that a spreadsheet would run as a formula gets a leading apostrophe.
        """
        # The sigmoid, in a form that cannot overflow.
        probability = (1 + np.tanh((self.score - threshold) / temperature / 2)) / 2
        prediction = (self.score >= threshold).astype(int)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(CSV_COLUMNS)
        for i in range(len(self)):
            numbers = [int(self.label[i]), repr(float(probability[i])), repr(float(self.score[i]))]
            numbers += [int(prediction[i]), int(self.windows[i])]
            texts = [guard_formula(str(getattr(self, name)[i])) for name in TEXT_COLUMNS[1:]]
            writer.writerow([guard_formula(str(self.key[i])), *numbers, *texts])
        # surrogateescape: a path on Linux is bytes, and need not be UTF-8.
        write_atomically(Path(path), text.getvalue().encode("utf-8", "surrogateescape"))

    @staticmethod
    def read(path: Path) -> "Predictions":
        """Read predictions.csv. UserError if it is absent, lacks a column or holds a value that is no number."""
        try:
            with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
                reader = csv.DictReader(file)
                rows = list(reader)
        except FileNotFoundError:
            raise UserError(f"{path}: no such predictions; train or test a run to write them") from None
        missing = [column for column in CSV_COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise UserError(f"{path}: column {missing[0]!r} is missing; write the file again with a test run")
        try:
            return Predictions(
                label=[int(row["label"]) for row in rows],
                score=[float(row["score"]) for row in rows],
                windows=[int(row["windows"]) for row in rows],
                **{name: [unguard_formula(row[name]) for row in rows] for name in TEXT_COLUMNS},
            )
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: {error}; write the file again with a test run") from None


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
    labels: np.ndarray, scores: np.ndarray, real_of: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """The chance that a fake outscores the real video that it was made from, ties counting half: neither people nor
    cameras can help. real_of: int [V], position of that video, -1 where there is none. nan without pairs."""
    fakes = np.flatnonzero(real_of >= 0)
    excess = np.asarray(scores)[fakes] - np.asarray(scores)[real_of[fakes]]
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


def evaluate(
    predictions: Predictions, threshold: float, *, bootstrap: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """auc, ap, accuracy, balanced_accuracy, eer and, where there are pairs, within_pairs, each with its 95 % percentile
    interval by bootstrap over identities.

    bootstrap: resamples. Each draws as many identities as there are, with replacement, and takes all videos of each;
    a video of unknown identity is one of its own. Resamples that lack a class are skipped; with fewer than two
    identities there is no interval.
    """
    metrics = {
        "auc": auc,
        "ap": average_precision,
        "accuracy": partial(accuracy, threshold=threshold),
        "balanced_accuracy": partial(balanced_accuracy, threshold=threshold),
        "eer": eer,
    }
    real_of = predictions.real_of()
    if (real_of >= 0).any():
        metrics["within_pairs"] = partial(within_pairs, real_of=real_of)
    return _intervals(predictions, metrics, bootstrap, seed)


def break_down(
    predictions: Predictions,
    threshold: float,
    by: Literal["generator", "audio", "family", "race", "gender"],
    *,
    bootstrap: int = 1000,
    seed: int = 0,
) -> list[dict[str, str | int | float]]:
    """One row a group, by name: group, real and fake (videos), auc, auc_low, auc_high, ap, accuracy,
    balanced_accuracy, eer, within_pairs.

    generator, audio: the fakes of each one against all reals. The others: the videos of each group.
    Videos of which it is not known are the group "unknown"; there are no rows at all if it is known of none. Intervals
    as in `evaluate`.
    """
    real = predictions.label == 0
    groups = getattr(predictions, by)
    of_fakes = by in ("generator", "audio")
    grouped = groups[~real] if of_fakes else groups
    if not (grouped != "").any():
        return []
    named = np.where(groups == "", "unknown", groups)
    rows = []
    for group in sorted(set(np.where(grouped == "", "unknown", grouped).tolist())):
        within = named == group
        chosen = predictions.select(real | within if of_fakes else within)
        area = _intervals(chosen, {"auc": auc}, bootstrap, seed)["auc"]
        rows.append(
            {
                "group": group,
                "real": int(np.sum(chosen.label == 0)),
                "fake": int(np.sum(chosen.label == 1)),
                "auc": area.value,
                "auc_low": area.low,
                "auc_high": area.high,
                "ap": average_precision(chosen.label, chosen.score),
                "accuracy": accuracy(chosen.label, chosen.score, threshold),
                "balanced_accuracy": balanced_accuracy(chosen.label, chosen.score, threshold),
                "eer": eer(chosen.label, chosen.score),
                "within_pairs": within_pairs(chosen.label, chosen.score, chosen.real_of()),
            }
        )
    return rows


def _intervals(
    predictions: Predictions, metrics: dict[str, Callable[..., float]], bootstrap: int, seed: int
) -> dict[str, Interval]:
    labels, scores = predictions.label, predictions.score
    people = [
        ("identity", identity) if identity else ("video", key)
        for identity, key in zip(predictions.identity.tolist(), predictions.key.tolist(), strict=True)
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
