"""What is known of each video of a data set: one `VideoRecord` per video, the row of every table about videos.

A text column of the index is a field of `VideoRecord` and nothing else: reading an index, the manifest, predictions.csv
and the break-downs of metrics all follow from the fields here.
"""

import dataclasses
import hashlib
import re
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import PurePosixPath
from typing import Any, Literal

from lipinc.errors import UserError
from lipinc.synthesis.perturbations import RAW

UNKNOWN_GENERATOR = "unknown"
UNSAFE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that no name of a file, person or generator may hold: they would break the rows of a manifest or control a
terminal."""
PSEUDO = "pseudo"
"""Method and generator of a pseudo-fake."""


class Label(IntEnum):
    """What the video stream is; the positive class of every metric is FAKE."""

    REAL = 0
    FAKE = 1


def column(groups: Literal["all", "fakes", ""] = "") -> Any:
    """A text column of the index, "" where it is unknown.

    groups: whether metrics are broken down by its values: over `all` videos of a group, or over the `fakes` of each
    group against all reals.
    """
    return dataclasses.field(default="", metadata={"groups": groups, "index": True})


@dataclass(frozen=True)
class VideoRecord:
    """One video file and what is known of it, or a version made of it."""

    path: str
    """Posix path of the file, relative to the dataset root."""
    label: Label
    identity: str
    """The person seen; the unit of splits and of the bootstrap."""
    targets: tuple[str, ...] = ()
    """Driving identities of a fake, e.g. ("id00166",)."""
    method: str = column()
    generator: str = column(groups="fakes")
    """What made the fake; "" for reals, "unknown" for a fake whose generator the index does not name."""
    category: str = ""
    """Of FakeAVCeleb: A to D."""
    race: str = column(groups="all")
    gender: str = column(groups="all")
    split: str = column()
    """The split that the index itself names."""
    pair: str = column()
    """Key of the real video that a fake was made from; "" where there is no such partner."""
    family: str = column(groups="all")
    """Source of the video: videos of one family share camera, codec and framing."""
    audio: str = column(groups="fakes")
    """What is heard, in the words of the index: a fake that speaks the words of its real video is the harder one."""
    forgery: int | None = None
    """Number of the pseudo-fake that is made of it before extraction; None: taken as it is."""
    condition: str = RAW
    """What is done to it before extraction: see lipinc/synthesis/perturbations.py."""

    @property
    def key(self) -> str:
        """Unique in a data set: the path, followed by what is made of it: "real/ann.mp4@forged0@crf28"."""
        return self.path + version_suffix(self.forgery, self.condition)

    def forged(self, number: int) -> "VideoRecord":
        """A pseudo-fake of a real video."""
        return replace(self, label=Label.FAKE, method=PSEUDO, generator=PSEUDO, forgery=number, pair=self.key)

    def to_cells(self) -> dict[str, str]:
        """The record as cells of a table, by column; the key stands for the path."""
        values = {name: getattr(self, name) for name in RECORD_COLUMNS if name != "key"}
        return {"key": self.key, **{name: _to_cell(value) for name, value in values.items()}}

    @classmethod
    def from_cells(cls, cells: dict[str, str]) -> "VideoRecord":
        """The record that `to_cells` gave. Raises KeyError or ValueError where it is another's."""
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
"""The columns of a table of videos, the key first."""
INDEX_COLUMNS = tuple(field.name for field in dataclasses.fields(VideoRecord) if field.metadata.get("index"))
"""Text columns that an index may have beside path, label and identity."""
GROUP_COLUMNS = {
    field.name: field.metadata["groups"] for field in dataclasses.fields(VideoRecord) if field.metadata.get("groups")
}
"""The columns that metrics are broken down by -> whose videos make a group: `all` or `fakes`."""


def _to_cell(value: Any) -> str:
    if isinstance(value, Label):
        return value.name.lower()
    if isinstance(value, tuple):
        return " ".join(value)
    return "" if value is None else str(value)


def version_suffix(forgery: int | None, condition: str) -> str:
    """What the key of a version has behind the path of its file."""
    return ("" if forgery is None else f"@forged{forgery}") + ("" if condition == RAW else f"@{condition}")


def seed_from_name(name: str) -> int:
    """A seed that depends on a name alone: neither on the order of videos nor on who works on them."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big")


def forgery_seed(path: str, number: int) -> int:
    """The seed of the pseudo-fake `number` of a video."""
    return seed_from_name(f"{number} {path}")


def as_key(path: str, where: str) -> str:
    """A relative path as a key: forward slashes, no "." and no double slash. `where` opens the error message.

    Raises UserError on an empty or absolute path, on "..", and on characters no index can carry.
    """
    if UNSAFE.search(path):
        raise UserError(f"{where}: the path {path!r} holds a control character or is no Unicode: rename the file")
    posix = path.replace("\\", "/")
    if posix.startswith("/") or re.match(r"[A-Za-z]:/", posix):
        raise UserError(f"{where}: the path {path!r} is absolute: write it relative to data.root")
    parts = PurePosixPath(posix).parts
    if ".." in parts:
        raise UserError(f"{where}: the path {path!r} holds '..': write it relative to data.root")
    if not parts:
        raise UserError(f"{where}: the path is empty: name the file or drop the row")
    return "/".join(parts)


def clean_texts(row: dict[str, str], where: str) -> dict[str, str]:
    """The cells of a row without spaces around them. Raises UserError on characters no text of a record may hold."""
    for column, cell in row.items():
        if UNSAFE.search(cell.strip()):
            raise UserError(f"{where}: the {column} {cell!r} holds a control character: mend the row")
    return {column: cell.strip() for column, cell in row.items()}
