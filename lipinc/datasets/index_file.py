"""Index files in the forms in which data sets come: CSV, plain lists of labels and paths, DFDC's metadata.json."""

import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from lipinc.errors import UserError
from lipinc.files.csv_table import Table, read_table, read_text
from lipinc.video.video_files import VIDEO_SUFFIXES


def read_index(path: Path, columns: Iterable[str]) -> tuple[Table, bool]:
    """Read an index.

    - CSV with a header: see `read_table`.
    - A list without a header: lines of label and path (Celeb-DF's List_of_testing_videos.txt), or of path and label.
    - DFDC's metadata.json: file name -> label and original. Its split is not read: it is "train" everywhere.

    Args:
        path: the index file.
        columns: the columns to look for, in any case.

    Returns:
        The table, and whether the file names its columns. If it does not, they have our names.

    Raises:
        UserError: the file cannot be read or is malformed.
    """
    if path.suffix.lower() == ".json":
        return _read_json(path), False
    table = read_table(path, columns)
    if not set(columns) & set(table.columns) and any(
        _is_video(word) for column in table.columns for word in re.split(r"[\s,;]+", column)
    ):
        return read_list(path), False
    return table, True


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file cannot be read or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not valid JSON: check the file, or give an index in CSV") from None


def _read_json(path: Path) -> Table:
    entries = read_json(path)
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise UserError(f"{path} must map file names to their label, as DFDC's metadata.json; or give an index in CSV")
    rows = [
        (number, {"path": name, "label": str(entry.get("label", "")), "pair": str(entry.get("original") or "")})
        for number, (name, entry) in enumerate(entries.items(), start=1)
    ]
    return Table(path, ("path", "label", "pair"), rows)


def read_list(path: Path) -> Table:
    """Read a list without a header: lines of label and path, or of path and label.

    Returns:
        A table with the columns label and path.

    Raises:
        UserError: the file cannot be read, or a line has another form.
    """
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = _label_and_path(line.strip())
        if cells is None and line.strip():
            raise UserError(
                f"{path}, row {number} is no pair of label and path: add a first row that names the columns, "
                "for example path,label,identity"
            )
        if cells:
            rows.append((number, dict(zip(("label", "path"), cells, strict=True))))
    return Table(path, ("label", "path"), rows)


def _label_and_path(line: str) -> tuple[str, str] | None:
    """Split a line; paths may contain spaces, labels contain no slash."""
    for pattern in (r"(?P<label>[^\s,;/]+)[\s,;]+(?P<path>.+)", r"(?P<path>.+?)[\s,;]+(?P<label>[^\s,;/]+)"):
        match = re.fullmatch(pattern, line)
        if match and _is_video(match["path"]):
            return match["label"], match["path"]
    return None


def _is_video(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in VIDEO_SUFFIXES
