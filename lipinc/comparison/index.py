"""The videos of a comparison and their labels: from an index, from a config, or from the score files themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lipinc.comparison import column_names
from lipinc.comparison.matching import VideoNames
from lipinc.comparison.score_file import ScoreFile, condition_column, video_name
from lipinc.config import DataConfig
from lipinc.datasets import CsvIndex, load_videos
from lipinc.datasets.csv_index import COLUMNS
from lipinc.datasets.index_file import read_index
from lipinc.datasets.labels import label_by_name, label_problems, label_value
from lipinc.datasets.records import VideoRecord
from lipinc.errors import UserError
from lipinc.files.csv_table import Table


def load_index_file(path: Path, columns: Mapping[str, str], labels: Sequence[str]) -> list[VideoRecord]:
    """Load the videos of an index file: see `read_index`.

    Args:
        path: the file.
        columns: our name of a column -> its name in the file; others are found by name.
        labels: what label values mean, as in `data.labels`.

    Raises:
        UserError: the file cannot be read, or lacks paths or labels.
    """
    known = (*COLUMNS, *(name for names in column_names.INDEX.values() for name in names))
    table, has_header = read_index(path, known)
    return records_of_table(table, columns if has_header else {}, labels)


def load_config_index(data: DataConfig) -> list[VideoRecord]:
    """Load the videos of a config, without pseudo-fakes and conditions: score files name the conditions."""
    return load_videos(replace(data, conditions=(), forgeries=0))


def records_in_scores(
    tables: Sequence[Table], columns: Mapping[str, str], labels: Sequence[str]
) -> tuple[list[VideoRecord], Path]:
    """Return the videos of the first score table that has labels, and its file.

    Raises:
        UserError: no table has labels.
    """
    for table in tables:
        if columns.get("label", "") in table.columns or column_names.index_columns(table.columns, ["label"]):
            return records_of_table(table, columns, labels), table.path
    files = ", ".join(str(table.path) for table in tables)
    raise UserError(
        f"no labels: {files} have no column label; give an index of the videos (--index clips.csv) or an experiment "
        "(--config own_clips), or say which column has the labels (--columns label NAME)"
    )


def records_of_table(table: Table, columns: Mapping[str, str], labels: Sequence[str]) -> list[VideoRecord]:
    """Return the videos of a table with paths and labels; the rows of pseudo-fakes are left out.

    Raises:
        UserError: a column is missing, a cell is invalid, or two rows contradict each other.
    """
    if problems := label_problems(labels):
        raise UserError(_with_our_flags(problems[0]))
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise UserError(f"--columns maps the unknown column {unknown[0]!r}: the columns are {', '.join(COLUMNS)}")
    table.require(columns.values())
    present = {**column_names.index_columns(table.columns, COLUMNS), **columns}
    missing = [name for name in ("path", "label") if name not in present]
    if missing:
        hint = "; say which it is: --columns " + " ".join(f"{name} NAME" for name in missing)
        try:
            table.require(missing)
        except UserError as error:
            raise UserError(f"{error}{hint}; --config loads data sets of other kinds, such as FakeAVCeleb") from None
    path, condition = present["path"], condition_column(table)
    rows = [
        (number, {**row, path: video_name(row, path, condition)})
        for number, row in table.rows
        if not row.get("forgery")
    ]
    try:
        return CsvIndex(labels=tuple(labels)).records(replace(table, rows=rows), present)
    except UserError as error:
        raise UserError(_with_our_flags(str(error))) from None


def label_conflicts(
    file: ScoreFile, records: Sequence[VideoRecord], names: VideoNames, labels: Sequence[str]
) -> tuple[int, int]:
    """Count the rows of a score file whose own label contradicts the index, and those that have a label."""
    column = column_names.index_columns(file.table.columns, ["label"]).get("label", "")
    if not column:
        return 0, 0
    meaning = label_by_name(labels, column)
    contradict = known = 0
    for row, (_, cells) in zip(file.rows, file.table.rows, strict=True):
        label, match = meaning.get(label_value(cells[column])), names.find(row.name)
        if label is not None and match.how == "path":
            known += 1
            contradict += label is not records[match.position].label
    return contradict, known


def _with_our_flags(message: str) -> str:
    return message.replace("--data.labels", "--labels").replace("data.labels", "--labels").replace("data.", "--")
