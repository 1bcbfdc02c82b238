"""Cross-dataset evaluation: checkpoints on several data sets that they were not trained on, in one table."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lipinc.cache.manifest import OK, ManifestRow
from lipinc.config import Config, EvaluateConfig
from lipinc.datasets.records import Label
from lipinc.errors import UserError
from lipinc.evaluation.external import ExternalResult, evaluate_externally
from lipinc.evaluation.metrics import DECISION_METRICS, Interval, compute_metrics, group_row
from lipinc.evaluation.plots import plot_cross_dataset
from lipinc.evaluation.predictions import Predictions
from lipinc.evaluation.tables import cross_dataset_table
from lipinc.files.csv_table import write_table
from lipinc.models.checkpoint import load_checkpoint
from lipinc.synthesis.perturbations import RAW

log = logging.getLogger(__name__)

MEAN, POOLED = "mean", "pooled"
"""Names of the rows over all data sets: the mean of their metrics, and the metrics of all videos together."""
REFUSED = ("refused", "refused_real", "refused_fake")
SHARES = ("auc", "ap", *DECISION_METRICS, *REFUSED)
COLUMNS = (
    *("data_set", "checkpoint", "condition", "real", "fake", "real_people", "fake_people", "too_few_people"),
    *("auc", "auc_low", "auc_high", "ap", *DECISION_METRICS, *REFUSED, "problem"),
)
"""Columns of summary.csv."""


def evaluate_across(files: Sequence[str | Path], configs: Sequence[Config]) -> bool:
    """Evaluate checkpoints on the data sets of several configs, each as `evaluate_externally` does.

    The table over all of them is printed and written to <output>/<names joined by +>/ as summary.csv and summary.png. A
    data set that cannot be evaluated does not affect the others: its row has the reason.

    Args:
        files: checkpoint files, or names of shipped checkpoints.
        configs: one per data set, with different names and caches.

    Returns:
        Whether all data sets were evaluated.

    Raises:
        UserError: two configs share a name or a cache, or a checkpoint cannot be loaded.
    """
    _check_apart(configs)
    for file in files:
        load_checkpoint(file, torch.device("cpu"))  # fails now rather than for every data set
    results: dict[str, list[ExternalResult]] = {}
    problems: dict[str, str] = {}
    for config in configs:
        print(f"\n{config.name}")
        try:
            results[config.name] = evaluate_externally(files, config)
        except UserError as error:
            problems[config.name] = str(error)
            log.warning("%s is not evaluated: %s", config.name, error)
    rows = summary_rows(results, configs[0].evaluate)
    failed = [{**dict.fromkeys(COLUMNS), "data_set": name, "problem": text} for name, text in problems.items()]
    folder = Path(configs[0].output, "+".join(config.name for config in configs)[:200])
    write_table(folder / "summary.csv", COLUMNS, map(_known, [*rows, *failed]))
    if rows:
        shown = [row for row in rows if row["condition"] == rows[0]["condition"]]
        plot_cross_dataset(shown, folder / "summary.png", f"{rows[0]['condition']} videos of data sets not trained on")
        print(f"\nper video, {rows[0]['condition']}; own threshold\n{cross_dataset_table(shown)}")
    for name, text in problems.items():
        print(f"{name}: not evaluated: {text}")
    print(f"written to {folder}")
    return not problems


def summary_rows(results: dict[str, list[ExternalResult]], config: EvaluateConfig) -> list[dict[str, Any]]:
    """Return the rows of the table: each data set, their mean and their pooled videos, for each condition.

    The mean is over the data sets that have the metric, each with the same weight. For the pooled row all videos are
    one data set: a threshold that fits one data set and not another shows there.

    Args:
        results: data set -> the results of its checkpoints.
        config: bootstrap settings.
    """
    flat = [(name, result) for name, own in results.items() for result in own]
    conditions = dict.fromkeys(condition for _, result in flat for condition in result.evaluation.conditions)
    rows = []
    for condition in sorted(conditions, key=lambda name: name != RAW):
        for checkpoint in dict.fromkeys(result.checkpoint for _, result in flat):
            parts = {
                name: result
                for name, result in flat
                if result.checkpoint == checkpoint and condition in result.evaluation.conditions
            }
            about = {"checkpoint": checkpoint, "condition": condition, "problem": ""}
            rows += [{**about, **_data_set_row(name, result, condition)} for name, result in parts.items()]
            if len(parts) > 1:
                pooled = {**about, **_pooled_row(parts, condition, config)}
                rows += [_mean_row(rows[-len(parts) :], pooled), pooled]
    return rows


def _under(rows: Sequence[ManifestRow], condition: str) -> list[ManifestRow]:
    return [row for row in rows if row.record.condition == condition]


def _data_set_row(name: str, result: ExternalResult, condition: str) -> dict[str, Any]:
    evaluation = result.evaluation
    return _row(name, evaluation.under(condition), evaluation.conditions[condition], _under(result.rows, condition))


def _pooled_row(parts: dict[str, ExternalResult], condition: str, config: EvaluateConfig) -> dict[str, Any]:
    predictions = Predictions.concatenate(
        [_renamed(result.evaluation.under(condition), name) for name, result in parts.items()]
    )
    threshold = next(iter(parts.values())).evaluation.calibration.threshold
    metrics = compute_metrics(predictions, threshold, bootstrap=config.bootstrap, seed=config.seed)
    return _row(POOLED, predictions, metrics, [row for one in parts.values() for row in _under(one.rows, condition)])


def _row(
    name: str, predictions: Predictions, metrics: dict[str, Interval], videos: Sequence[ManifestRow]
) -> dict[str, Any]:
    """Return the metrics of a data set, and the shares of its videos that were refused."""
    present = [video for video in videos if video.status == OK or video.refused]
    values = {key: one.value for key, one in metrics.items()}
    row = group_row(name, predictions, values, metrics["auc"], refused=sum(video.refused for video in present))
    row["data_set"] = row.pop("group")
    for column, labels in zip(REFUSED, (tuple(Label), (Label.REAL,), (Label.FAKE,)), strict=True):
        refused = [video.refused for video in present if video.record.label in labels]
        row[column] = float(np.mean(refused)) if refused else float("nan")
    return row


def _mean_row(rows: list[dict[str, Any]], pooled: dict[str, Any]) -> dict[str, Any]:
    """Return the mean of the metrics of several data sets; the counts are those of the pooled row."""
    means = {
        name: float(np.mean(known)) if (known := [r[name] for r in rows if not np.isnan(r[name])]) else float("nan")
        for name in SHARES
    }
    return {**pooled, "data_set": MEAN, **means, "auc_low": float("nan"), "auc_high": float("nan")}


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the CSV: what is not a number is empty."""
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}


def _renamed(predictions: Predictions, name: str) -> Predictions:
    """Put a data set's name before the paths of its videos: other data sets may have the same paths."""
    records = [
        replace(record, path=f"{name}/{record.path}", pair=record.pair and f"{name}/{record.pair}")
        for record in predictions.records
    ]
    return replace(predictions, records=records)


def _check_apart(configs: Sequence[Config]) -> None:
    """Raise UserError if two configs would write to one folder."""
    for what, flag, values in (
        ("name", "--name", [config.name for config in configs]),
        ("cache", "--cache.path", [config.cache.path for config in configs]),
    ):
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise UserError(
                f"several configs have the {what} {twice!r}: give each data set its own in its config file ({flag} "
                "applies to all of them)"
            )
