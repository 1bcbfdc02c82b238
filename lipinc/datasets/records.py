"""A data set on the disk or in an index -> one `VideoRecord` a video.

Usage:
    records = load_catalog(config.data)
    missing = check_present(records, config.data)
"""

import difflib
import hashlib
import logging
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path, PurePosixPath

from lipinc.config import DataConfig
from lipinc.errors import UserError
from lipinc.files.csv_table import read_table
from lipinc.synthesis.perturbations import RAW, expand_conditions
from lipinc.video.video_files import walk_video_files

log = logging.getLogger(__name__)

CSV_COLUMNS = (
    "path", "label", "identity", "generator", "split", "race", "gender", "method", "pair", "family", "audio",
)  # fmt: skip
UNKNOWN_GENERATOR = "unknown"
UNSAFE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""What no name of a file, person or generator may hold: it would break a manifest's row or command a terminal."""
PSEUDO = "pseudo"
"""Method and generator of a pseudo-fake."""


class Label(IntEnum):
    """What the video stream is; the positive class of every metric is FAKE."""

    REAL = 0
    FAKE = 1


LABEL_NAMES = {"real": Label.REAL, "0": Label.REAL, "fake": Label.FAKE, "1": Label.FAKE}

FAKEAVCELEB_METHODS = {
    "real": Label.REAL,
    "rtvc": Label.REAL,
    "wav2lip": Label.FAKE,
    "fsgan": Label.FAKE,
    "faceswap": Label.FAKE,
    "fsgan-wav2lip": Label.FAKE,
    "faceswap-wav2lip": Label.FAKE,
    PSEUDO: Label.FAKE,
}
"""Label of the picture: rtvc clones the voice and leaves the picture alone. Pseudo-fakes are no part of the set: they
are what lipinc/commands/forge.py writes in its layout."""
FAKEAVCELEB_TYPES = {
    "A": "RealVideo-RealAudio",
    "B": "RealVideo-FakeAudio",
    "C": "FakeVideo-RealAudio",
    "D": "FakeVideo-FakeAudio",
}
"""Category -> type."""
FAKEAVCELEB_COLUMNS = (
    "source", "target1", "target2", "method", "category", "type", "race", "gender", "filename", "path",
)  # fmt: skip
"""Of its meta_data.csv, in the one of the two known forms that we write."""


def seed_of(name: str) -> int:
    """A seed that depends on a name alone: neither on the order of videos nor on who works on them."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big")


def forgery_seed(path: str, number: int) -> int:
    """The seed of the pseudo-fake `number` of a video."""
    return seed_of(f"{number} {path}")


@dataclass(frozen=True)
class VideoRecord:
    """One video file and what is known of it, or a version made of it. Text fields are "" where nothing is known."""

    path: str
    """Posix path of the file, relative to the dataset root."""
    label: Label
    identity: str
    """The person seen; the unit of splits and of bootstrap."""
    targets: tuple[str, ...] = ()
    """Driving identities of a fake, e.g. ("id00166",)."""
    method: str = ""
    generator: str = "-"
    """Who made the fake; "-" for reals, "unknown" for a fake nobody named the maker of."""
    category: str = ""
    race: str = ""
    gender: str = ""
    split: str = ""
    """The index's own split, as written there."""
    forgery: int | None = None
    """Number of the pseudo-fake that is made of it before extraction; None: taken as it is."""
    pair: str = ""
    """The key of the real video that a fake was made from; fakes and reals with no such partner: ""."""
    family: str = ""
    """Where the video comes from: videos of one family share camera, codec and framing."""
    audio: str = ""
    """What is heard, in the index's own words: a fake that speaks its pair's own words is the harder one."""
    condition: str = RAW
    """What is done to it before extraction: see lipinc/synthesis/perturbations.py."""

    @property
    def key(self) -> str:
        """Unique in a catalogue: the path, with what is made of it behind: "real/ann.mp4@forged0@crf28"."""
        return self.path + version_suffix(self.forgery, self.condition)

    def forged(self, number: int) -> "VideoRecord":
        """A pseudo-fake of a real video."""
        return replace(self, label=Label.FAKE, method=PSEUDO, generator=PSEUDO, forgery=number, pair=self.key)


def version_suffix(forgery: int | None, condition: str) -> str:
    """What a version's key has behind the path of its file."""
    return ("" if forgery is None else f"@forged{forgery}") + ("" if condition == RAW else f"@{condition}")


def index_file(config: DataConfig) -> Path | None:
    """Where the index of a data set is; None for `folder`, which has none."""
    name = {"fakeavceleb": "meta_data.csv", "csv": "index.csv", "folder": None}[config.kind]
    return Path(config.index or Path(config.root, name)) if name else None


def load_catalog(config: DataConfig) -> list[VideoRecord]:
    """The videos of a data set, in index order (`folder`: sorted by key), each followed by the versions of it that
    `config.forgeries` and `config.conditions` ask for. Reads the index, no video file.

    Raises UserError on an index that cannot be read, contradicts itself, names no video, or names two whose clips would
    be one file of the cache.
    """
    load = {"fakeavceleb": _load_fakeavceleb, "folder": _load_folder, "csv": _load_csv}[config.kind]
    records = load(config)
    if not records:
        raise UserError(f"{config.index or config.root} names no video to take: check data.index and data.fake_methods")
    conditions = (RAW, *expand_conditions(config.conditions))
    versions = [
        replace(version, condition=condition)
        for record in records
        for version in (record, *map(record.forged, range(config.forgeries if record.label is Label.REAL else 0)))
        for condition in conditions
    ]
    _check_keys(versions)
    return versions


def _check_keys(records: Iterable[VideoRecord]) -> None:
    """A cache may lie on a disk that takes A.mp4 and a.mp4, or two spellings of é, for one file."""
    firsts: dict[str, VideoRecord] = {}
    for record in records:
        first = firsts.setdefault(unicodedata.normalize("NFC", record.key).casefold(), record)
        if first is not record:
            raise UserError(f"{first.key} and {record.key} would be one file on some disks: rename one")


def check_present(records: Iterable[VideoRecord], config: DataConfig) -> set[str]:
    """Keys of the records whose file is not below the dataset root.

    Raises UserError when they are more than `config.max_missing` of all: a wrong root, not a few lost files.
    """
    records = list(records)
    missing = [record.key for record in records if not os.path.isfile(os.path.join(config.root, record.path))]
    if len(missing) > config.max_missing * len(records):
        first = os.path.join(config.root, next(record.path for record in records if record.key in set(missing)))
        raise UserError(
            f"{len(missing)} of {len(records)} videos are missing, the first is {first}: set data.root, now "
            f"{config.root}, to the folder where the index's paths start, or raise data.max_missing"
        )
    return set(missing)


# Keys


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


def _texts(row: dict[str, str], where: str) -> dict[str, str]:
    """The cells of a row without spaces around them. Raises UserError on characters no text of a record may hold."""
    for column, cell in row.items():
        if UNSAFE.search(cell.strip()):
            raise UserError(f"{where}: the {column} {cell!r} holds a control character: mend the row")
    return {column: cell.strip() for column, cell in row.items()}


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: the nearest known one, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name.lower(), known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


# FakeAVCeleb


def read_fakeavceleb_index(path: str | Path) -> list[VideoRecord]:
    """Every row of FakeAVCeleb's meta_data.csv, the files it lists twice included; see `unique_files`.

    Two header forms are known: the folder under `path` and the file name under `filename`, or the file name under
    `path` and the folder under a last column without a name. The leading "FakeAVCeleb..." of a folder is the data
    set's own name and no part of the key. Raises UserError on an unknown method, and where the method contradicts the
    type or the category, with the row.
    """
    table = read_table(path)
    last = table.columns[-1]
    official = "filename" not in table.columns and re.fullmatch(r"(Unnamed: \d+)?", last)
    name_column, folder_column = ("path", last) if official else ("filename", "path")
    table.require((*FAKEAVCELEB_COLUMNS[:-2], name_column, folder_column))
    return [_fakeavceleb_record(row, name_column, folder_column, table.where(number)) for number, row in table.rows]


def unique_files(records: Iterable[VideoRecord]) -> list[VideoRecord]:
    """The first record of each key.

    FakeAVCeleb lists 22 files twice, as wav2lip and as faceswap-wav2lip. Raises UserError if two records of a file
    differ in label or identity.
    """
    unique: dict[str, VideoRecord] = {}
    for record in records:
        first = unique.setdefault(record.key, record)
        if (first.label, first.identity) != (record.label, record.identity):
            raise UserError(
                f"the index lists {record.key} as {first.label.name.lower()} of {first.identity} and as "
                f"{record.label.name.lower()} of {record.identity}: drop the wrong row"
            )
    return list(unique.values())


def _load_fakeavceleb(config: DataConfig) -> list[VideoRecord]:
    fakes = [method for method, label in FAKEAVCELEB_METHODS.items() if label is Label.FAKE]
    for method in config.fake_methods:
        if method not in fakes:
            raise UserError(f"data.fake_methods names {method!r}, which is no fake method: {nearest(method, fakes)}")
    taken = {"real", *config.fake_methods} | ({"rtvc"} if config.include_rtvc else set())
    # Taking before de-duplicating keeps, of a file listed under two methods, the row whose method counts.
    rows = read_fakeavceleb_index(index_file(config))
    records = unique_files(record for record in rows if record.method in taken)
    reals = {record.identity: record.key for record in records if record.method == "real"}
    return [
        replace(record, pair=reals.get(record.identity, "")) if record.label is Label.FAKE else record
        for record in records
    ]


def _fakeavceleb_record(row: dict[str, str], name_column: str, folder_column: str, where: str) -> VideoRecord:
    name, folder = row[name_column], row[folder_column]
    row = _texts({column: cell for column, cell in row.items() if column not in (name_column, folder_column)}, where)
    method, category, kind, source = row["method"], row["category"], row["type"], row["source"]
    if method not in FAKEAVCELEB_METHODS:
        raise UserError(f"{where}: unknown method {method!r}: {nearest(method, FAKEAVCELEB_METHODS)}")
    label = FAKEAVCELEB_METHODS[method]
    if FAKEAVCELEB_TYPES.get(category) != kind or kind.startswith("RealVideo-") != (label is Label.REAL):
        raise UserError(f"{where}: method {method} contradicts category {category!r} or type {kind!r}: mend the row")
    if not source or not name:
        raise UserError(f"{where}: the source or the file name is empty: mend the row")
    parts = as_key(folder, where).split("/")
    if parts[0].startswith("FakeAVCeleb"):
        del parts[0]
    targets = (row["target1"], row["target2"])
    return VideoRecord(
        path=as_key("/".join((*parts, name)), where),
        label=label,
        identity=source,
        # Other cells hold scraps of the file name: "fake.mp4", "1.mp4", video ids, numbers, "-".
        targets=tuple(target for target in targets if re.fullmatch(r"id\d+", target)),
        method=method,
        generator="-" if label is Label.REAL else method,
        category=category,
        race=row["race"],
        gender=row["gender"],
    )


# Folder


def _load_folder(config: DataConfig) -> list[VideoRecord]:
    """<root>/real and <root>/fake, searched to any depth and through links; hidden files are left out.

    The first sub-folder below real/ or fake/ is the identity, so fake/<generator>/... would read as one person. A
    video without such a sub-folder is a person of its own, named by its stem: real/ann.mp4 and fake/ann.mp4 are one.
    """
    records: list[VideoRecord] = []
    visited: dict[tuple[int, int], str] = {}
    for label in Label:
        folder = Path(config.root) / label.name.lower()
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder: data.root must hold a folder real and a folder fake")
        files = list(walk_video_files(folder, on_error=_refuse_folder, follow_links=True, visited=visited))
        if not files:
            raise UserError(f"{folder} holds no video: put files with a suffix such as .mp4 there")
        keys = sorted(as_key(file.relative_to(config.root).as_posix(), str(folder)) for file in files)
        records += [_folder_record(key, label) for key in keys]
    if all(record.key.count("/") == 1 for record in records):
        log.warning("%s has no sub-folders for people: every file name counts as a person of its own", config.root)
    return sorted(records, key=lambda record: record.key)


def _refuse_folder(error: OSError) -> None:
    raise UserError(f"cannot list {error.filename} ({error.strerror}): make it readable or take it away")


def _folder_record(key: str, label: Label) -> VideoRecord:
    _, first, *deeper = key.split("/")
    return VideoRecord(
        path=key,
        label=label,
        identity=first if deeper else PurePosixPath(first).stem,
        generator="-" if label is Label.REAL else UNKNOWN_GENERATOR,
    )


# CSV


def _load_csv(config: DataConfig) -> list[VideoRecord]:
    table = read_table(index_file(config))
    mapped = dict(config.columns)
    for ours in mapped:
        if ours not in CSV_COLUMNS:
            raise UserError(f"data.columns maps {ours!r}, which is no column of ours: {nearest(ours, CSV_COLUMNS)}")
    columns = {ours: mapped.get(ours, ours) for ours in CSV_COLUMNS}
    table.require((columns["path"], columns["label"], *mapped.values()))
    present = {ours: theirs for ours, theirs in columns.items() if theirs in table.columns}
    if "identity" not in present:
        log.warning("%s has no identity column: every video counts as a person of its own", table.path)

    records: dict[str, tuple[int, VideoRecord]] = {}
    for number, row in table.rows:
        record = _csv_record({ours: row[theirs] for ours, theirs in present.items()}, table.where(number))
        first_number, first = records.setdefault(record.key, (number, record))
        if first != record:
            raise UserError(f"{table.where(number)} contradicts row {first_number} on {record.key}: drop the wrong one")
    return _with_pairs([record for _, record in records.values()])


def _with_pairs(records: list[VideoRecord]) -> list[VideoRecord]:
    """`pair` as a key, where the index names the real video by its stem. One that is not there is left out."""
    reals = {record.path: record.path for record in records if record.label is Label.REAL}
    reals = {PurePosixPath(path).stem: path for path in reals} | reals
    return [replace(record, pair=reals.get(record.pair, "")) for record in records]


def _csv_record(row: dict[str, str], where: str) -> VideoRecord:
    key = as_key(row["path"], where)
    row = _texts(row, where)
    label = LABEL_NAMES.get(row["label"].lower())
    if label is None:
        raise UserError(f"{where}: the label {row['label']!r} is none of {', '.join(LABEL_NAMES)}: mend it")
    identity = row.get("identity", key)
    if not identity:
        raise UserError(f"{where}: the identity is empty: name the person of every video, or drop the column")
    method = row.get("method", "")
    return VideoRecord(
        path=key,
        label=label,
        identity=identity,
        method=method,
        generator="-" if label is Label.REAL else row.get("generator", "") or method or UNKNOWN_GENERATOR,
        race=row.get("race", ""),
        gender=row.get("gender", ""),
        split=row.get("split", ""),
        pair="" if label is Label.REAL else row.get("pair", ""),
        family=row.get("family", ""),
        audio=row.get("audio", ""),
    )
