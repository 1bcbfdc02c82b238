"""Shortcuts: how well file size, length and bit rate alone separate fakes from reals. A detector must do better.

    python -m benchmarks.shortcuts --config configs/own_clips.py
    lipinc reencode --root data/clips --out data/clips_crf28 --crf 28
    python -m benchmarks.shortcuts --config configs/own_clips.py --data.root data/clips_crf28

Uses no pixels: gradient-boosted trees and a logistic regression on bytes, frames, bytes per frame, seconds and bits per
second. AUC per video in five-fold cross-validation by identity: mean over the folds, and of the pooled out-of-fold
scores.
"""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from lipinc.commands.runner import run_command
from lipinc.config import Config, parse_command_line
from lipinc.datasets import VideoRecord, check_present, load_videos
from lipinc.datasets.splits import assign_splits
from lipinc.evaluation.metrics import auc

FOLDS = 5
CLASSIFIERS = {
    "boosted trees": lambda: HistGradientBoostingClassifier(min_samples_leaf=5, random_state=0),
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
}


def main(words: list[str]) -> None:
    """Print the table."""
    prog = "python -m benchmarks.shortcuts"
    config = parse_command_line(Config, words, prog=prog, description=__doc__, sections=("data", "split"))
    records = [record for record in load_videos(config.data) if record.key == record.path]
    missing = check_present(records, config.data)
    records = [record for record in records if record.key not in missing]
    features = np.array([_features(Path(config.data.root, record.path)) for record in tqdm(records, unit="video")])
    labels = np.array([int(record.label) for record in records])
    fold = _folds(records, config)
    print(f"{len(records)} videos in {config.data.root}; {FOLDS} folds by identity, split.seed {config.split.seed}")
    print(f"{'':14s}{'mean AUC':>9s}{'pooled':>9s}")
    for name, make in CLASSIFIERS.items():
        scores = np.zeros(len(records))
        for test in range(FOLDS):
            classifier = make().fit(features[fold != test], labels[fold != test])
            scores[fold == test] = classifier.predict_proba(features[fold == test])[:, 1]
        areas = [auc(labels[fold == test], scores[fold == test]) for test in range(FOLDS)]
        print(f"{name:14s}{np.mean(areas):9.3f}{auc(labels, scores):9.3f}")


def _features(video: Path) -> list[float]:
    capture = cv2.VideoCapture(str(video.absolute()), cv2.CAP_FFMPEG)
    frames, rate = 0, capture.get(cv2.CAP_PROP_FPS) or 25.0
    while capture.grab():
        frames += 1
    capture.release()
    size = video.stat().st_size
    seconds = frames / rate
    return [size, frames, size / max(frames, 1), seconds, 8 * size / max(seconds, 1e-3)]


def _folds(records: list[VideoRecord], config: Config) -> np.ndarray:
    fold = np.zeros(len(records), dtype=int)
    for number in range(FOLDS):
        splits = assign_splits(records, replace(config.split, folds=FOLDS, fold=number, file=""))
        fold[[splits[record.key] == "test" for record in records]] = number
    return fold


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
