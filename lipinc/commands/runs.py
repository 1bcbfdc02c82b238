"""Show all runs of a folder in one table: the settings in which they differ, their test metrics and their date.

    lipinc runs outputs
    lipinc runs outputs --sort auc --descending True --csv runs.csv

Runs are the folders of lipinc train, evaluate and crossval at any depth. --sort takes any column, settings included:
date, auc, accuracy, train.learning_rate. The CSV file has all metrics and all settings that differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from lipinc.config.command_line import parse_arguments
from lipinc.errors import printable
from lipinc.evaluation.metrics import MIN_PEOPLE
from lipinc.evaluation.tables import text_table
from lipinc.files.csv_table import write_table
from lipinc.training.run_table import COLUMNS, Row, differing_settings, find_runs, sort_runs

MAX_SETTINGS = 6
"""Number of settings in the terminal."""
MAX_WIDTH = 24
"""Number of characters of a setting in the terminal."""


@dataclass(frozen=True)
class Arguments:
    """Arguments of runs."""

    folder: Annotated[Path, tyro.conf.Positional] = Path("outputs")
    """Folder with the runs."""
    sort: str = "date"
    """Column to sort by."""
    descending: bool = False
    """Whether the largest value comes first."""
    csv: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """CSV file with all metrics and all settings that differ."""


def main(argv: Sequence[str], prog: str) -> None:
    """Run the command."""
    arguments = parse_arguments(Arguments, argv, prog=prog, description=__doc__)
    rows = sort_runs(find_runs(arguments.folder), arguments.sort, arguments.descending)
    settings = differing_settings(rows)
    if arguments.csv:
        columns = (*COLUMNS, *settings)
        write_table(arguments.csv, columns, ({**dict.fromkeys(columns, ""), **row} for row in rows))
    print(_table(rows, settings))
    few = any(_too_few(row) for row in rows)
    if few:
        print(f"* means nothing: fewer than {MIN_PEOPLE} people of a class")
    hidden = f", {len(settings) - MAX_SETTINGS} of them not shown here" if len(settings) > MAX_SETTINGS else ""
    written = f"; written to {arguments.csv}" if arguments.csv else ""
    print(f"{len(rows)} run{'s' * (len(rows) > 1)}, {len(settings)} settings that differ{hidden}{written}")


def _table(rows: Sequence[Row], settings: Sequence[str]) -> str:
    shown = settings[:MAX_SETTINGS]
    problems = any(row["problem"] for row in rows)
    header = ["run", "date", "epochs", "validation AUC", "AUC", "95 % interval", "accuracy", "EER", "reals accused"]
    header += [*shown, *(["problem"] if problems else [])]
    lines = []
    for row in rows:
        low, high = row["auc_low"], row["auc_high"]
        interval = "" if "" in (low, high) else f"[{low:.3f}, {high:.3f}]"
        area = _number(row["auc"]) + ("*" if _too_few(row) else "")
        line = [row["run"], row["date"], str(row["epochs"]), _number(row["validation_auc"]), area, interval]
        line += [_number(row[name]) for name in ("accuracy", "eer", "reals_accused")]
        line += [_short(str(row.get(name, ""))) for name in shown]
        lines.append([printable(cell) for cell in (*line, *([row["problem"]] if problems else []))])
    return text_table(header, lines)


def _too_few(row: Row) -> bool:
    people = [row["real_people"], row["fake_people"]]
    return row["auc"] != "" and "" not in people and any(0 < count < MIN_PEOPLE for count in people)


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3f}"


def _short(text: str) -> str:
    return text if len(text) <= MAX_WIDTH else f"{text[: MAX_WIDTH - 3]}..."
