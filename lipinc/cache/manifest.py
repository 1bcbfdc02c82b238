"""The manifest of a cache: a row for every video of the data set, and the journal of an unfinished run."""

import dataclasses
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lipinc.datasets.records import RECORD_COLUMNS, VideoRecord
from lipinc.errors import UserError
from lipinc.files.atomic import with_filename
from lipinc.files.csv_table import read_own_table, table_line, write_table

OK = "ok"


@dataclass(frozen=True)
class ManifestRow:
    """What became of one video."""

    record: VideoRecord
    status: str
    """ok, or a rejection.Reason."""
    detail: str = ""
    size: int = 0
    """Bytes of the video file: a file that changed is read again."""
    frames: int = 0
    """Frames decoded."""
    face_frames: int = 0
    """Of these, frames with a usable mouth."""
    windows: int = 0
    """K of its clips."""
    nearest_windows: int = 0
    """Of these, windows with global frames beyond the tolerance."""
    clips_size: int = 0
    """Bytes of its clip file; 0 without clips."""
    clips_sha256: str = ""
    """Of the clip file; "" where clips_size is 0."""

    def to_cells(self) -> dict[str, str | int]:
        """The row by column."""
        return {**self.record.to_cells(), **{name: getattr(self, name) for name in RESULT_COLUMNS}}

    @classmethod
    def from_cells(cls, cells: dict[str, str]) -> "ManifestRow":
        """The row that `to_cells` gave. Raises KeyError or ValueError where it is another's."""
        results = {name: kind(cells[name]) for name, kind in RESULT_COLUMNS.items()}
        return cls(VideoRecord.from_cells(cells), **results)


RESULT_COLUMNS = {field.name: field.type for field in dataclasses.fields(ManifestRow) if field.name != "record"}
MANIFEST_COLUMNS = (*RECORD_COLUMNS, *RESULT_COLUMNS)


def read_manifest(file: Path) -> list[ManifestRow]:
    """The rows of a manifest, or of an unfinished one, whose last line may be cut off. Raises UserError."""
    try:
        rows = read_own_table(file, MANIFEST_COLUMNS)
        if rows is None:
            raise UserError(f"{file} is not a manifest of this version; delete it and run again")
        return [ManifestRow.from_cells(cells) for cells in rows]
    except FileNotFoundError:
        raise UserError(f"no manifest {file}; make it by preprocess_extract_lips.py with the same config") from None
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file} is damaged ({error}); delete it and run preprocess_extract_lips.py again") from error


def write_manifest(file: Path, rows: Iterable[ManifestRow]) -> None:
    """Write a manifest, atomically."""
    write_table(file, MANIFEST_COLUMNS, (row.to_cells() for row in rows))


class Journal:
    """Rows written as they come, each flushed, so that an interrupted run loses nothing."""

    def __init__(self, file: Path):
        # Written again from the start: a kill leaves a line without an end.
        write_manifest(file, read_manifest(file) if file.exists() else ())
        self._file = file
        self._stream = file.open("a", newline="", encoding="utf-8", errors="surrogateescape")

    def add(self, row: ManifestRow) -> None:
        """Append a row and flush it. Raises OSError, naming the file, if the disk is full."""
        with with_filename(self._file):
            self._stream.write(table_line(row.to_cells().values()))
            self._stream.flush()

    def close(self) -> None:
        """Close the file. Rows that a full disk did not take are lost here; their clip files still hold them."""
        with suppress(OSError):
            self._stream.close()
