"""A detector in a comparison: its scores of the videos of an index, with direction and threshold."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lipinc.comparison.column_names import LOGIT, plain, stated_class
from lipinc.comparison.delong import auc_covariance
from lipinc.comparison.matching import VideoNames
from lipinc.comparison.score_file import ScoreFile, ScoreRow
from lipinc.datasets.records import Label, VideoRecord
from lipinc.errors import printable
from lipinc.synthesis.perturbations import RAW

Direction = Literal["fake-high", "real-high"]
MAX_EXAMPLES = 3
"""Number of rows that are named in a line about a file."""
FROM_LABELS = "found from the labels of these videos"
SEVERAL = "videos with several different scores, whose mean counts"


@dataclass(frozen=True)
class Scores:
    """The scores of one condition, of V videos in the order of the index."""

    score: np.ndarray
    """(V,) float64, higher = fake; nan: the video has no score."""
    decision: np.ndarray
    """(V,) int64: 1 = fake, 0 = uncertain, -1 = real; only where there is a score, and only if `Detector.decides`."""


@dataclass(frozen=True)
class Detector:
    """A detector: its scores by condition, and what was found out about its file."""

    name: str
    file: ScoreFile
    conditions: dict[str, Scores]
    direction: Direction
    direction_reason: str
    threshold: float
    """In units of `Scores.score`; nan: none is known."""
    threshold_reason: str
    warnings: tuple[str, ...]
    """What a reader of the results must know, one line each."""
    counts: dict[str, list[str]] = field(default_factory=dict)
    """What became of rows that were not used as they stand -> the rows, for messages."""

    @property
    def decides(self) -> bool:
        """Whether it calls videos real or fake."""
        return not math.isnan(self.threshold)

    @property
    def tuned(self) -> bool:
        """Whether its direction was found from the labels of the test videos."""
        return self.direction_reason == FROM_LABELS

    @property
    def marked_name(self) -> str:
        """Its name in tables and plots of results: with a star if it is tuned."""
        return f"{self.name}*" if self.tuned else self.name

    def lines(self) -> list[str]:
        """Describe the file in a few lines: what was read, and what was not used."""
        sign = -1 if self.direction == "real-high" else 1
        threshold = f"threshold {sign * self.threshold:.6g}" if self.decides else "no threshold"
        higher = self.direction.partition("-")[0]
        columns = f"scores in {self.file.score_column!r}, videos in {self.file.path_column!r}"
        lines = [
            f"{self.name}: {self.file.table.path}: {columns}",
            f"  higher = {higher} ({self.direction_reason}); {threshold} ({self.threshold_reason})",
        ]
        for what, rows in self.counts.items():
            shown = ", ".join(rows[:MAX_EXAMPLES]) + (", ..." if len(rows) > MAX_EXAMPLES else "")
            lines.append(f"  {what}: {len(rows)} ({shown})")
        return [printable(line) for line in lines]


def build_detector(
    name: str,
    file: ScoreFile,
    records: Sequence[VideoRecord],
    names: VideoNames,
    direction: Direction | None = None,
    threshold: float | None = None,
) -> Detector:
    """Match the rows of a score file to videos, and settle direction and threshold.

    Args:
        name: name of the detector.
        file: its scores.
        records: the V videos of the index.
        names: their names.
        direction: as stated by the user; None: by the column name, or from the labels.
        threshold: as stated by the user, in units of the file; None: by the file.
    """
    groups, counts = _matched(file, records, names)
    raw, decisions = _one_score_per_video(groups, len(records), counts)
    label = np.array([record.label for record in records])
    scored = raw[min(raw, key=lambda condition: condition != RAW)]  # under the condition of the main table
    known = ~np.isnan(scored)
    direction, reason, warnings = _direction(name, file, label[known], scored[known], direction)
    warnings += _confidence_warnings(name, file)
    sign = -1.0 if direction == "real-high" else 1.0
    cut, cut_reason = _threshold(file, threshold, sign)
    conditions = {}
    for condition, score in raw.items():
        score = sign * score
        called = np.where(score >= cut, 1, -1)
        own = decisions[condition]
        conditions[condition] = Scores(score, np.where(np.isnan(own), called, np.nan_to_num(own)).astype(np.int64))
    return Detector(name, file, conditions, direction, reason, cut, cut_reason, tuple(warnings), counts)


Key = tuple[str, int]
"""A condition and the position of a video in the index."""


def _matched(
    file: ScoreFile, records: Sequence[VideoRecord], names: VideoNames
) -> tuple[dict[Key, list[ScoreRow]], dict[str, list[str]]]:
    """Return the rows of each video, and what became of the others."""
    shared = _shared_folders(file)
    found = {name: names.find(name, shared) for name in dict.fromkeys(row.name for row in file.rows)}
    by_path = {match.position for match in found.values() if match.how == "path"}
    fits = Counter((match.position, match.how) for match in found.values())
    groups: dict[Key, list[ScoreRow]] = {}
    counts: dict[str, list[str]] = {}

    def count(what: str, row: ScoreRow) -> None:
        counts.setdefault(what, []).append(f"{row.name} (row {row.number})")

    for row in file.rows:
        match = found[row.name]
        if match.how == "ambiguous" or (match.position >= 0 and fits[match] > 1):
            count("left out, because the name fits several videos, or several names fit the video", row)
        elif match.how == "unknown" or (match.how == "name" and match.position in by_path):
            count("left out, because they are not in the index", row)
        else:
            if match.how == "name" and records[match.position].path != row.name:
                count("matched by the file name alone, in another folder", row)
            groups.setdefault((row.condition, match.position), []).append(row)
    if file.unreadable:
        counts["scores that are no number, taken as missing"] = list(file.unreadable)
    return groups, counts


def _shared_folders(file: ScoreFile) -> int:
    """Number of leading folders that all names have in common."""
    folders = [row.name.split("/")[:-1] for row in file.rows]
    shortest, longest = min(folders), max(folders)
    return next((i for i, (a, b) in enumerate(zip(shortest, longest, strict=False)) if a != b), len(shortest))


def _one_score_per_video(
    groups: Mapping[Key, list[ScoreRow]], videos: int, counts: dict[str, list[str]]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the scores (V,) and the decisions (V,) of each condition, both nan where there are none."""
    scores: dict[str, np.ndarray] = {}
    decisions: dict[str, np.ndarray] = {}
    for (condition, position), rows in groups.items():
        score = scores.setdefault(condition, np.full(videos, np.nan))
        decision = decisions.setdefault(condition, np.full(videos, np.nan))
        known = [row for row in rows if not math.isnan(row.score)]
        first = rows[0]
        where = f"{first.name} (row {first.number})"
        if not known or {-math.inf, math.inf} <= {row.score for row in known}:  # these have no mean
            counts.setdefault("videos without a score", []).append(where)
            continue
        values = {row.score for row in known}
        if len(rows) > 1:
            what = "repeated rows with the same score, counted once" if len(values) == 1 else SEVERAL
            counts.setdefault(what, []).append(where)
        score[position] = known[0].score if len(values) == 1 else float(np.mean([row.score for row in known]))
        own = {row.decision for row in known}
        if len(own) == 1 and own != {None}:
            decision[position] = own.pop()
    if not scores:
        scores, decisions = ({RAW: np.full(videos, np.nan)} for _ in range(2))
    return scores, decisions


def _direction(
    name: str, file: ScoreFile, label: np.ndarray, score: np.ndarray, stated: Direction | None
) -> tuple[Direction, str, list[str]]:
    """Return which class has the higher scores, who says so, and warnings.

    Labels decide only against the direction that everybody assumes, and only if chance does not explain it: otherwise a
    detector that guesses would be turned to the side of the test labels.
    """
    areas, covariance = auc_covariance(label, score[None])
    area, error = float(areas[0]), math.sqrt(max(float(covariance[0, 0]), 0.0))
    inverted = bool(area + 1.96 * error < 0.5)
    word = stated_class(file.score_column)
    if stated is not None:
        direction, reason = stated, "as stated"
    elif file.is_ours:
        direction, reason = "fake-high", "a file of lipinc"
    elif word is not None:
        direction = "real-high" if word is Label.REAL else "fake-high"
        reason = f"by the name of the column; --direction {name}={direction} states it"
    elif inverted:
        warning = (
            f"{name}: the direction of its scores was {FROM_LABELS}: as they stand, their AUC is {area:.3f}, so higher "
            f"is taken for real. That is tuning on the test data: state --direction {name}=real-high if its authors "
            f"say so, or {name}=fake-high if it just fails here"
        )
        return "real-high", FROM_LABELS, [warning]
    else:
        return "fake-high", f"assumed; --direction {name}=... states it", []
    if inverted != (direction == "real-high") and abs(area - 0.5) > 1.96 * error:
        now = 1 - area if direction == "real-high" else area
        return direction, reason, [f"{name}: with {direction} scores ({reason}), its AUC is only {now:.3f}: is it so?"]
    return direction, reason, []


def _confidence_warnings(name: str, file: ScoreFile) -> list[str]:
    """Warn if the scores seem to be the confidence in the predicted class, as many classifiers write it."""
    half, whole = (50, 100) if file.in_percent else (0.5, 1)
    scores: dict[bool, list[float]] = {True: [], False: []}
    for row in file.rows:
        if not math.isnan(row.score) and (row.called, row.decision) != (None, None):
            scores[row.decision == 1 if row.called is None else row.called == 1].append(row.score)
    fakes, reals = scores[True], scores[False]
    if file.is_ours or stated_class(file.score_column) or not fakes or not reals or min(fakes) > max(reals):
        return []
    if min(fakes + reals) < half or max(fakes + reals) > whole:
        return []
    return [
        f"{name}: videos predicted as real have scores of {half} and more, too: {file.score_column} seems to be the "
        f"confidence in the predicted class. Where that is real, write {whole} minus it"
    ]


def _threshold(file: ScoreFile, stated: float | None, sign: float) -> tuple[float, str]:
    """Return the threshold in units of the score with higher = fake, and where it comes from; nan if nobody says."""
    if stated is not None:
        return sign * stated, "as stated"
    called = [(sign * row.score, row.called) for row in file.rows if row.called is not None and row.score == row.score]
    fakes, reals = ([score for score, call in called if call == one] for one in (1, 0))
    if fakes and (not reals or min(fakes) > max(reals)):
        return min(fakes), "the smallest score that the file predicts as fake"
    if reals and not fakes:
        return float(np.nextafter(max(reals), np.inf)), "the file predicts no fake"
    known = [row.score for row in file.rows if not math.isnan(row.score)]
    low, high = min(known), max(known)
    if any(part in plain(file.score_column) for part in LOGIT):
        return 0.0, "the scores are logits by the name of their column"
    if file.in_percent and low >= 0 and high <= 100:
        return sign * 50.0, "the scores are percentages"
    if low >= 0 and high <= 1:
        return sign * 0.5, "the scores lie in 0..1"
    return math.nan, "the scores lie outside 0..1; --threshold states one"
