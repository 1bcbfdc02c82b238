"""CSV data set: any videos with a CSV index of paths, labels and, preferably, identities."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from lipinc.config.registry import suggest
from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.records import INDEX_COLUMNS, UNKNOWN_GENERATOR, Label, VideoRecord, as_key, clean_texts
from lipinc.errors import UserError
from lipinc.files.csv_table import read_table

log = logging.getLogger(__name__)

COLUMNS = ("path", "label", "identity", *INDEX_COLUMNS)
LABEL_NAMES = {"real": Label.REAL, "0": Label.REAL, "fake": Label.FAKE, "1": Label.FAKE}


@register_dataset("csv")
@dataclass(frozen=True)
class CsvIndex(Dataset):
    """Videos listed in a CSV, one per row.

    The columns path and label are required. Identity, generator, split, pair and the other columns of `VideoRecord` are
    optional.
    """

    index: str = ""
    """Path of the CSV; empty: <root>/index.csv."""
    columns: tuple[tuple[str, str], ...] = ()
    """Column mapping as pairs (our name, name in the file): (("path", "file"),), or {"path": "file"} in a config file,
    reads the path from the column "file". Columns that are not mapped keep their names."""

    def __post_init__(self) -> None:
        if isinstance(self.columns, dict):
            object.__setattr__(self, "columns", tuple(self.columns.items()))

    def index_file(self) -> Path:
        """See `Dataset.index_file`."""
        return Path(self.index or Path(self.root, "index.csv"))

    def load(self) -> list[VideoRecord]:
        """See `Dataset.load`. Records are in index order."""
        table = read_table(self.index_file())
        mapped = dict(self.columns)
        for ours in mapped:
            if ours not in COLUMNS:
                raise UserError(f"data.columns maps the unknown column {ours!r}: {suggest(ours, COLUMNS)}")
        columns = {ours: mapped.get(ours, ours) for ours in COLUMNS}
        table.require((columns["path"], columns["label"], *mapped.values()))
        present = {ours: theirs for ours, theirs in columns.items() if theirs in table.columns}
        if "identity" not in present:
            log.warning("%s has no identity column: every video is treated as a separate person", table.path)

        records: dict[str, tuple[int, VideoRecord]] = {}
        for number, row in table.rows:
            record = _csv_record({ours: row[theirs] for ours, theirs in present.items()}, table.where(number))
            first_number, first = records.setdefault(record.key, (number, record))
            if first != record:
                where = table.where(number)
                raise UserError(f"{where} contradicts row {first_number} for {record.key}: remove the wrong row")
        return _with_pairs([record for _, record in records.values()])


def _with_pairs(records: list[VideoRecord]) -> list[VideoRecord]:
    """Resolve `pair` to the key of a real video; the index may name it by path or by stem. Unknown pairs become ""."""
    reals = {record.path: record.path for record in records if record.label is Label.REAL}
    reals = {PurePosixPath(path).stem: path for path in reals} | reals
    return [replace(record, pair=reals.get(record.pair, "")) for record in records]


def _csv_record(row: dict[str, str], where: str) -> VideoRecord:
    key = as_key(row["path"], where)
    row = clean_texts(row, where)
    label = LABEL_NAMES.get(row["label"].lower())
    if label is None:
        raise UserError(f"{where}: the label {row['label']!r} must be one of {', '.join(LABEL_NAMES)}")
    identity = row.get("identity", key)
    if not identity:
        raise UserError(f"{where}: the identity is empty: name the person in every row, or remove the column")
    texts = {name: row.get(name, "") for name in INDEX_COLUMNS}
    if label is Label.REAL:
        texts |= {"generator": "", "pair": ""}
    else:
        texts["generator"] = texts["generator"] or texts["method"] or UNKNOWN_GENERATOR
    return VideoRecord(path=key, label=label, identity=identity, **texts)
