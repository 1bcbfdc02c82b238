"""Predictions: the scores of videos with their metadata."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lipinc.datasets.records import RECORD_COLUMNS, VideoRecord
from lipinc.files.csv_table import write_table
from lipinc.models.calibration import Calibration
from lipinc.video.quality import QUALITY_NAMES

SCORE_COLUMNS = ("fake_probability", "score", "prediction", "decision", "windows")
DECISIONS = {1: "fake", 0: "uncertain", -1: "real"}


@dataclass(frozen=True, eq=False)
class Predictions:
    """The scores of V videos. Lists are converted to arrays; ValueError if lengths differ."""

    records: Sequence[VideoRecord]
    score: np.ndarray
    """(V,) float64: mean over the windows of logit(fake) - logit(real)."""
    windows: np.ndarray
    """(V,) int64: number of windows."""
    decision: np.ndarray | None = None
    """(V,) int64: 1 = fake, 0 = uncertain, -1 = real, as the detector of each video decides; None: not decided yet."""
    quality: np.ndarray | None = None
    """(V, Q) float64: input quality of each video, in the order of QUALITY_NAMES, nan where it is unknown; None: not
    measured."""
    window_scores: Sequence[np.ndarray] | None = None
    """The score of each window (K,) float64 of each video, of which its score is the mean; None: not known."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", tuple(self.records))
        if self.window_scores is not None and len(self.window_scores) != len(self.records):
            raise ValueError(f"window_scores are those of {len(self.window_scores)}, not {len(self.records)} videos")
        arrays = {"score": np.float64, "windows": np.int64, "decision": np.int64, "quality": np.float64}
        for name, dtype in arrays.items():
            if (value := getattr(self, name)) is None:
                continue
            array = np.asarray(value, dtype=dtype)
            shape = (len(self.records), len(QUALITY_NAMES)) if name == "quality" else (len(self.records),)
            if array.shape != shape:
                raise ValueError(f"{name} has shape {array.shape}, not {shape}, for {len(self.records)} videos")
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def label(self) -> np.ndarray:
        """(V,) int64: 1 = fake, 0 = real."""
        return np.array([record.label for record in self.records], dtype=np.int64)

    def column(self, name: str) -> np.ndarray:
        """Return a text field of the records, or their key: (V,) str."""
        return np.array([getattr(record, name) for record in self.records], dtype=np.str_)

    def select(self, chosen: np.ndarray) -> "Predictions":
        """Select videos by a boolean mask (V,) or an array of indices."""
        positions = np.arange(len(self))[chosen]
        decision, quality = (None if some is None else some[positions] for some in (self.decision, self.quality))
        records = [self.records[i] for i in positions]
        windows = None if self.window_scores is None else [self.window_scores[i] for i in positions]
        return Predictions(records, self.score[positions], self.windows[positions], decision, quality, windows)

    def with_refused(self, refused: Sequence[VideoRecord], score: float) -> "Predictions":
        """Return the scores and labels of these videos, then of refused ones with the same given score each."""
        records = [*self.records, *refused]
        return Predictions(
            records, np.append(self.score, [score] * len(refused)), np.append(self.windows, [0] * len(refused))
        )

    @classmethod
    def concatenate(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """Join predictions that all have decisions and input quality."""
        names = ("score", "windows", "decision", "quality")
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls([record for part in parts for record in part.records], **arrays)

    def decided_by(self, calibration: Calibration) -> "Predictions":
        """Return the same predictions with the decisions of a calibration."""
        return replace(self, decision=calibration.decide(self.score, self.quality))

    def write(self, path: Path, calibration: Calibration) -> None:
        """Write predictions.csv: the record columns, the score, the fake probability and the prediction.

        Args:
            path: the CSV file.
            calibration: converts scores to probabilities; the prediction is 1 if score >= its threshold.
        """
        probability = calibration.probability(self.score)
        decision = calibration.decide(self.score, self.quality) if self.decision is None else self.decision
        rows = (
            {
                **record.to_cells(),
                "label": int(record.label),
                "fake_probability": float(probability[i]),
                "score": float(self.score[i]),
                "prediction": int(self.score[i] >= calibration.threshold),
                "decision": DECISIONS[decision[i]],
                "windows": int(self.windows[i]),
                **self._quality_cells(i),
            }
            for i, record in enumerate(self.records)
        )
        measures = () if self.quality is None else QUALITY_NAMES
        write_table(path, ("key", "label", *SCORE_COLUMNS, *measures, *RECORD_COLUMNS[2:]), rows)

    def _quality_cells(self, video: int) -> dict[str, str]:
        if self.quality is None:
            return {}
        values = zip(QUALITY_NAMES, self.quality[video].tolist(), strict=True)
        return {name: "" if math.isnan(value) else f"{value:.4g}" for name, value in values}
