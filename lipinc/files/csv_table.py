"""CSV tables: the one reader and the one writer, with formula-injection protection.

The dialect: UTF-8, commas, LF, a header, cells quoted where they must be. What is not known is an empty cell.
"""

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically

MAX_NAMED = 20
"""Columns that an error message lists."""


@dataclass(frozen=True)
class Table:
    """A CSV file: its path, its column names, and its rows as (row number, column -> cell); the header is row 1."""

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]

    def require(self, columns: Iterable[str]) -> None:
        """Raises UserError naming the columns that are not there, and those that are."""
        absent = [column for column in columns if column not in self.columns]
        if absent:
            there = ", ".join(column or "(unnamed)" for column in self.columns[:MAX_NAMED])
            more = f" and {len(self.columns) - MAX_NAMED} more" if len(self.columns) > MAX_NAMED else ""
            raise UserError(f"{self.path} has no column {', '.join(absent)}; its columns are {there}{more}")

    def where(self, number: int) -> str:
        """The row, as an error message names it."""
        return f"{self.path}, row {number}"


def read_table(path: str | Path) -> Table:
    """A UTF-8 CSV with a header; LF or CRLF, with or without a byte order mark, cells of any size.

    Empty rows are skipped and cells missing at the end of a row are empty. Raises UserError.
    """
    path = Path(path)
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):  # to read it could take for ever
        raise UserError(f"cannot read {path} (not a regular file): check the path")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        with _cells_of_any_size():
            lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): check the path") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text: save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{path} is no valid CSV ({error}): look for a stray quote") from None
    if "\0" in text:  # such as UTF-16 without its mark
        raise UserError(f"{path} is not UTF-8 text: save it as CSV in UTF-8")

    columns = tuple(name.strip() for name in lines[0]) if lines else ()
    if not any(columns):
        raise UserError(f"{path} has no header: its first row must name the columns")
    repeated = sorted(name for name, count in Counter(columns).items() if name and count > 1)
    if repeated:
        raise UserError(f"{path} has the column {', '.join(repeated)} more than once: rename one")

    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        if any(cells[len(columns) :]):
            raise UserError(f"{path}, row {number} has {len(cells)} cells for {len(columns)} columns: quote its commas")
        if any(cells):
            cells += [""] * (len(columns) - len(cells))
            rows.append((number, dict(zip(columns, cells, strict=False))))
    return Table(path, columns, rows)


def write_table(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table atomically. rows: cells by column; see `table_line`. Raises OSError, naming the file."""
    write_atomically(Path(path), table_text(columns, rows).encode("utf-8", "surrogateescape"))


def table_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A table as text, header first."""
    return table_line(columns) + "".join(table_line([row[column] for column in columns]) for row in rows)


def table_line(cells: Iterable[Any]) -> str:
    """One line of a table. None is an empty cell, and numbers keep all their digits.

    A text that a spreadsheet would run as a formula gets a leading apostrophe.
    """
    line = io.StringIO(newline="")
    # The writer quotes the characters of its own line end; with CRLF, a name that holds either stays one cell.
    csv.writer(line, lineterminator="\r\n").writerow(map(_cell, cells))
    return line.getvalue()[:-2] + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return guard_formula(value)
    return "" if value is None else repr(float(value)) if isinstance(value, float) else str(value)


def read_own_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]] | None:
    """The rows that `write_table` wrote, or `table_line` appended: a last line without an end is left out.

    None if its columns are others. Raises FileNotFoundError, and OSError or ValueError if it is damaged.
    """
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""), strict=True)
    try:
        if tuple(reader.fieldnames or columns) != tuple(columns):
            return None
        with _cells_of_any_size():
            rows = list(reader)
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("a row has more or fewer cells than there are columns")
    return [{column: unguard_formula(cell) for column, cell in row.items()} for row in rows]


@contextmanager
def _cells_of_any_size() -> Iterator[None]:
    """Lift the limit of Python's csv module, 128 KiB a cell."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


_FORMULA = re.compile(r"'*(\s*[=+\-@\uff1d\uff0b\uff0d\uff20](?!\Z)|[\t\r\n])")
"""What spreadsheets take for the start of a formula, full-width signs too; a sign alone is none. Apostrophes before it
are those of `guard_formula`. Source: OWASP, CSV Injection."""


def guard_formula(text: str) -> str:
    """A text for a CSV cell, with a leading apostrophe where a spreadsheet would run it as a formula.

    Also guards texts that are guarded already, so that `unguard_formula` is its exact inverse."""
    return "'" + text if _FORMULA.match(text) else text


def unguard_formula(text: str) -> str:
    """The text that `guard_formula` made a cell of."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
