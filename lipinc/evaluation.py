"""The test split, judged once: metrics, predictions and pictures of a checkpoint."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lipinc import plots
from lipinc.calibration import Calibration
from lipinc.checkpoint import Checkpoint
from lipinc.config import Config, EvaluateConfig
from lipinc.data.cache import Cache, ManifestRow, write_atomically
from lipinc.data.dataset import ClipDataset
from lipinc.metrics import Interval, Predictions, break_down, evaluate
from lipinc.report import break_down_table, metrics_json, metrics_table
from lipinc.training import predict

BREAK_DOWNS = ("generator", "audio", "family", "race", "gender")


@dataclass(frozen=True)
class TestResult:
    """What a checkpoint reaches on the test split, per video."""

    predictions: Predictions
    calibration: Calibration
    metrics: dict[str, Interval]
    break_downs: dict[str, list[dict[str, Any]]]

    def __str__(self) -> str:
        tables = [break_down_table(rows, by) for by, rows in self.break_downs.items()]
        return "\n\n".join([metrics_table(self.metrics), *(table for table in tables if table)])


def test(
    checkpoint: Checkpoint, config: Config, cache: Cache, rows: Sequence[ManifestRow], device: torch.device
) -> TestResult:
    """Judge the videos `rows` as they read by its calibration on validation."""
    predictions, _ = predict(checkpoint.model, ClipDataset(cache, rows), config.train, device, description="test")
    return judge(predictions, checkpoint.calibration, config.evaluate)


def judge(predictions: Predictions, calibration: Calibration, config: EvaluateConfig) -> TestResult:
    """Metrics and break-downs of predictions, at the threshold of a calibration."""
    options = {"threshold": calibration.threshold, "bootstrap": config.bootstrap, "seed": config.seed}
    conditions = list(dict.fromkeys(predictions.condition.tolist()))
    if len(conditions) == 1:
        break_downs = {by: break_down(predictions, by=by, **options) for by in BREAK_DOWNS}
    else:
        break_downs = {"condition": break_down(predictions, by="condition", **options)}
        for condition in conditions:
            part = predictions.select(predictions.condition == condition)
            break_downs |= {f"{by}, {condition}": break_down(part, by=by, **options) for by in BREAK_DOWNS}
    return TestResult(predictions, calibration, evaluate(predictions, **options), break_downs)


def write_result(result: TestResult, folder: Path, *, title: str, about: dict[str, Any]) -> None:
    """metrics.json, predictions.csv and plots/*.png. about: what else metrics.json says of these numbers."""
    plot_folder = folder / "plots"
    plot_folder.mkdir(parents=True, exist_ok=True)
    threshold, temperature = result.calibration.threshold, result.calibration.temperature
    values = {**about, "temperature": temperature, **metrics_json(result.metrics, threshold, result.break_downs)}
    write_atomically(folder / "metrics.json", json.dumps(values, indent=2).encode() + b"\n")
    result.predictions.write(folder / "predictions.csv", threshold, temperature)
    note = about.get("note", "")
    plots.plot_roc(result.predictions, plot_folder / "roc.png", title, note)
    plots.plot_precision_recall(result.predictions, plot_folder / "precision_recall.png", title, note)
    plots.plot_score_histogram(result.predictions, threshold, plot_folder / "scores.png", title, note)
    plots.plot_confusion(result.predictions, threshold, plot_folder / "confusion.png", title, note)
