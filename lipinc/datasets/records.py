"""Video records: the metadata of each video, used in every table of videos.

To add a text column of the index, add a field to `VideoRecord`. Index readers, the manifest, predictions.csv and the
break-downs of metrics are derived from its fields.
"""

import dataclasses
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np

from lipinc.errors import UserError
from lipinc.synthesis.perturbations import RAW

UNKNOWN_GENERATOR = "unknown"
UNSAFE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that are rejected in the names of files, people and generators: control characters, which would break CSV
rows or control a terminal, and lone surrogates, which are not valid Unicode."""
PSEUDO = "pseudo"
"""The method and generator name of pseudo-fakes."""


class Label(IntEnum):
    """Label of the video stream. FAKE is the positive class of every metric."""

    REAL = 0
    FAKE = 1


def column(groups: Literal["all", "fakes", ""] = "") -> Any:
    """Declare a text column of the index; "" means unknown.

    Args:
        groups: how metrics are broken down by this column. `all`: over all videos of each group. `fakes`: over the
            fakes of each group and all reals. "": no break-down.
    """
    return dataclasses.field(default="", metadata={"groups": groups, "index": True})


@dataclass(frozen=True)
class VideoRecord:
    """Metadata of a video file or of a derived version (pseudo-fake, condition)."""

    path: str
    """POSIX path of the file, relative to the data set root."""
    label: Label
    identity: str
    """The visible person; the unit of splits and of the bootstrap."""
    targets: tuple[str, ...] = ()
    """Other people in a fake, for example ("id00166",): who drives the face, or whose video was given another face."""
    method: str = column()
    generator: str = column(groups="fakes")
    """Generator of a fake; "" for reals, "unknown" if the index does not name it."""
    category: str = ""
    """Category of FakeAVCeleb: A to D."""
    race: str = column(groups="all")
    gender: str = column(groups="all")
    split: str = column()
    """The split given in the index."""
    pair: str = column()
    """Key of the real video that a fake was made from; "" if it is unknown or not in the data set."""
    family: str = column(groups="all")
    """Origin of the video: videos of one family share camera, codec and framing."""
    audio: str = column(groups="fakes")
    """Kind of audio, as given in the index; in FakeAVCeleb RealAudio (categories A, C) or FakeAudio (B, D). A fake with
    the same speech as its real video is harder to detect."""
    compression: str = column(groups="all")
    """Compression of the file as the data set delivers it, for example c23; "" if it has one level only. Not to be
    confused with `condition`, which is applied here."""
    fake_periods: str = column()
    """Forged periods of a fake in s, as in "2.500-3.224 7.000-8.100"; "": forged throughout. They label its windows."""
    forgery: int | None = None
    """Number of the pseudo-fake made from the file before extraction; None: the file itself."""
    condition: str = RAW
    """Condition applied before extraction: see lipinc/synthesis/perturbations.py."""

    @property
    def key(self) -> str:
        """Unique key in a data set: the path and the version, as in "real/ann.mp4@forged0@crf28"."""
        return self.path + version_suffix(self.forgery, self.condition)

    @property
    def periods(self) -> tuple[tuple[float, float], ...]:
        """Start and end of each forged period in s; empty if a fake is forged throughout.

        Raises:
            ValueError: `fake_periods` is malformed.
        """
        return parse_periods(self.fake_periods)

    def forged(self, number: int) -> "VideoRecord":
        """Return the record of a pseudo-fake made from this real video."""
        return replace(self, label=Label.FAKE, method=PSEUDO, generator=PSEUDO, forgery=number, pair=self.key)

    def to_cells(self) -> dict[str, str]:
        """Return the record as table cells, column -> cell; the key column replaces the path."""
        values = {name: getattr(self, name) for name in RECORD_COLUMNS if name != "key"}
        return {"key": self.key, **{name: _to_cell(value) for name, value in values.items()}}

    @classmethod
    def from_cells(cls, cells: dict[str, str]) -> "VideoRecord":
        """Read a record from the cells that `to_cells` returned.

        Raises:
            KeyError, ValueError: the cells are not those of a record.
        """
        forgery = int(cells["forgery"]) if cells["forgery"] else None
        special = {
            "path": cells["key"].removesuffix(version_suffix(forgery, cells["condition"])),
            "label": Label[cells["label"].upper()],
            "targets": tuple(cells["targets"].split()),
            "forgery": forgery,
        }
        texts = {name: cells[name] for name in RECORD_COLUMNS if name != "key" and name not in special}
        return cls(**special, **texts)


RECORD_COLUMNS = ("key", *(field.name for field in dataclasses.fields(VideoRecord) if field.name != "path"))
"""Columns of a table of videos, key first."""
INDEX_COLUMNS = tuple(field.name for field in dataclasses.fields(VideoRecord) if field.metadata.get("index"))
"""Optional text columns of an index, in addition to path, label and identity."""
GROUP_COLUMNS = {
    field.name: field.metadata["groups"] for field in dataclasses.fields(VideoRecord) if field.metadata.get("groups")
}
"""Columns by which metrics are broken down -> the videos of each group: `all` or `fakes` (see `column`)."""


def _to_cell(value: Any) -> str:
    if isinstance(value, Label):
        return value.name.lower()
    if isinstance(value, tuple):
        return " ".join(value)
    return "" if value is None else str(value)


def parse_periods(text: str) -> tuple[tuple[float, float], ...]:
    """Read periods such as "2.500-3.224 7.000-8.100".

    Returns:
        Start and end of each, in s.

    Raises:
        ValueError: the text has another form, or a period ends before it starts.
    """
    periods = []
    for word in text.split():
        match = re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", word)
        if match is None or float(match[1]) > float(match[2]):
            raise ValueError(f"{word!r} is not a period in s, such as 2.5-3.224")
        periods.append((float(match[1]), float(match[2])))
    return tuple(periods)


def format_periods(periods: Iterable[tuple[float, float]]) -> str:
    """Write periods in s as `parse_periods` reads them, in ms precision."""
    return " ".join(f"{start:.3f}-{end:.3f}" for start, end in periods)


def version_suffix(forgery: int | None, condition: str) -> str:
    """Return the part of a key that follows the path."""
    return ("" if forgery is None else f"@forged{forgery}") + ("" if condition == RAW else f"@{condition}")


def paired_reals(records: Sequence[VideoRecord]) -> np.ndarray:
    """Return the index of the real video that each fake was made from, under the same condition: (V,) int64.

    It is -1 for reals, and for fakes without such a video.
    """
    position = {record.key: i for i, record in enumerate(records)}
    reals = (record.pair and record.pair + version_suffix(None, record.condition) for record in records)
    return np.array([position.get(real, -1) for real in reals], dtype=np.int64)


def seed_from_name(name: str) -> int:
    """Derive a random seed from a name only, so that it depends neither on the video order nor on the worker."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big")


def forgery_seed(path: str, number: int) -> int:
    """Return the random seed of pseudo-fake `number` of a video."""
    return seed_from_name(f"{number} {path}")


def as_key(path: str, where: str, root: str = "") -> str:
    """Normalise a path to a key: relative, forward slashes, no "." and no double slashes.

    Args:
        path: path with forward or backward slashes, relative to the data set root, or absolute and below it.
        where: location of the path, the start of an error message.
        root: the data set root; "": absolute paths are refused.

    Raises:
        UserError: the path is empty or not below the root, or contains ".." or unsafe characters.
    """
    if UNSAFE.search(path):
        raise UserError(f"{where}: the path {path!r} contains control characters or invalid Unicode: rename the file")
    posix = _below(path.replace("\\", "/"), root)
    if posix.startswith("/") or re.match(r"[A-Za-z]:/", posix):
        outside = f" and not below {root}" if root else ""
        raise UserError(f"{where}: the path {path!r} is absolute{outside}: make it relative to data.root")
    parts = PurePosixPath(posix).parts
    if ".." in parts:
        raise UserError(f"{where}: the path {path!r} contains '..': make it relative to data.root")
    if not parts:
        raise UserError(f"{where}: the path is empty: name the file or remove the row")
    return "/".join(parts)


def _below(posix: str, root: str) -> str:
    """Return an absolute path below the root relative to it; any other path unchanged."""
    for base in (os.path.abspath(root), os.path.realpath(root)) if root and posix.startswith("/") else ():
        if PurePosixPath(posix).is_relative_to(base):
            return PurePosixPath(posix).relative_to(base).as_posix()
    return posix


def nfc(text: str) -> str:
    """Return a text in one Unicode form, in which equal names are equal: macOS writes names in another one."""
    return unicodedata.normalize("NFC", text)


def clean_texts(row: dict[str, str], where: str) -> dict[str, str]:
    """Strip the cells of a row, and give equal names one Unicode form (NFC): two forms of one person would be two.

    Raises:
        UserError: a cell contains unsafe characters (see `UNSAFE`).
    """
    for column, cell in row.items():
        if UNSAFE.search(cell.strip()):
            raise UserError(f"{where}: the {column} {cell!r} contains control characters: correct the row")
    return {column: nfc(cell.strip()) for column, cell in row.items()}
