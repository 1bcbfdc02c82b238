"""Score files: the scores of a detector for videos, in a CSV of any origin."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lipinc.comparison import column_names
from lipinc.comparison.matching import VideoNames
from lipinc.datasets.records import Label, version_suffix
from lipinc.errors import UserError
from lipinc.files.csv_table import MAX_NAMED, Table, read_table, unguard_formula
from lipinc.synthesis.perturbations import RAW
from lipinc.video.video_files import VIDEO_SUFFIXES

PREDICTIONS = ("predictions.csv", "test_only/predictions.csv")
"""What a run folder stands for."""
MISSING = frozenset(("", "nan", "na", "n/a", "none", "null", "-", "?"))
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
DECISION_COLUMNS = ("decision", "verdict")
DECISIONS = {"fake": 1, "uncertain": 0, "real": -1}
CALLED = {"1": 1, "1.0": 1, "true": 1, "fake": 1, "0": 0, "0.0": 0, "false": 0, "real": 0}
PREDICTION_COLUMNS = ("prediction", "predictedlabel", "predlabel", "pred", "ypred")
OURS = (frozenset(("key", "fake_probability", "score", "decision")), frozenset(("file", "verdict", "probability")))
"""Columns of predictions.csv, and of the CSV of lipinc detect: higher scores are fake."""


@dataclass(frozen=True)
class ScoreRow:
    """One row: a video under a condition, and its score."""

    number: int
    """Number of the row in the file."""
    name: str
    """Path or name of the video, with forward slashes."""
    condition: str
    score: float
    """As in the file; nan: the detector gave none."""
    decision: int | None
    """1 = fake, 0 = uncertain, -1 = real, as the detector decided; None: the file does not say."""
    called: int | None
    """1 = fake, 0 = real, by a column of hard predictions; None: there is none."""


@dataclass(frozen=True)
class ScoreFile:
    """The rows of a score file, and the columns that they were read from."""

    table: Table
    path_column: str
    score_column: str
    rows: tuple[ScoreRow, ...]
    unreadable: tuple[str, ...]
    """Location and content of score cells that are no number."""

    @property
    def is_ours(self) -> bool:
        """Whether lipinc wrote the file, and the score is one of its own columns."""
        own = self.score_column in ("score", "fake_probability", "probability")
        return own and any(columns <= set(self.table.columns) for columns in OURS)

    @property
    def in_percent(self) -> bool:
        """Whether the scores are percentages, by the cells, or by the column name unless all lie below 1."""
        by_name = any(part in self.score_column.casefold() for part in column_names.PERCENT)
        return any("%" in row[self.score_column] for _, row in self.table.rows) or (
            by_name and any(row.score > 1 for row in self.rows)
        )


def find_score_file(given: str) -> tuple[str, Path]:
    """Return the name of a detector and its file.

    Args:
        given: FILE, NAME=FILE, or a run folder in place of the file. Without a name it is that of the file, or of the
            folder of a predictions.csv.

    Raises:
        UserError: there is no such file.
    """
    name, equals, rest = given.partition("=")
    named = bool(equals and name) and not Path(given).exists()
    path = Path(rest if named else given)
    if path.is_dir():
        found = next((path / file for file in PREDICTIONS if (path / file).is_file()), None)
        if found is None:
            raise UserError(f"{path} has no predictions.csv: give a score file, or the folder of an evaluated run")
        path = found
    if named:
        return name.strip(), path
    folder = path.absolute().parent
    return (folder.name if path.stem in ("predictions", "scores", "verdicts") else path.stem) or "detector", path


def read_score_table(path: Path) -> Table:
    """Read a CSV with any of our delimiters, or a list of names and scores separated by spaces; a header is optional.

    Raises:
        UserError: the file cannot be read, is malformed, or has no rows.
    """
    table = read_table(path, is_data=_is_data)
    if len(table.columns) == 1:
        table = _split_at_spaces(table)
    if not table.rows:
        raise UserError(f"{path} has no rows below its header: nothing to compare")
    return table


def read_score_file(table: Table, videos: VideoNames, path_column: str = "", score_column: str = "") -> ScoreFile:
    """Find the columns of a score table, and read its rows.

    Args:
        table: see `read_score_table`.
        videos: the names of the videos of the index.
        path_column: the column with paths or names; "": by its name and content.
        score_column: the column with scores; "": by its name and content.

    Raises:
        UserError: there is no such column, it is not clear which one it is, or only some scores have a percent sign.
    """
    table.require(column for column in (path_column, score_column) if column)
    condition = condition_column(table)
    path_column = path_column or _path_column(table, videos, condition)
    score_column = score_column or _score_column(table, path_column)
    _check_percent_signs(table, score_column)
    decision = _word_column(table, DECISION_COLUMNS)
    called = _called_column(table, score_column)
    rows, unreadable = [], []
    for number, row in table.rows:
        score = read_score(row[score_column])
        if score is None:
            unreadable.append(f"row {number}: {row[score_column].strip()[:40]!r}")
        under, name = _condition(row, condition), video_name(row, path_column, condition)
        decided = DECISIONS.get(row[decision].strip().casefold()) if decision else None
        hard = CALLED.get(row[called].strip().casefold()) if called else None
        rows.append(ScoreRow(number, name, under, math.nan if score is None else score, decided, hard))
    if all(math.isnan(row.score) for row in rows):
        raise UserError(
            f"{table.path}: no cell of the column {score_column} is a number; name the scores by --score-column"
        )
    return ScoreFile(table, path_column, score_column, tuple(rows), tuple(unreadable))


def condition_column(table: Table) -> str:
    """Return the column of conditions; "" if there is none."""
    return next((column for column in table.columns if column_names.plain(column) == "condition"), "")


def _condition(row: Mapping[str, str], column: str) -> str:
    cell = row[column].strip() if column else ""
    return cell if cell.casefold() not in ("", RAW) else RAW


def video_name(row: Mapping[str, str], column: str, condition: str) -> str:
    """Return the name in a cell as `clean_name` does, without the condition that our keys end with.

    Args:
        row: the cells.
        column: the column with the name.
        condition: see `condition_column`.
    """
    return clean_name(row[column]).removesuffix(version_suffix(None, _condition(row, condition)))


def clean_name(cell: str) -> str:
    """Return the path of a cell with forward slashes, without drive, root, "." and ".."."""
    posix = re.sub(r"^[A-Za-z]:/", "", unguard_formula(cell.strip()).replace("\\", "/"))
    return "/".join(part for part in posix.split("/") if part not in ("", ".", ".."))


def read_score(cell: str) -> float | None:
    """Read a number: also with a decimal comma, a percent sign or a true minus sign.

    Returns:
        The number; nan if the cell says that there is none; None if it is no number.
    """
    text = unguard_formula(cell.strip()).replace("\u2212", "-").replace("\u00a0", " ").removesuffix("%").strip()
    if text.casefold() in MISSING:
        return math.nan
    return float(text.replace(",", ".")) if NUMBER.fullmatch(text) else None


def _is_data(cells: Sequence[str]) -> bool:
    """Whether the first row of a file is no header: it has a number, a missing score or the name of a video file, and
    no cell is a usual name of a column."""
    usual = (*column_names.PATH, *column_names.SCORE, *column_names.INDEX["label"])
    if any(column_names.rank(cell, usual) is not None for cell in cells):
        return False  # pandas calls unnamed columns 0 and 1
    if len(cells) == 1 and len(cells[0].split()) > 1:
        cells = cells[0].rsplit(maxsplit=1)
    suffixes = (PurePosixPath(clean_name(cell)).suffix.lower() for cell in cells)
    return any(cell and read_score(cell) is not None for cell in cells) or not VIDEO_SUFFIXES.isdisjoint(suffixes)


def _check_percent_signs(table: Table, column: str) -> None:
    """Raise UserError if some scores have a percent sign and others none."""
    cells = [(number, row[column]) for number, row in table.rows if not _is_missing(row[column])]
    signs = {"%" in cell: number for number, cell in reversed(cells)}
    if len(signs) == 2:
        raise UserError(
            f"{table.path}: the {column} in row {signs[True]} has a percent sign, and that in row {signs[False]} has "
            "none: write all in one unit"
        )


def _is_missing(cell: str) -> bool:
    score = read_score(cell)
    return score is None or math.isnan(score)


def _split_at_spaces(table: Table) -> Table:
    """Split the only column of a table at spaces, as lists of scores often are; names may contain spaces."""
    (header,) = table.columns
    names = header.split() if not header.startswith("column ") else []
    width = max(len(names), 2)
    lines = [(number, row[header].rsplit(maxsplit=width - 1)) for number, row in table.rows]
    if not lines or any(len(cells) != width for _, cells in lines):
        raise UserError(f"{table.path} has a single column, {header}: it needs the path and the score of each video")
    columns = tuple(names or (f"column {n}" for n in range(1, width + 1)))
    return Table(table.path, columns, [(number, dict(zip(columns, cells, strict=True))) for number, cells in lines])


def _path_column(table: Table, videos: VideoNames, condition: str) -> str:
    """The column that names most videos; among equals, the one with the most usual name."""
    count, ambiguous = {}, {}
    for column in table.columns:
        names = dict.fromkeys(video_name(row, column, condition) for _, row in table.rows)
        found = {name: videos.find(name) for name in names}
        count[column] = len({match.position for match in found.values() if match.position >= 0})
        ambiguous[column] = [name for name, match in found.items() if match.how == "ambiguous"]
    order = {column: column_names.rank(column, column_names.PATH) for column in count}
    known = [column for column in count if order[column] is not None and count[column]]
    best = max(known or count, key=lambda column: (count[column], -(order[column] or 0)))
    if not count[best] and any(ambiguous.values()):
        column = max(ambiguous, key=lambda column: len(ambiguous[column]))
        raise UserError(
            f"{table.path}: every name in the column {column} fits several videos of the index, for example "
            f"{ambiguous[column][0]!r}: give paths with their folders, as the index has them"
        )
    if not count[best]:
        cells = ", ".join(repr(cell[:60]) for cell in list(table.rows[0][1].values())[:MAX_NAMED])
        raise UserError(
            f"{table.path}: no column names a video of the index; its columns are {_names(table)}, and the first row "
            f"has {cells}. Name the column by --path-column, or give the index of these videos"
        )
    return best


def _score_column(table: Table, path_column: str) -> str:
    """The column of numbers whose name is most usual for a score; hard predictions only if there is nothing else."""
    labels = {column for column in table.columns if column_names.rank(column, column_names.INDEX["label"]) is not None}
    ranks = {}
    for column in table.columns:
        if column in labels or column in ("", path_column):
            continue
        cells = [read_score(row[column]) for _, row in table.rows]
        numbers = [cell for cell in cells if cell is not None and not math.isnan(cell)]
        if not numbers or len(numbers) * 2 < sum(cell is None for cell in cells) + len(numbers):
            continue
        known, text = column_names.rank(column, column_names.SCORE), column_names.plain(column)
        part = any(part in text for part in column_names.SCORE_PARTS)
        place = 200 if known is None else known
        if known is None and part:
            place = 101 if column_names.stated_class(column) is Label.REAL else 100
        ranks[column] = place + 1000 * (set(numbers) <= {0.0, 1.0})
    best = [column for column in ranks if ranks[column] == min(ranks.values())]
    if len(best) != 1:
        which = f"the scores may be in {', '.join(best[:MAX_NAMED])}" if best else f"its columns are {_names(table)}"
        problem = "several columns of numbers" if best else "no column of scores"
        raise UserError(f"{table.path} has {problem}: {which}; name one by --score-column")
    return best[0]


def _word_column(table: Table, names: Sequence[str]) -> str:
    """The column of decisions in words; "" if there is none."""
    for column in table.columns:
        if column_names.plain(column) in names:
            words = {row[column].strip().casefold() for _, row in table.rows}
            if words & {"fake", "real"}:
                return column
    return ""


def _called_column(table: Table, score_column: str) -> str:
    """The column of hard predictions; "" if there is none."""
    for column in table.columns:
        if column != score_column and column_names.plain(column) in PREDICTION_COLUMNS:
            words = {row[column].strip().casefold() for _, row in table.rows} - MISSING
            if words and words <= set(CALLED):
                return column
    return ""


def _names(table: Table) -> str:
    more = f" and {len(table.columns) - MAX_NAMED} more" if len(table.columns) > MAX_NAMED else ""
    return ", ".join(column or "(unnamed)" for column in table.columns[:MAX_NAMED]) + more
