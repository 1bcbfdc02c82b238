"""CSV I/O with formula-injection protection; all tables of the project are read and written here.

Dialect: UTF-8, comma-separated, LF line ends, one header row, minimal quoting. An empty cell means unknown.
"""

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""Delimiters that spreadsheets write, and what they are called in an error message."""
MAX_NAMED = 20
"""Maximum number of column names in an error message."""


@dataclass(frozen=True)
class Table:
    """A CSV file: path, column names, and rows as (row number, column -> cell). The header is row 1."""

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]

    def require(self, columns: Iterable[str]) -> None:
        """Check that columns are present.

        Raises:
            UserError: columns are missing; the message lists them and the existing ones.
        """
        absent = [column for column in columns if column not in self.columns]
        if absent:
            existing = ", ".join(column or "(unnamed)" for column in self.columns[:MAX_NAMED])
            more = f" and {len(self.columns) - MAX_NAMED} more" if len(self.columns) > MAX_NAMED else ""
            raise UserError(f"{self.path} has no column {', '.join(absent)}; its columns are {existing}{more}")

    def where(self, number: int) -> str:
        """Return the location of a row for an error message."""
        return f"{self.path}, row {number}"


def read_table(
    path: str | Path, names: Iterable[str] = (), *, is_data: Callable[[Sequence[str]], bool] = lambda cells: False
) -> Table:
    """Read a user's CSV: UTF-8 with a header, LF or CRLF, with or without a byte order mark, cells of any size.

    The header decides between commas, semicolons, tabs and vertical bars. Empty rows are skipped, and so are comments
    (#) and Excel's "sep=;" above the header. Cells missing at the end of a row are read as empty.

    Args:
        path: the CSV file.
        names: columns that are recognised in any case: "Label" is read as "label".
        is_data: whether the cells of the first row are data, for files that may lack a header. Their columns are called
            "column 1", "column 2", ..., and their first row has the number 1.

    Raises:
        UserError: the file cannot be read or is malformed.
    """
    path = Path(path)
    text, skipped = _without_preamble(read_text(path))
    delimiter = _delimiter(text)
    try:
        with _cells_of_any_size():
            lines = list(csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter))
    except csv.Error as error:
        raise UserError(f"{path} is not valid CSV ({error}): look for an unmatched quote") from None

    first = [name.strip() for name in lines[0]] if lines else []
    has_header = not is_data(first)
    columns = _recognised(first if has_header else [f"column {n}" for n in range(1, len(first) + 1)], names)
    if not any(columns):
        raise UserError(f"{path} has no header: its first row must name the columns")
    repeated = sorted(name for name, count in Counter(columns).items() if name and count > 1)
    if repeated:
        raise UserError(f"{path} has the column {', '.join(repeated)} more than once: rename one")

    rows = []
    for number, cells in enumerate(lines[has_header:], start=1 + skipped + has_header):
        if any(cells[len(columns) :]):
            raise UserError(
                f"{path}, row {number} has {len(cells)} cells for {len(columns)} columns: quote cells with "
                f"{DELIMITERS[delimiter]}"
            )
        if any(cells):
            cells += [""] * (len(columns) - len(cells))
            rows.append((number, dict(zip(columns, cells, strict=False))))
    return Table(path, columns, rows)


def read_text(path: Path) -> str:
    """Read a user's text file: UTF-8, with or without a byte order mark.

    Raises:
        UserError: the file cannot be read or is not UTF-8.
    """
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):  # reading a pipe could block
        raise UserError(f"cannot read {path} (not a regular file): check the path")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): check the path") from None
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # for example UTF-16 without a byte order mark
        raise UserError(f"{path} is not UTF-8 text: save it as CSV in UTF-8")
    return text


def _without_preamble(text: str) -> tuple[str, int]:
    """Return the text from its header on, and the number of lines above: empty ones, comments, and "sep=;" of Excel.

    A comment with as many delimiters as the first other line is the header, as in "#,path,label".
    """
    above = []
    for line in re.finditer(r"[^\r\n]*(\r\n|\r|\n|\Z)", text):
        above.append((line.start(), line[0]))
        if line[0].strip() and not re.match(r'#|"?sep=.?"?\s*\Z', line[0]):
            break
    most = _delimiters(above[-1][1])
    headers = [i for i, (_, line) in enumerate(above) if line.startswith("#") and _delimiters(line) >= most]
    header = headers[0] if headers else len(above) - 1
    return text[above[header][0] :], header


def _delimiters(line: str) -> int:
    return max(map(line.count, DELIMITERS))


def _delimiter(text: str) -> str:
    """Return the delimiter that is most frequent in the first row; a comma if there is none.

    Quoted text and the decimal commas of a file without a header do not count.
    """
    header = re.sub(r'"[^"]*"', "", text.partition("\n")[0])
    header = re.sub(r"(?<=\d),(?=\d)", "", header)
    return max(DELIMITERS, key=header.count)


def _recognised(columns: Sequence[str], names: Iterable[str]) -> tuple[str, ...]:
    """Spell columns as in `names` where they differ in case only; a column with the exact name takes precedence."""
    spelt = {name.casefold(): name for name in reversed(list(names)) if name not in columns}
    return tuple(spelt.get(column.casefold(), column) for column in columns)


def write_table(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table atomically.

    Args:
        path: the CSV file.
        columns: column names, in order.
        rows: column -> cell; see `table_line` for the formatting.

    Raises:
        OSError: the file cannot be written; the error names it.
    """
    write_atomically(Path(path), table_text(columns, rows).encode("utf-8", "surrogateescape"))


def table_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Format a table as CSV text, header first."""
    return table_line(columns) + "".join(table_line([row[column] for column in columns]) for row in rows)


def table_line(cells: Iterable[Any]) -> str:
    """Format one line of a table. None becomes an empty cell; floats keep full precision.

    Strings that a spreadsheet would run as a formula get a leading apostrophe.
    """
    line = io.StringIO(newline="")
    # csv.writer quotes only the characters of its line terminator. CRLF makes it quote cells with CR or LF.
    csv.writer(line, lineterminator="\r\n").writerow(map(_cell, cells))
    return line.getvalue()[:-2] + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return guard_formula(value)
    return "" if value is None else repr(float(value)) if isinstance(value, float) else str(value)


def read_own_table(path: Path, columns: Sequence[str], optional: Collection[str] = ()) -> list[dict[str, str]] | None:
    """Read a table written by `write_table`, possibly extended with `table_line`. An incomplete last line is ignored.

    Args:
        path: the CSV file.
        columns: the expected column names.
        optional: those that a file of an earlier version may lack; their cells are empty.

    Returns:
        The rows, column -> cell; None if the file has different columns.

    Raises:
        FileNotFoundError: there is no such file.
        OSError, ValueError: the file is damaged.
    """
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""), strict=True)
    try:
        found = tuple(reader.fieldnames or columns)
        if found != tuple(column for column in columns if column in found or column not in optional):
            return None
        with _cells_of_any_size():
            rows = list(reader)
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("the number of cells in a row differs from the number of columns")
    return [{column: unguard_formula(row.get(column, "")) for column in columns} for row in rows]


@contextmanager
def _cells_of_any_size() -> Iterator[None]:
    """Lift the cell size limit of Python's csv module, which is 128 KiB."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


_FORMULA = re.compile(r"'*(\s*[=+\-@\uff1d\uff0b\uff0d\uff20](?!\Z)|[\t\r\n])")
"""Start of a cell that spreadsheets interpret as a formula, including full-width signs; a single sign is not a formula.
Leading apostrophes were added by `guard_formula`. Source: OWASP, CSV Injection."""


def guard_formula(text: str) -> str:
    """Escape a string for a CSV cell: add a leading apostrophe if a spreadsheet would run it as a formula.

    Escaped strings are escaped again, so that `unguard_formula` is the exact inverse.
    """
    return "'" + text if _FORMULA.match(text) else text


def unguard_formula(text: str) -> str:
    """Undo `guard_formula`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
