"""Manifest of a cache: one row per video of the data set, and the journal of an unfinished run."""

import dataclasses
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lipinc.datasets.records import INDEX_COLUMNS, RECORD_COLUMNS, VideoRecord
from lipinc.errors import UserError
from lipinc.files.atomic import with_filename
from lipinc.files.csv_table import read_own_table, table_line, write_table
from lipinc.video.quality import QUALITY_NAMES
from lipinc.video.rejection import Reason

OK = "ok"


@dataclass(frozen=True)
class ManifestRow:
    """Extraction result of one video."""

    record: VideoRecord
    status: str
    """ok, or a `lipinc.video.rejection.Reason`."""
    detail: str = ""
    size: int = 0
    """Size of the video in bytes, of a folder of frames in sum: if it changes, the video is extracted again."""
    frames: int = 0
    """Number of decoded frames."""
    face_frames: int = 0
    """Number of frames with a usable mouth."""
    repeats: int = 0
    """Number of decoded frames that repeat the picture before them and were left out."""
    windows: int = 0
    """Number of windows, K."""
    nearest_windows: int = 0
    """Number of windows with global frames beyond the tolerance."""
    face_height: float | None = None
    """Input quality of the largest face with clips: this and the next five, see video.quality. None: unknown."""
    sharpness: float | None = None
    noise: float | None = None
    blockiness: float | None = None
    frame_rate: float | None = None
    bits_per_pixel: float | None = None
    clips_size: int = 0
    """Size of the clip file in bytes; 0 without clips."""
    clips_sha256: str = ""
    """SHA-256 of the clip file; "" without clips."""

    @property
    def refused(self) -> bool:
        """Whether the video exists and has no clips. Missing files and damaged clip files are no fault of a method."""
        return self.status not in (OK, Reason.MISSING.value, Reason.DAMAGED.value)

    def quality(self) -> list[float]:
        """Return the input quality (Q,), in the order of QUALITY_NAMES; nan where it is unknown."""
        known = {name: getattr(self, name) for name in QUALITY_COLUMNS}
        known["repeats"] = self.repeats / self.frames if self.frames else None
        return [float("nan") if known[name] is None else float(known[name]) for name in QUALITY_NAMES]

    def to_cells(self) -> dict[str, str | int | float | None]:
        """Return the row as table cells, column -> cell."""
        return {**self.record.to_cells(), **{name: getattr(self, name) for name in RESULT_COLUMNS}}

    @classmethod
    def from_cells(cls, cells: dict[str, str]) -> "ManifestRow":
        """Read a row from the cells that `to_cells` returned.

        Raises:
            KeyError, ValueError: the cells are not those of a manifest row.
        """
        results = {name: _parse(cells[name], kind) for name, kind in RESULT_COLUMNS.items()}
        return cls(VideoRecord.from_cells(cells), **results)


RESULT_COLUMNS = {field.name: field.type for field in dataclasses.fields(ManifestRow) if field.name != "record"}
QUALITY_COLUMNS = tuple(name for name, kind in RESULT_COLUMNS.items() if kind == float | None)
MANIFEST_COLUMNS = (*RECORD_COLUMNS, *RESULT_COLUMNS)


def _parse(cell: str, kind: type) -> str | int | float | None:
    """A cell as a value of a column of this type; an empty cell of a measure is None."""
    if kind == float | None:
        return float(cell) if cell else None
    return kind(cell)


def read_manifest(file: Path) -> list[ManifestRow]:
    """Read a manifest or a journal, whose last line may be incomplete. Index columns that did not exist yet are empty.

    Raises:
        UserError: the file is missing, damaged or from another version.
    """
    try:
        rows = read_own_table(file, MANIFEST_COLUMNS, optional=INDEX_COLUMNS)
        if rows is None:
            raise UserError(f"{file} was not written by this version of lipinc; delete it and run again")
        return [ManifestRow.from_cells(cells) for cells in rows]
    except FileNotFoundError:
        raise UserError(f"no manifest {file}; create it with preprocess_extract_lips.py and the same config") from None
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file} is damaged ({error}); delete it and run preprocess_extract_lips.py again") from error


def write_manifest(file: Path, rows: Iterable[ManifestRow]) -> None:
    """Write a manifest, atomically."""
    write_table(file, MANIFEST_COLUMNS, (row.to_cells() for row in rows))


class Journal:
    """A manifest that is extended row by row and flushed after each, so that an interrupted run loses nothing."""

    def __init__(self, file: Path):
        # Rewrite the existing rows: a killed process may have left an incomplete last line.
        write_manifest(file, read_manifest(file) if file.exists() else ())
        self._file = file
        self._stream = file.open("a", newline="", encoding="utf-8", errors="surrogateescape")

    def add(self, row: ManifestRow) -> None:
        """Append a row and flush it.

        Raises:
            OSError: the disk is full; the error names the file.
        """
        with with_filename(self._file):
            self._stream.write(table_line(row.to_cells().values()))
            self._stream.flush()

    def close(self) -> None:
        """Close the file. Rows that do not fit on a full disk are lost, but can be restored from their clip files."""
        with suppress(OSError):
            self._stream.close()
