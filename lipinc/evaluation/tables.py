"""Metric tables: text tables for the terminal, and the values of metrics.json."""

import math
from typing import Any

import numpy as np

from lipinc.evaluation.metrics import DECISION_METRICS, MIN_PEOPLE, Interval
from lipinc.files.json_values import finite

METRIC_NAMES = {
    "auc": "AUC",
    "ap": "AP",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "eer": "EER",
    "reals_accused": "real people accused",
    "fakes_missed": "fakes missed",
    "decided": "decided",
    "decided_wrongly": "wrong among decided",
    "within_pairs": "fake above its own real",
    "frame_auc": "AUC of frames (not comparable)",
    "auc_with_refused": "AUC, refused videos at 0.5",
}


def metrics_table(metrics: dict[str, Interval]) -> str:
    """Format the metrics of `compute_metrics`, one line per metric: name, value, 95 % interval. ASCII; nan is "-"."""
    rows = [
        [METRIC_NAMES.get(name, name), _number(metric.value), _interval(metric.low, metric.high)]
        for name, metric in metrics.items()
    ]
    return text_table(["per video", "value", "95 % interval"], rows)


MAX_NAMED = 8
"""Number of groups with too few people that are named."""


def break_down_table(rows: list[dict[str, Any]], by: str = "group") -> str:
    """Format the rows of `break_down`, one line per group.

    Args:
        rows: the rows.
        by: heading of the first column.

    Returns:
        The table, or "" without rows. Groups with too few people are named in a last line only, without metrics. The
        columns "pairs" (`within_pairs`), and "refused" with "AUC of all" (`auc_with_refused`), appear if there are
        pairs, or refused videos. Non-ASCII characters of group names are escaped; nan is "-".
    """
    few = [
        f"{ascii(row['group'])[1:-1]} ({row['real_people']} real, {row['fake_people']} fake)"
        for row in rows
        if row["too_few_people"]
    ]
    left_out = f"{by}, left out for fewer than {MIN_PEOPLE} people: {', '.join(few[:MAX_NAMED])}" if few else ""
    left_out += f" and {len(few) - MAX_NAMED} others (see metrics.json)" if len(few) > MAX_NAMED else ""
    rows = [row for row in rows if not row["too_few_people"]]
    if not rows:
        return left_out
    has_pairs = any(np.isfinite(row["within_pairs"]) for row in rows)
    has_refused = any(row["refused"] for row in rows)
    cells = [
        [
            ascii(row["group"])[1:-1],
            str(row["real"]),
            str(row["fake"]),
            _number(row["auc"]),
            _interval(row["auc_low"], row["auc_high"]),
            *(_number(row[name]) for name in ("ap", "accuracy", "eer", *DECISION_METRICS)),
            *([_number(row["within_pairs"])] if has_pairs else []),
            *([str(row["refused"]), _number(row["auc_with_refused"])] if has_refused else []),
        ]
        for row in rows
    ]
    header = [
        *(by, "real", "fake", "AUC", "95 % interval", "AP", "accuracy", "EER"),
        *("reals accused", "fakes missed", "decided", "wrong"),
        *(["pairs"] if has_pairs else []),
        *(["refused", "AUC of all"] if has_refused else []),
    ]
    return "\n".join(filter(None, (text_table(header, cells), left_out)))


def cross_dataset_table(rows: list[dict[str, Any]]) -> str:
    """Format the rows of `cross_dataset.summary_rows`, one line per data set and checkpoint. ASCII; nan is "-"."""
    shares = ("refused", *DECISION_METRICS)
    cells = [
        [
            ascii(row["data_set"])[1:-1] + (" *" if row["too_few_people"] else ""),
            ascii(row["checkpoint"])[1:-1],
            *(str(row["real"]), str(row["fake"])),
            *(_number(row["auc"]), _interval(row["auc_low"], row["auc_high"]), _number(row["ap"])),
            *(_number(row[name]) for name in shares),
        ]
        for row in rows
    ]
    header = ["data set", "checkpoint", "real", "fake", "AUC", "95 % interval", "AP"]
    lines = [text_table([*header, "refused", "reals accused", "fakes missed", "decided", "wrong"], cells)]
    if any(row["too_few_people"] for row in rows):
        lines.append(f"* fewer than {MIN_PEOPLE} people of a class: means nothing")
    return "\n".join(lines)


def spread_table(spread: dict[str, dict[str, list[float]]]) -> str:
    """Format cross-validation results, one line per held-out group: for each condition the mean over seeds, and the
    standard deviation if there are several seeds.

    Args:
        spread: group -> condition -> the values of the seeds.
    """
    conditions = list(next(iter(spread.values())))
    rows = [
        [ascii(group or "all videos")[1:-1], *(_spread(areas.get(condition, [])) for condition in conditions)]
        for group, areas in spread.items()
    ]
    return text_table(["held out" if len(spread) > 1 else "", *conditions], rows)


def metrics_json(
    metrics: dict[str, Interval], threshold: float, break_downs: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """Return the values of metrics.json: threshold, metrics (value, low, high), and the rows of each break-down.

    Strict JSON: numbers that are not finite become null.
    """
    intervals = {name: {"value": one.value, "low": one.low, "high": one.high} for name, one in metrics.items()}
    return finite({"threshold": threshold, "metrics": intervals, "break_downs": break_downs})


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _spread(values: list[float]) -> str:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "-"
    return _number(float(np.mean(known))) + (f" +- {np.std(known):.3f}" if len(known) > 1 else "")


def _interval(low: float, high: float) -> str:
    return "-" if math.isnan(low) else f"[{low:.3f}, {high:.3f}]"


def text_table(header: list[str], rows: list[list[str]]) -> str:
    """Align columns two spaces apart, the first one left-aligned and the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [header, *rows]
    ]
    return "\n".join(line.rstrip() for line in lines)
