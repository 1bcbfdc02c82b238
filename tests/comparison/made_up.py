"""Detectors made up for tests: an index of videos, and score files for it."""

from pathlib import Path

import numpy as np

from lipinc.comparison.detector import Detector, build_detector
from lipinc.comparison.matching import VideoNames
from lipinc.comparison.score_file import read_score_file, read_score_table
from lipinc.datasets.records import Label, VideoRecord

PEOPLE = 12


def records(people: int = PEOPLE) -> list[VideoRecord]:
    """Two real and two fake videos of each person, the fakes of two generators."""
    return [
        VideoRecord(
            f"{label.name.lower()}/{person:02d}_{take}.mp4",
            label,
            f"id{person}",
            generator=("alpha", "beta")[take] if label is Label.FAKE else "",
            gender=("men", "women")[person % 2],
        )
        for person in range(people)
        for label in Label
        for take in range(2)
    ]


def scores(videos: list[VideoRecord], separation: float, seed: int = 0) -> np.ndarray:
    """Scores around 0 for reals, and around `separation` for fakes."""
    noise = np.random.default_rng(seed).normal(size=len(videos))
    return noise + separation * np.array([video.label for video in videos])


def write_scores(file: Path, videos: list[VideoRecord], values, column: str = "score", **more: list) -> Path:
    """Write a score file with the columns path and `column`, and further columns."""
    rows = [f"path,{','.join([column, *more])}"]
    rows += [
        ",".join(map(str, (video.path, *cells))) for video, *cells in zip(videos, values, *more.values(), strict=True)
    ]
    file.write_text("\n".join(rows) + "\n")
    return file


def detector(file: Path, videos: list[VideoRecord], name: str = "A", **options) -> Detector:
    """Read a score file as `lipinc compare` does. options: direction, threshold."""
    names = VideoNames(videos)
    return build_detector(name, read_score_file(read_score_table(file), names), videos, names, **options)
