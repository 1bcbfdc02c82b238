"""A detector that reads no pixels: how the lips move, after BioLip (Chen, Xu, arXiv 2604.16808). It is cross-validated.

    python examples/lip_kinematics.py --config configs/mouth_noise.py --split.folds 8 --split.apart family \\
        --data.root CLIPS --data.index CLIPS/clips.csv --beside outputs/mouth_noise_folds/predictions.csv

An example of a detector that cannot be a plug-in model: those get clips of eight mouths, and velocity, acceleration and
jerk need landmarks of 25 adjacent frames. What surrounds a model is used as it is: index, face landmarks, folds,
calibration and metrics. The landmarks of each video are kept in <output>/lip_kinematics/landmarks_<pictures>, so that
an interrupted run continues. predictions.csv in <output>/lip_kinematics has the out-of-fold score of each video; with
--beside, mean.csv has the mean with the scores of another detector, both as logits that are calibrated out of fold.

Not the authors' code. As in the paper: 64 perioral points, windows of 25 frames, the four derivatives (256 values), and
a network of 107 777 weights. Ours, since the paper's abstract does not say: which points, the alignment, the statistic
(root mean square), and the training.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lipinc.commands.runner import run_command
from lipinc.config import Config, MouthConfig, experiment, parse_command_line
from lipinc.cores import available_cores
from lipinc.datasets import VideoRecord, load_videos
from lipinc.datasets.splits import assign_splits
from lipinc.errors import UserError, printable
from lipinc.evaluation.metrics import break_down, compute_metrics
from lipinc.evaluation.predictions import Predictions
from lipinc.evaluation.tables import break_down_table, metrics_table
from lipinc.files.atomic import replacing
from lipinc.files.csv_table import read_table, unguard_formula, write_table
from lipinc.models.calibration import calibrate
from lipinc.progress import progress_bar
from lipinc.video.face_finding import FaceFinder
from lipinc.video.face_tracking import FaceTracks
from lipinc.video.native_logs import quiet_native_logs
from lipinc.video.reader import Unreadable, VideoReader, downscale
from lipinc.video.repeats import RepeatFilter
from lipinc.video.subprocesses import map_isolated

# fmt: off
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
AROUND_LIPS = (164, 167, 165, 92, 186, 57, 43, 106, 182, 83, 18, 313, 406, 335, 273, 287, 410, 322, 391, 393)
NOSE_CHIN_CHEEKS = (2, 200, 212, 432)
PERIORAL = np.array([*OUTER_LIPS, *INNER_LIPS, *AROUND_LIPS, *NOSE_CHIN_CHEEKS])
"""64 points of the face mesh that move with the lips."""
RIGID = np.array([33, 133, 362, 263, 160, 158, 153, 144, 385, 387, 373, 380, 168, 6, 197, 195, 5, 4])
"""Points of the face mesh around the eyes and on the nose, which move with the head alone."""
# fmt: on
WINDOW, STRIDE = 25, 5
"""Length of a window and distance between two, in frames."""
DERIVATIVES = 4
"""Displacement, velocity, acceleration, jerk."""


@dataclass(frozen=True)
class Arguments(Config):
    """Arguments: a config with data and folds, and these."""

    beside: Path | None = None
    """predictions.csv (columns key or path, and score) of another detector on the same videos."""
    pictures: int = 75
    """Number of pictures that are read from the start of each video: 3 s at 25 per second."""


def main() -> None:
    """Read, cross-validate, print."""
    sections = ("output", "data", "split", "evaluate")
    arguments = parse_command_line(Arguments, sys.argv[1:], description=__doc__, sections=sections)
    config = experiment(arguments)
    if not config.split.folds:
        raise UserError("set the number of folds with --split.folds")
    folder = Path(config.output, "lip_kinematics")
    records = load_videos(replace(config.data, conditions=(), forgeries=0))
    other = {} if arguments.beside is None else read_scores(arguments.beside, records)
    landmarks = folder / f"landmarks_{arguments.pictures}"
    windows = read_windows(records, Path(config.data.root), landmarks, arguments.pictures)
    splits = [
        assign_splits(records, replace(config.split, fold=fold), needed=("train",))
        for fold in range(config.split.folds)
    ]
    fold = {key: number for number, split in enumerate(splits) for key in split if split[key] == "test"}
    score = cross_validate(records, splits, windows, config)
    write_table(folder / "predictions.csv", ("path", "score"), [{"path": key, "score": score[key]} for key in score])
    if arguments.beside is None:
        records = [record for record in records if record.key in score]
        return show("kinematics", records, *calibrated(records, fold, score, config), config)
    records = [record for record in records if record.key in score and record.key in other]
    mine, theirs = (calibrated(records, fold, one, config) for one in (score, other))
    logits = (mine[0] + theirs[0]) / 2
    mean = {record.key: float(value) for record, value in zip(records, logits, strict=True)}
    write_table(folder / "mean.csv", ("path", "score"), [{"path": key, "score": mean[key]} for key in mean])
    show("kinematics", records, *mine, config)
    show(str(arguments.beside), records, *theirs, config)
    show("mean of both", records, logits, calibrated(records, fold, mean, config)[1], config)
    print(f"\ncorrelation of both: {np.corrcoef(mine[0], theirs[0])[0, 1]:.2f}")


# Landmarks


def read_windows(records: Sequence[VideoRecord], root: Path, folder: Path, pictures: int) -> dict[str, np.ndarray]:
    """Return key -> features (K, 256) of the windows of each video that has some; print why the others have none."""
    files = {record.key: folder / f"{record.key}.npz" for record in records}
    todo = [(root / record.path, files[record.key]) for record in records if not files[record.key].exists()]
    problems = []
    with map_isolated(partial(keep_landmarks, pictures=pictures), todo, available_cores()) as results:
        for (video, _), problem in zip(todo, progress_bar(results, total=len(todo), unit="video"), strict=True):
            if problem:
                problems.append(f"{video}: {problem}")
    found = {}
    for key, file in files.items():
        if file.exists():
            with np.load(file) as stored:
                windows = kinematics(stored["pictures"], stored["times"], stored["landmarks"])
            if len(windows):
                found[key] = windows
            else:
                problems.append(f"{key}: no face in {WINDOW} adjacent frames")
    for problem in problems:
        print(f"left out: {printable(problem)}")
    return found


def keep_landmarks(todo: tuple[Path, Path], pictures: int) -> str:
    """Track the largest face of a video and write its landmarks to a file. Returns why that failed, or ""."""
    video, file = todo
    try:
        numbers, times, landmarks = track_landmarks(video, pictures)
    except (Unreadable, OSError) as error:
        return str(error)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, pictures=numbers, times=times, landmarks=landmarks)
    return ""


def track_landmarks(video: Path, pictures: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the numbers (T,) int64 and times (T,) float64 in s of the first pictures with the largest face, and its
    landmarks (T, 478, 2) float32 in px."""
    config = MouthConfig()
    finder, tracks, repeats = FaceFinder(config, several=False), FaceTracks(), RepeatFilter()
    found: dict[int, list[tuple[int, float, np.ndarray]]] = {}
    number = 0
    with quiet_native_logs(), VideoReader(video) as frames:
        for frame in frames:
            image = downscale(frame.image, config.working_width)
            if repeats.is_repeat(image):  # not a new picture: it would look like a pause
                continue
            faces = finder(frame.image, image)
            boxes = np.array([[*face.min(axis=0), *face.max(axis=0)] for face in faces])
            for face, track in zip(faces, tracks.assign(number, boxes), strict=True):
                found.setdefault(id(track), []).append((number, frame.time, face))
            number += 1
            if number == pictures:
                break
    largest = next((found[id(track)] for track in tracks.sorted_by_area()), [])
    numbers, times, landmarks = zip(*largest, strict=True) if largest else ((), (), ())
    return np.array(numbers, dtype=np.int64), np.array(times), np.array(landmarks, np.float32).reshape(-1, 478, 2)


# Features


def kinematics(pictures: np.ndarray, times: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Compute the features of all windows of adjacent pictures.

    Args:
        pictures: (T,) int: numbers of the pictures.
        times: (T,) float: their times in s.
        landmarks: (T, 478, 2) float, in px.

    Returns:
        (K, 256) float32: log of the root mean square of displacement, velocity, acceleration and jerk of each point, in
        distances between the eyes and seconds.
    """
    found = []
    for first in range(0, len(pictures) - WINDOW + 1, STRIDE):
        part = slice(first, first + WINDOW)
        span = times[part][-1] - times[part][0]
        if pictures[part][-1] - pictures[part][0] == WINDOW - 1 and span > 0:
            moved = perioral_motion(landmarks[part])
            rate = (WINDOW - 1) / span
            squares = [np.abs(np.diff(moved, order, axis=0) * rate**order) ** 2 for order in range(DERIVATIVES)]
            found.append(np.concatenate([0.5 * np.log(square.mean(axis=0) + 1e-8) for square in squares]))
    return np.array(found, dtype=np.float32).reshape(-1, DERIVATIVES * len(PERIORAL))


def perioral_motion(landmarks: np.ndarray) -> np.ndarray:
    """Return the movement of the perioral points without that of the head.

    Each frame is moved, turned and scaled so that its rigid points fit those of the first frame best (least squares).

    Args:
        landmarks: (T, 478, 2) float, in px.

    Returns:
        (T, 64) complex, from the mean position of each point, in distances between the eyes.
    """
    points = landmarks[..., 0].astype(np.float64) + 1j * landmarks[..., 1]
    rigid = points[:, RIGID]
    centre = rigid.mean(axis=1, keepdims=True)
    rigid = rigid - centre
    turn = (rigid.conj() * rigid[:1]).sum(axis=1, keepdims=True) / (np.abs(rigid) ** 2).sum(axis=1, keepdims=True)
    eyes = np.abs(points[0, 33] - points[0, 263])
    lips = (points[:, PERIORAL] - centre) * turn / eyes
    return lips - lips.mean(axis=0)


# Network


def network() -> nn.Sequential:
    """The network of the paper's first version, by its number of weights: 256 values to a logit, fake = positive."""

    def layer(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(0.3)]

    return nn.Sequential(*layer(256, 256), *layer(256, 128), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1))


def fit(x: torch.Tensor, y: torch.Tensor, seed: int, epochs: int = 30) -> nn.Sequential:
    """Train a network on windows (K, 256) with labels (K,) in {0, 1}; both classes have the same weight."""
    torch.manual_seed(seed)
    model, loss = network(), nn.BCEWithLogitsLoss(pos_weight=(y == 0).sum() / (y == 1).sum())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(128):
            if len(chosen) > 1:  # batch normalisation
                optimizer.zero_grad()
                loss(model(x[chosen])[:, 0], y[chosen]).backward()
                optimizer.step()
    return model.eval()


def cross_validate(
    records: Sequence[VideoRecord], splits: Sequence[dict[str, str]], windows: dict[str, np.ndarray], config: Config
) -> dict[str, float]:
    """Return key -> mean logit over the windows, by three networks that were not trained on the fold."""
    score = {}
    records = [record for record in records if record.key in windows]
    for split in progress_bar(splits, unit="fold"):
        train = [
            record
            for record in records
            if split[record.key] == "train" and record.generator not in config.data.other_kinds
        ]
        if len({record.label for record in train}) < 2:
            raise UserError("the training videos of a fold are all real or all fake; use other videos or fewer folds")
        x = torch.from_numpy(np.concatenate([windows[record.key] for record in train]))
        y = torch.cat([torch.full((len(windows[record.key]),), float(record.label)) for record in train])
        mean, deviation = x.mean(dim=0), x.std(dim=0) + 1e-6
        models = [fit((x - mean) / deviation, y, seed) for seed in range(3)]
        for record in records:
            if split[record.key] == "test":
                standardised = (torch.from_numpy(windows[record.key]) - mean) / deviation
                with torch.inference_mode():
                    score[record.key] = float(torch.stack([model(standardised) for model in models]).mean())
    return score


# Comparison


def read_scores(file: Path, records: Sequence[VideoRecord]) -> dict[str, float]:
    """Read key -> score of the original videos from a predictions.csv."""
    table = read_table(file, ("key", "path", "score", "condition"))
    name = "path" if "path" in table.columns else "key"
    table.require((name, "score"))
    try:
        found = {
            unguard_formula(row[name]): float(row["score"])
            for _, row in table.rows
            if row.get("condition", "raw") == "raw"
        }
    except ValueError as error:
        raise UserError(f"{file}: a score is not a number ({error})") from error
    if found.keys().isdisjoint(record.key for record in records):
        raise UserError(f"{file} has no video of this data set: give the predictions of another detector on it")
    return found


def calibrated(
    records: Sequence[VideoRecord], fold: dict[str, int], score: dict[str, float], config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated logits (V,) float64 and decisions (V,) int; each fold is calibrated by the others."""
    values = np.array([score[record.key] for record in records])
    label = np.array([record.label for record in records], dtype=np.int64)
    folds = np.array([fold[record.key] for record in records])
    counted = np.array([record.generator not in config.data.other_kinds for record in records])
    logits, decisions = np.empty(len(values)), np.empty(len(values), dtype=np.int64)
    for number in np.unique(folds):
        own, others = folds == number, (folds != number) & counted
        calibration = calibrate(label[others], values[others])
        logits[own], decisions[own] = calibration.logit(values[own]), calibration.decide(values[own])
    return logits, decisions


def show(name: str, records: Sequence[VideoRecord], logits: np.ndarray, decisions: np.ndarray, config: Config) -> None:
    """Print the metrics of a detector, also by generator, with bootstrap intervals by person."""
    predictions = Predictions(records, logits, np.ones(len(records)), decisions)
    counted = np.array([record.generator not in config.data.other_kinds for record in records])
    options = {"threshold": 0.0, "bootstrap": config.evaluate.bootstrap, "seed": config.evaluate.seed}
    print(f"\n{name}: {counted.sum()} videos\n{metrics_table(compute_metrics(predictions.select(counted), **options))}")
    print(break_down_table(break_down(predictions.select(counted), by="generator", **options), "generator"))


if __name__ == "__main__":
    import lip_kinematics  # subprocesses can import functions of this name, not those of __main__

    run_command(lip_kinematics.main)
