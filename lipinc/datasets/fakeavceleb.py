"""FakeAVCeleb v1.2: videos of celebrities with lip-syncs and face swaps of them, by its meta_data.csv.

Source: Khalid et al., FakeAVCeleb, NeurIPS Datasets and Benchmarks 2021. The data set is given out on request only.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lipinc.config.registry import suggest
from lipinc.datasets.dataset import Dataset, register_dataset
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


@register_dataset("fakeavceleb")
@dataclass(frozen=True)
class FakeAVCeleb(Dataset):
    """FakeAVCeleb, or a data set in its layout."""

    root: str = "data/FakeAVCeleb_v1.2"
    """The folder that holds meta_data.csv and RealVideo-RealAudio/."""
    index: str = ""
    """Its index; empty: <root>/meta_data.csv."""
    fake_methods: tuple[str, ...] = ("wav2lip",)
    """Methods that count as lip-sync fakes. Rows of the other fake methods are left out."""
    include_rtvc: bool = False
    """Also take category B (rtvc), whose video is real and whose audio is cloned. Kept: 500 more real videos, for
    measuring false accusations."""

    def index_file(self) -> Path:
        """As `Dataset.index_file`."""
        return Path(self.index or Path(self.root, "meta_data.csv"))

    def load(self) -> list[VideoRecord]:
        """As `Dataset.load`, in index order; each fake's `pair` is the real video of its source."""
        fakes = [method for method, label in FAKEAVCELEB_METHODS.items() if label is Label.FAKE]
        for method in self.fake_methods:
            if method not in fakes:
                raise UserError(
                    f"data.fake_methods names {method!r}, which is no fake method: {suggest(method, fakes)}"
                )
        taken = {"real", *self.fake_methods} | ({"rtvc"} if self.include_rtvc else set())
        # Taking before de-duplicating keeps, of a file listed under two methods, the row whose method counts.
        rows = read_fakeavceleb_index(self.index_file())
        records = unique_files(record for record in rows if record.method in taken)
        reals = {record.identity: record.key for record in records if record.method == "real"}
        return [
            replace(record, pair=reals.get(record.identity, "")) if record.label is Label.FAKE else record
            for record in records
        ]


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


def _fakeavceleb_record(row: dict[str, str], name_column: str, folder_column: str, where: str) -> VideoRecord:
    name, folder = row[name_column], row[folder_column]
    others = {column: cell for column, cell in row.items() if column not in (name_column, folder_column)}
    row = clean_texts(others, where)
    method, category, kind, source = row["method"], row["category"], row["type"], row["source"]
    if method not in FAKEAVCELEB_METHODS:
        raise UserError(f"{where}: unknown method {method!r}: {suggest(method, FAKEAVCELEB_METHODS)}")
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
        generator="" if label is Label.REAL else method,
        category=category,
        race=row["race"],
        gender=row["gender"],
    )
