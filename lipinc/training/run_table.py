"""Table of runs: the settings and metrics of all run folders below a folder."""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from lipinc.config.migration import upgrade
from lipinc.config.registry import suggest
from lipinc.errors import UserError
from lipinc.files.csv_table import read_table

METRICS = ("auc", "ap", "accuracy", "eer", "reals_accused")
COLUMNS = (
    *("run", "date", "epochs", "validation_auc", "auc", "auc_low", "auc_high", *METRICS[1:]),
    *("real_people", "fake_people", "problem"),
)
"""Columns of every table of runs, before the settings."""
NOT_SETTINGS = ("name", "output", "version")
Row = dict[str, Any]


def find_runs(root: Path) -> list[Row]:
    """Return one row per run: folders with a config.json, a results.csv or a metrics.json, at any depth.

    Folders of evaluations and pooled cross-validations are runs, too. Links to folders are followed; a run that several
    lead to has one row.

    Returns:
        Column -> value: `COLUMNS`, and the settings as "train.epochs". Unknown values are "". What cannot be read is
        named in `problem`.

    Raises:
        UserError: the folder does not exist, or holds no run.
    """
    if not root.is_dir():
        raise UserError(f"no folder {root}: give the folder of the runs, such as outputs")
    rows = [_read_run(folder, root) for folder in sorted(_run_folders(root))]
    if not rows:
        raise UserError(f"{root} holds no run: no folder below it has a config.json, results.csv or metrics.json")
    return rows


def differing_settings(rows: Sequence[Row]) -> list[str]:
    """Return the settings that are not the same in all runs with a config; those of the model and training first."""
    configured = [row for row in rows if any(name not in COLUMNS for name in row)]
    names = dict.fromkeys(name for row in configured for name in row if name not in COLUMNS)
    found = [name for name in names if len({row.get(name, "") for row in configured}) > 1]
    first = ("model", "train", "loss", "augment", "sampling", "mouth", "split")
    return sorted(found, key=lambda name: [name.partition(".")[0] != section for section in first])


def sort_runs(rows: Sequence[Row], column: str, descending: bool = False) -> list[Row]:
    """Sort runs by a column; runs without a value come last.

    Raises:
        UserError: no run has this column.
    """
    known = dict.fromkeys(name for row in rows for name in (*COLUMNS, *row))
    if column not in known:
        raise UserError(f"--sort {column}: {suggest(column, list(known))}")
    with_value = [row for row in rows if row.get(column, "") != ""]
    without = [row for row in rows if row.get(column, "") == ""]
    numbers = all(isinstance(row[column], (int, float)) for row in with_value)
    with_value.sort(key=lambda row: row[column] if numbers else str(row[column]), reverse=descending)
    return with_value + without


def _run_folders(root: Path) -> Iterator[Path]:
    """Yield the folders of runs, each once: below the root itself first, then below the links there."""
    above = {root.resolve(), *root.resolve().parents}
    seen: set[str] = set()
    starts = [root]
    for start in starts:
        for folder, folders, files in os.walk(start):
            if (real := os.path.realpath(folder)) in seen:
                folders.clear()
                continue
            seen.add(real)
            linked = (Path(folder, name) for name in sorted(folders) if os.path.islink(Path(folder, name)))
            starts += [link for link in linked if link.resolve() not in above]  # the loop goes on with them
            if {"config.json", "metrics.json", "results.csv"} & set(files):
                yield Path(folder)


def _read_run(folder: Path, root: Path) -> Row:
    row: Row = {**dict.fromkeys(COLUMNS, ""), "run": folder.relative_to(root).as_posix()}
    if folder == root:
        row["run"] = root.absolute().name
    problems = []
    for name, read in (("config.json", _settings), ("results.csv", _epochs), ("metrics.json", _metrics)):
        file = folder / name
        if not file.is_file():
            continue
        try:
            row |= read(file)
            row["date"] = datetime.fromtimestamp(file.stat().st_mtime).isoformat(" ", "minutes")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, UserError):
            problems.append(f"{name} cannot be read")
    if not (folder / "metrics.json").is_file():
        problems.append("no test metrics")
    row["problem"] = "; ".join(problems)
    return row


def _settings(file: Path) -> Row:
    values = json.loads(file.read_text(encoding="utf-8"))
    values = upgrade(values) if "version" not in values else values
    sections = {name: value for name, value in values.items() if name not in NOT_SETTINGS}
    flat = {
        (f"{section}.{name}" if name else section): value
        for section, options in sections.items()
        for name, value in (options.items() if isinstance(options, Mapping) else (("", options),))
    }
    return {name: value if isinstance(value, (int, float)) else _text(value) for name, value in flat.items()}


def _text(value: Any) -> str:
    """A setting as it stands on the command line."""
    if isinstance(value, list):
        return " ".join(map(_text, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else "" if value is None else str(value)


def _epochs(file: Path) -> Row:
    table = read_table(file)
    table.require(["epoch"])
    rows = [row for _, row in table.rows]
    areas = [float(row["validation_auc"]) for row in rows if row.get("validation_auc")]
    areas = [area for area in areas if math.isfinite(area)]
    return {"epochs": len(rows), "validation_auc": max(areas, default="")}


def _metrics(file: Path) -> Row:
    values = json.loads(file.read_text(encoding="utf-8"))
    found = {name: _known(values["metrics"].get(name, {}).get("value")) for name in METRICS}
    area = values["metrics"].get("auc", {})
    people = values.get("people_tested", {})
    return {
        **found,
        **{f"auc_{end}": _known(area.get(end)) for end in ("low", "high")},
        **{f"{label}_people": _known(people.get(label)) for label in ("real", "fake")},
    }


def _known(value: Any) -> float | str:
    return value if isinstance(value, (int, float)) and math.isfinite(value) else ""
