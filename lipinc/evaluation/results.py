"""Evaluation results: metrics under each condition, break-downs, and their files and plots."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lipinc.batches.feature_dataset import dataset_for
from lipinc.cache.manifest import OK, ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import Config, EvaluateConfig
from lipinc.datasets.records import Label, VideoRecord
from lipinc.evaluation import plots
from lipinc.evaluation.metrics import (
    GROUPINGS,
    MIN_PEOPLE,
    Interval,
    break_down,
    compute_metrics,
    count_people,
    group_row,
    too_few,
)
from lipinc.evaluation.predictions import Predictions
from lipinc.evaluation.scoring import score_clips
from lipinc.evaluation.tables import break_down_table, metrics_json, metrics_table
from lipinc.files.atomic import write_atomically
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import Checkpoint
from lipinc.synthesis.perturbations import COMPRESSION, ENCODINGS, RAW

HEADLINE = {"auc": "AUC", "ap": "AP", "accuracy": "accuracy"}
ONE_CLASS_HEADLINE = {Label.REAL: ("reals_accused", "real people accused"), Label.FAKE: ("accuracy", "fakes detected")}
"""Class -> the metric that is left if all videos are of this class, and its name."""


WINDOWS = "window, of videos forged in part and of real ones"
"""The break-down in which windows count like videos, with labels of their own (`VideoRecord.fake_periods`)."""


@dataclass(frozen=True)
class Evaluation:
    """Predictions and their video-level metrics."""

    predictions: Predictions
    calibration: Calibration
    conditions: dict[str, dict[str, Interval]]
    """Condition -> metrics. The first condition is the headline: raw if present."""
    break_downs: dict[str, list[dict[str, Any]]]
    other_kinds: tuple[str, ...] = ()
    """Generators whose fakes are among the predictions, but not part of the metrics (data.other_kinds)."""
    refused: tuple[VideoRecord, ...] = ()
    """Tested videos without a score, under every condition (`ManifestRow.refused`)."""

    @property
    def condition(self) -> str:
        """The headline condition."""
        return next(iter(self.conditions))

    @property
    def metrics(self) -> dict[str, Interval]:
        """The metrics under the headline condition."""
        return self.conditions[self.condition]

    @property
    def people(self) -> dict[Label, int]:
        """Label -> number of people under the headline condition."""
        return count_people(self.shown)

    @property
    def counted(self) -> Predictions:
        """The predictions that count for the metrics: those without other kinds of forgery."""
        return self.predictions.select(~_is_other(self.predictions.records, self.other_kinds))

    def under(self, condition: str) -> Predictions:
        """Return the predictions that count for the metrics under a condition."""
        counted = self.counted
        return counted.select(counted.column("condition") == condition)

    @property
    def shown(self) -> Predictions:
        """The predictions that count for the metrics under the headline condition."""
        return self.under(self.condition)

    @property
    def refused_counts(self) -> dict[Label, int]:
        """Label -> number of refused videos that count under the headline condition."""
        refused = _counted_under(self.condition, self.refused, self.other_kinds)
        return {label: sum(record.label is label for record in refused) for label in Label}

    @property
    def caveat(self) -> str:
        """Why the metrics mean nothing; "" if there are enough people."""
        people = self.people
        if not too_few(people):
            return ""
        counts = " and ".join(f"{count} with {label.name.lower()} videos" for label, count in people.items() if count)
        more = "lipinc crossval tests everybody in a data set" if all(people.values()) else "test more people"
        return f"means nothing: people tested: {counts}, fewer than {MIN_PEOPLE}; {more}"

    @property
    def headline(self) -> str:
        """The main metrics in one line, after the caveat."""
        present = [label for label, count in self.people.items() if count]
        if len(present) == 1:
            key, name = ONE_CLASS_HEADLINE[present[0]]
            absent = Label(1 - present[0]).name.lower()
            value = self.metrics[key]
            interval = "" if np.isnan(value.low) else f" [{value.low:.3f}, {value.high:.3f}]"
            text = f"{name} {value.value:.4f}{interval}; no {absent} videos, so no AUC"
        else:
            text = "  ".join(f"{name} {self.metrics[key].value:.4f}" for key, name in HEADLINE.items())
        return f"({self.caveat}) {text}" if self.caveat else text

    def __str__(self) -> str:
        tables = [break_down_table(rows, by) for by, rows in self.break_downs.items()]
        return "\n\n".join([self._metrics_text(), *(table for table in tables if table)])

    def _metrics_text(self) -> str:
        """Return the table of the metrics, and how many videos they leave out because they were refused."""
        refused = self.refused_counts
        if not any(refused.values()):
            return metrics_table(self.metrics)
        scored = self.shown.label
        counts = (f"{n} of {n + np.sum(scored == label)} {label.name.lower()}" for label, n in refused.items())
        return f"{metrics_table(self.metrics)}\nrefused: {' and '.join(counts)} videos (the manifest says why)"


def evaluate_checkpoint(
    checkpoint: Checkpoint, config: Config, cache: Cache, rows: Sequence[ManifestRow], device: torch.device
) -> Evaluation:
    """Score videos with a checkpoint and evaluate the predictions with its calibration.

    Args:
        checkpoint: the checkpoint.
        config: data loading and evaluation settings.
        cache: the cache with the clips.
        rows: the videos, with those that were refused.
        device: device of the model.
    """
    usable = [row for row in rows if row.status == OK]
    dataset = dataset_for(checkpoint.model, cache, usable, device)
    scores = score_clips(checkpoint.model, dataset, config.train, device, description="test")
    refused = [row.record for row in rows if row.refused]
    other_kinds = config.data.other_kinds
    result = evaluate_predictions(
        scores.by_video(usable), checkpoint.calibration, config.evaluate, other_kinds, refused
    )
    if not any(row.record.fake_periods for row in usable):
        return result
    windows = scores.by_window(usable).decided_by(checkpoint.calibration)
    windows = windows.select(~_is_other(windows.records, other_kinds))
    options = {"bootstrap": config.evaluate.bootstrap, "seed": config.evaluate.seed}
    by_window = [
        _row(condition, part, compute_metrics(part, checkpoint.calibration.threshold, **options), [])
        for condition in result.conditions
        if len(part := windows.select(windows.column("condition") == condition))
    ]
    return replace(result, break_downs={**result.break_downs, WINDOWS: by_window})


def evaluate_predictions(
    predictions: Predictions,
    calibration: Calibration,
    config: EvaluateConfig,
    other_kinds: Sequence[str] = (),
    refused: Sequence[VideoRecord] = (),
) -> Evaluation:
    """Compute metrics for each condition, and break-downs for the headline condition and each level of compression.

    Videos of different conditions are never pooled.

    Args:
        predictions: the scores.
        calibration: defines the threshold.
        config: bootstrap settings, and whether frames are evaluated, too.
        other_kinds: generators of another kind of forgery (data.other_kinds), in a table of their own.
        refused: videos that belong to the predictions and have no score.
    """
    if predictions.decision is None:
        predictions = predictions.decided_by(calibration)
    every, is_other = predictions, _is_other(predictions.records, other_kinds)
    predictions = every.select(~is_other)
    options = {
        "threshold": calibration.threshold,
        "frame_level": config.frame_level,
        "bootstrap": config.bootstrap,
        "seed": config.seed,
    }
    condition_column = predictions.column("condition")
    present = dict.fromkeys(condition_column.tolist())
    order = sorted(present, key=lambda condition: condition != RAW)
    parts = {condition: predictions.select(condition_column == condition) for condition in order}
    left_out = {condition: _counted_under(condition, refused, other_kinds) for condition in order}
    conditions = {
        condition: compute_metrics(part, refused=left_out[condition], **options) for condition, part in parts.items()
    }
    if len(order) == 1:
        break_downs = {by: break_down(predictions, by=by, refused=left_out[order[0]], **options) for by in GROUPINGS}
    else:
        rows = [_row(one, parts[one], metrics, left_out[one]) for one, metrics in conditions.items()]
        # The people are the same under each condition, and the caveat on them stands above.
        break_downs = {"condition": [{**row, "too_few_people": False} for row in rows]}
        for condition in (order[0], *(one for one in order[1:] if one in (*COMPRESSION, *ENCODINGS))):
            break_downs |= {
                f"{by}, {condition}": break_down(parts[condition], by=by, refused=left_out[condition], **options)
                for by in GROUPINGS
            }
    if is_other.any():
        others = every.select(is_other | (every.label == Label.REAL))
        rows = []
        for condition in order:
            part = others.select(others.column("condition") == condition)
            without = [
                record
                for record, other in zip(refused, _is_other(refused, other_kinds), strict=True)
                if record.condition == condition and (other or record.label is Label.REAL)
            ]
            rows.append(_row(condition, part, compute_metrics(part, refused=without, **options), without))
        break_downs["other kinds of forgery"] = rows
    return Evaluation(every, calibration, conditions, break_downs, tuple(other_kinds), tuple(refused))


def _row(
    name: str, predictions: Predictions, metrics: dict[str, Interval], refused: Sequence[VideoRecord]
) -> dict[str, Any]:
    values = {key: one.value for key, one in metrics.items()}
    return group_row(name, predictions, values, metrics["auc"], refused=len(refused))


def _is_other(records: Sequence[VideoRecord], other_kinds: Sequence[str]) -> np.ndarray:
    """(V,) bool: whether a video is a fake of another kind."""
    return np.array([record.label is Label.FAKE and record.generator in other_kinds for record in records], dtype=bool)


def _counted_under(condition: str, records: Sequence[VideoRecord], other_kinds: Sequence[str]) -> list[VideoRecord]:
    """Return the videos that count for the metrics under a condition."""
    others = _is_other(records, other_kinds)
    return [one for one, other in zip(records, others, strict=True) if one.condition == condition and not other]


def pool(results: list[Evaluation]) -> Predictions:
    """Concatenate the predictions of several runs, with the scores of each run as its calibrated logits, and its
    decisions."""
    return Predictions(
        [record for one in results for record in one.predictions.records],
        np.concatenate([one.calibration.logit(one.predictions.score) for one in results]),
        np.concatenate([one.predictions.windows for one in results]),
        np.concatenate([one.predictions.decided_by(one.calibration).decision for one in results]),
        np.concatenate([one.predictions.quality for one in results]),
        [one.calibration.logit(windows) for one in results for windows in one.predictions.window_scores],
    )


def write_evaluation(result: Evaluation, folder: Path, *, title: str, about: dict[str, Any]) -> None:
    """Write metrics.json, predictions.csv and plots/*.png.

    Args:
        result: the evaluation.
        folder: where to write.
        title: title of the plots.
        about: additional fields of metrics.json.
    """
    plot_folder = folder / "plots"
    threshold, temperature = result.calibration.threshold, result.calibration.temperature
    values = {
        **about,
        "condition": result.condition,
        "people_tested": {label.name.lower(): count for label, count in result.people.items()},
        "refused": {label.name.lower(): count for label, count in result.refused_counts.items()},
        "caveat": result.caveat,
        "temperature": temperature,
        **metrics_json(result.metrics, threshold, result.break_downs),
        "conditions": {
            condition: metrics_json(metrics, threshold, {})["metrics"]
            for condition, metrics in result.conditions.items()
        },
    }
    write_atomically(folder / "metrics.json", json.dumps(values, indent=2).encode() + b"\n")
    result.predictions.write(folder / "predictions.csv", result.calibration)
    note = about.get("note", "")
    shown = result.shown
    if result.caveat:
        title += f" - {result.caveat.partition(';')[0]}"
    plots.plot_roc(shown, plot_folder / "roc.png", title, note)
    plots.plot_precision_recall(shown, plot_folder / "precision_recall.png", title, note)
    plots.plot_score_histogram(shown, threshold, plot_folder / "scores.png", title, note)
    plots.plot_confusion(shown, threshold, plot_folder / "confusion.png", title, note)
    if len(result.conditions) > 1:
        areas = {condition: metrics["auc"] for condition, metrics in result.conditions.items()}
        plots.plot_conditions(areas, plot_folder / "conditions.png", title, note)


def report(
    result: Evaluation, config: Config, folder: Path, *, title: str, subtitle: str, about: dict[str, Any]
) -> None:
    """Write an evaluation and print its tables.

    Args:
        result: the evaluation.
        config: the experiment, for its name and the note on its data.
        folder: where to write.
        title: title of the plots.
        subtitle: line above the printed tables.
        about: additional fields of metrics.json.
    """
    about = {"name": config.name, **about, "level": "video", "note": config.data.note}
    write_evaluation(result, folder, title=title, about=about)
    print(f"\n{subtitle}\n{result}\n")
    if config.data.note:
        print(f"note: {config.data.note}")
