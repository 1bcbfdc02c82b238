"""Journal of a batch: each verdict as soon as it is there, so that an interrupted batch can be continued."""

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipinc.detection.batch import Result
from lipinc.errors import UserError
from lipinc.files.atomic import with_filename

if TYPE_CHECKING:
    from lipinc.detection.page import IndexRow

PROVENANCE = ("model", "checkpoint_sha256", "settings", "versions", "threshold")
"""Values of a verdict that are the same for all videos. A verdict is kept only if they are those of the new batch."""

Stamp = list[int]
"""Size in bytes and time of modification in ns: a file with another stamp is classified again."""


class Journal:
    """A file of JSON lines, one for each verdict, flushed after each. An incomplete or damaged line is ignored.

    `close` deletes the file unless the batch was interrupted after its first verdict.
    """

    def __init__(self, file: Path, *, resume: bool):
        """Open the journal for one process; the kernel releases it however this process ends.

        Args:
            file: beside the output of the batch.
            resume: whether to continue a batch; if there is none to continue, a new one starts.

        Raises:
            UserError: another batch is writing to it, or it holds verdicts and `resume` is false.
            OSError: it cannot be written; the error names it.
        """
        self._file = file
        with with_filename(file):
            self._stream = file.open("a+b")
        try:
            self._lock()
            self._stream.seek(0)
            lines = self._stream.read().splitlines(keepends=True)
            self._entries = [entry for entry in map(_parse, lines) if entry is not None]
            if self._entries and not resume:
                raise UserError(
                    f"{file} holds {len(self._entries)} verdicts of an interrupted batch: continue with --resume, or "
                    "delete this file to start over"
                )
            with with_filename(file):  # without what a killed process left of its last line
                self._stream.truncate(0)
                for entry in self._entries:
                    self._write(entry)
        except BaseException:
            self._stream.close()
            raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another batch is writing to {self._file}; give other output files") from None
        except OSError:  # a file system without locks
            pass

    def finished(
        self, stamps: Mapping[Path, Stamp | None], provenance: Mapping[str, Any], report: Path | None
    ) -> dict[Path, Result]:
        """Return the results that are still valid.

        Args:
            stamps: the files of the batch, and their present stamps.
            provenance: the present values of PROVENANCE.
            report: the folder of the report pages; None: without a report.

        Returns:
            By file. Files that could not be read are left out, so that they are tried again.
        """
        wanted = json.loads(json.dumps({name: provenance[name] for name in PROVENANCE}))
        kept = {}
        for entry in self._entries:
            result, file = entry.result, Path(entry.result.values["file"])
            same = {name: result.values.get(name) for name in PROVENANCE} == wanted
            page_exists = report is None or (result.row is not None and Path(report, result.row.page).is_file())
            if same and page_exists and result.was_read and entry.stamp is not None and stamps.get(file) == entry.stamp:
                kept[file] = result
        return kept

    def add(self, result: Result, stamp: Stamp | None) -> None:
        """Append a result and flush it.

        Raises:
            OSError: the disk is full; the error names the file.
        """
        entry = _Entry(stamp, result)
        with with_filename(self._file):
            self._write(entry)
        self._entries.append(entry)

    def _write(self, entry: "_Entry") -> None:
        self._stream.write(json.dumps(asdict(entry)).encode() + b"\n")
        self._stream.flush()

    def close(self, *, interrupted: bool) -> None:
        """Close the file, and delete it unless it is needed to continue."""
        with suppress(OSError):
            if not (interrupted and self._entries):
                self._file.unlink()
            self._stream.close()


def stamp(file: Path) -> Stamp | None:
    """Return the stamp of a file; None if there is none."""
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns]


@dataclass(frozen=True)
class _Entry:
    stamp: Stamp | None
    result: Result


def _parse(line: bytes) -> _Entry | None:
    """Read a line; None if it is not one that was written by this version as a whole."""
    try:
        if not line.endswith(b"\n"):
            return None
        entry = json.loads(line)
        result = entry["result"]
        row = None if result["row"] is None else _index_row(result["row"])
        entry = _Entry(entry["stamp"], Result(result["values"], row, result["problem"]))
        return entry if {"file", "reason"} <= entry.result.values.keys() else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _index_row(values: dict[str, Any]) -> "IndexRow":
    from lipinc.detection.page import IndexRow  # imports jinja2, which is needed for reports only
    from lipinc.detection.verdict import Decision
    from lipinc.video.rejection import Reason

    reason = None if values["reason"] is None else Reason(values["reason"])
    return IndexRow(**{**values, "decision": Decision(values["decision"]), "reason": reason})
