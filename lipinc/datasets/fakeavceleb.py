"""FakeAVCeleb v1.2: celebrity videos with lip-synced and face-swapped fakes, indexed by meta_data.csv.

Source: Khalid et al., FakeAVCeleb, NeurIPS Datasets and Benchmarks 2021. The data set is available on request only.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lipinc.config.registry import suggest
from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.layout import find_below
from lipinc.datasets.records import PSEUDO, Label, VideoRecord, as_key, clean_texts
from lipinc.errors import UserError
from lipinc.files.csv_table import read_table

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
"""Method -> label of the picture. rtvc clones the voice only, so its picture is real. Pseudo-fakes are not part of
FakeAVCeleb: lipinc/commands/forge.py writes them in the same layout."""
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
"""Columns of meta_data.csv, in the header form that this project writes; see `read_fakeavceleb_index`."""

INDEX = "meta_data.csv"
REAL_FOLDER = FAKEAVCELEB_TYPES["A"]


@register_dataset("fakeavceleb")
@dataclass(frozen=True)
class FakeAVCeleb(Dataset):
    """FakeAVCeleb, or another data set in the same layout."""

    root: str = "data/FakeAVCeleb_v1.2"
    """The folder that holds meta_data.csv and RealVideo-RealAudio/."""
    index: str = ""
    """Path of the index; empty: <root>/meta_data.csv."""
    fake_methods: tuple[str, ...] = ("wav2lip",)
    """Methods used as fakes. Rows of other fake methods are ignored."""
    include_rtvc: bool = False
    """Also use category B (rtvc), which has real video and cloned audio. Kept: 500 more real videos for measuring the
    false positive rate."""

    def index_file(self) -> Path:
        """See `Dataset.index_file`. Found also if the data set was unpacked into a folder below the root."""
        return Path(self.index or find_below(self.root, INDEX) or Path(self.root, INDEX))

    def load(self) -> list[VideoRecord]:
        """See `Dataset.load`. Records are in index order; the `pair` of a fake is the real video of its source."""
        fakes = [method for method, label in FAKEAVCELEB_METHODS.items() if label is Label.FAKE]
        for method in self.fake_methods:
            if method not in fakes:
                raise UserError(
                    f"data.fake_methods names {method!r}, which is not a fake method: {suggest(method, fakes)}"
                )
        selected = {"real", *self.fake_methods} | ({"rtvc"} if self.include_rtvc else set())
        if not self.index and not self.index_file().exists():
            raise UserError(
                f"cannot read {self.index_file()} (no such file): set data.root to the folder that contains {INDEX} "
                f"and {REAL_FOLDER}, or data.index to the file"
            )
        # Filter before de-duplicating: a file listed under two methods keeps the row with the selected method.
        rows = read_fakeavceleb_index(self.index_file())
        records = unique_files(record for record in rows if record.method in selected)
        inner = os.path.relpath((find_below(self.root, REAL_FOLDER) or Path(self.root, REAL_FOLDER)).parent, self.root)
        if inner != ".":
            records = [replace(record, path=f"{inner}/{record.path}") for record in records]
        reals = {record.identity: record.key for record in records if record.method == "real"}
        return [
            replace(record, pair=reals.get(record.identity, "")) if record.label is Label.FAKE else record
            for record in records
        ]


def read_fakeavceleb_index(path: str | Path) -> list[VideoRecord]:
    """Read every row of FakeAVCeleb's meta_data.csv, including files listed twice; see `unique_files`.

    Two header forms exist: folder in `path` and file name in `filename`; or file name in `path` and folder in an
    unnamed last column. The leading "FakeAVCeleb..." of a folder is the data set's name, not part of the key.

    Raises:
        UserError: a method is unknown or contradicts the type or the category; the message names the row.
    """
    table = read_table(path, FAKEAVCELEB_COLUMNS)
    last = table.columns[-1]
    official = "filename" not in table.columns and re.fullmatch(r"(Unnamed: \d+)?", last)
    name_column, folder_column = ("path", last) if official else ("filename", "path")
    table.require((*FAKEAVCELEB_COLUMNS[:-2], name_column, folder_column))
    return [_fakeavceleb_record(row, name_column, folder_column, table.where(number)) for number, row in table.rows]


def unique_files(records: Iterable[VideoRecord]) -> list[VideoRecord]:
    """Return the first record of each key.

    FakeAVCeleb lists 22 files twice, as wav2lip and as faceswap-wav2lip.

    Raises:
        UserError: two records of one file differ in label or identity.
    """
    unique: dict[str, VideoRecord] = {}
    for record in records:
        first = unique.setdefault(record.key, record)
        if (first.label, first.identity) != (record.label, record.identity):
            raise UserError(
                f"the index lists {record.key} as {first.label.name.lower()} of {first.identity} and as "
                f"{record.label.name.lower()} of {record.identity}: remove the wrong row"
            )
    return list(unique.values())


def _fakeavceleb_record(row: dict[str, str], name_column: str, folder_column: str, where: str) -> VideoRecord:
    name, folder = row[name_column], row[folder_column]
    others = {column: cell for column, cell in row.items() if column not in (name_column, folder_column)}
    row = clean_texts(others, where)
    method, category, kind, source = row["method"], row["category"], row["type"], row["source"]
    if method not in FAKEAVCELEB_METHODS:
        raise UserError(f"{where}: unknown method {method!r}: {suggest(method, FAKEAVCELEB_METHODS)}")
    label = FAKEAVCELEB_METHODS[method]
    if FAKEAVCELEB_TYPES.get(category) != kind or kind.startswith("RealVideo-") != (label is Label.REAL):
        raise UserError(f"{where}: method {method} contradicts category {category!r} or type {kind!r}: correct the row")
    if not source or not name:
        raise UserError(f"{where}: the source or the file name is empty: correct the row")
    parts = as_key(folder, where).split("/")
    if parts[0].startswith("FakeAVCeleb"):
        del parts[0]
    targets = (row["target1"], row["target2"])
    return VideoRecord(
        path=as_key("/".join((*parts, name)), where),
        label=label,
        identity=source,
        # Other cells contain fragments of file names ("fake.mp4", "1.mp4"), video ids, numbers or "-".
        targets=tuple(target for target in targets if re.fullmatch(r"id\d+", target)),
        method=method,
        generator="" if label is Label.REAL else method,
        category=category,
        race=row["race"],
        gender=row["gender"],
        audio=kind.partition("-")[2],  # in the fakes, RealAudio is category C and FakeAudio category D
    )
