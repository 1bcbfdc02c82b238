"""Comparison of detectors: on their common videos under each condition, overall and by group."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lipinc.comparison.detector import Detector
from lipinc.comparison.paired import Paired
from lipinc.datasets.records import GROUP_COLUMNS, VideoRecord
from lipinc.errors import UserError
from lipinc.evaluation.metrics import count_people, group_masks, too_few
from lipinc.evaluation.predictions import Predictions
from lipinc.synthesis.perturbations import RAW

ALL = "all"
"""Grouping and group of all videos of a condition."""


@dataclass(frozen=True, eq=False)
class Group:
    """Some of the common videos."""

    condition: str
    grouping: str
    """A column of the index, or `ALL`."""
    name: str
    paired: Paired

    @property
    def too_few(self) -> bool:
        """Whether a class that is present has too few people for a result."""
        return too_few(count_people(self.paired.videos))


@dataclass(frozen=True, eq=False)
class Comparison:
    """D detectors on the videos of an index."""

    detectors: Sequence[Detector]
    records: Sequence[VideoRecord]
    bootstrap: int = 1000
    seed: int = 0

    @cached_property
    def conditions(self) -> dict[str, Paired]:
        """Condition -> the videos that all detectors have a score for; raw first.

        Raises:
            UserError: the detectors have no video in common.
        """
        shared = [
            one for one in self.detectors[0].conditions if all(one in other.conditions for other in self.detectors)
        ]
        found = {one: self._common(one) for one in sorted(shared, key=lambda one: one != RAW)}
        found = {condition: paired for condition, paired in found.items() if len(paired.videos)}
        if not found:
            counts = ", ".join(
                f"{one.name} has {', '.join(f'{n} {c}' for c, n in scored_videos(one).items() if n) or 'none'}"
                for one in self.detectors
            )
            raise UserError(
                f"no video of the index has a score of every detector ({counts}): paths or names must agree with the "
                "index, and conditions with each other; --path-column names the column with paths"
            )
        return found

    @property
    def headline(self) -> Group:
        """All common videos under the first condition."""
        condition, paired = next(iter(self.conditions.items()))
        return Group(condition, ALL, ALL, paired)

    @cached_property
    def groups(self) -> list[Group]:
        """The groups of the first condition, then all videos of each condition."""
        return list(self._groups())

    def _groups(self) -> Iterator[Group]:
        headline = self.headline
        for by in GROUP_COLUMNS:
            for name, chosen in group_masks(headline.paired.videos, by).items():
                yield Group(headline.condition, by, name, headline.paired.select(chosen))
        if len(self.conditions) > 1:
            for condition, paired in self.conditions.items():
                yield Group(condition, "condition", condition, paired)

    def _common(self, condition: str) -> Paired:
        scores = np.stack([one.conditions[condition].score for one in self.detectors])
        decisions = np.stack([one.conditions[condition].decision for one in self.detectors])
        chosen = np.flatnonzero(~np.isnan(scores).any(axis=0))
        videos = Predictions([self.records[i] for i in chosen], scores[0, chosen], np.ones(len(chosen)))
        thresholds = np.array([one.threshold for one in self.detectors])
        return Paired(videos, scores[:, chosen], decisions[:, chosen], thresholds, self.bootstrap, self.seed)


def scored_videos(detector: Detector) -> dict[str, int]:
    """Return condition -> number of videos with a score."""
    return {name: int(np.sum(~np.isnan(scores.score))) for name, scores in detector.conditions.items()}


MAX_RANK_DISTANCE = 0.5
"""Detectors without thresholds disagree on a video if its ranks differ by more than this fraction of the videos."""


@dataclass(frozen=True)
class Disagreement:
    """A video on which two detectors disagree."""

    record: VideoRecord
    scores: tuple[float, float]
    right: int
    """Position of the detector that is right, or nearer to it: 0 for the first of the pair, 1 for the second."""
    distance: float
    """Difference of the ranks of the two scores, as a fraction of the videos."""


def disagreements(paired: Paired, first: int, second: int) -> list[Disagreement]:
    """Return the videos on which two detectors disagree, the most different ranks first.

    At their thresholds one is right and the other one is wrong. Unless both have a threshold, their ranks differ by
    more than `MAX_RANK_DISTANCE`.
    """
    from scipy.stats import rankdata  # slow to import

    pair, is_fake = paired.scores[[first, second]], paired.videos.label == 1
    ranks = rankdata(pair, axis=1) / max(pair.shape[1], 1)
    distance = np.abs(ranks[0] - ranks[1])
    thresholds = paired.thresholds[[first, second], None]
    if np.isnan(thresholds).any():
        chosen, second_is_right = distance > MAX_RANK_DISTANCE, (ranks[1] > ranks[0]) == is_fake
    else:
        right = (pair >= thresholds) == is_fake
        chosen, second_is_right = right[0] != right[1], right[1]
    found = [
        Disagreement(
            paired.videos.records[i],
            (float(pair[0, i]), float(pair[1, i])),
            int(second_is_right[i]),
            float(distance[i]),
        )
        for i in np.flatnonzero(chosen)
    ]
    return sorted(found, key=lambda one: (-one.distance, one.record.path))
