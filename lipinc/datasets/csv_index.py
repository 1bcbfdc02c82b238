"""CSV data set: any videos with a CSV index of paths, labels and, preferably, identities."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from lipinc.config.registry import suggest
from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.index_file import read_index
from lipinc.datasets.labels import HINT, NUMBERS, label_by_name, label_in_words, label_problems, label_value, read_label
from lipinc.datasets.records import (
    GROUP_COLUMNS,
    INDEX_COLUMNS,
    UNKNOWN_GENERATOR,
    Label,
    VideoRecord,
    as_key,
    clean_texts,
    nfc,
    parse_periods,
)
from lipinc.errors import UserError
from lipinc.files.csv_table import Table

log = logging.getLogger(__name__)

COLUMNS = ("path", "label", "identity", *INDEX_COLUMNS)
REQUIRED = ("path", "label")


@register_dataset("csv")
@dataclass(frozen=True)
class CsvIndex(Dataset):
    """Videos listed in a CSV, one per row; a list of labels and paths, or DFDC's metadata.json, is read as well.

    The columns path and label are required. Identity, generator, split, pair and the other columns of `VideoRecord` are
    optional. Their names may be in any case. Paths are relative to the root, or absolute and below it.
    """

    index: str = ""
    """Path of the CSV; empty: <root>/index.csv."""
    columns: tuple[tuple[str, str], ...] = ()
    """Column mapping as pairs (our name, name in the file): (("path", "file"),), or {"path": "file"} in a config file,
    reads the path from the column "file". Columns that are not mapped keep their names. A mapped column that is not
    there is an error, but for columns that metrics are broken down by: these are then unknown."""
    labels: tuple[str, ...] = ()
    """What the values of the label column mean: real=1 fake=0 (Celeb-DF), or real=original fake=Deepfakes
    fake=FaceSwap. Empty: real or 0 is real, fake or 1 is fake."""

    def __post_init__(self) -> None:
        if isinstance(self.columns, dict):
            object.__setattr__(self, "columns", tuple(self.columns.items()))

    def validate(self) -> list[str]:
        """See `DataConfig.validate`."""
        return [*super().validate(), *label_problems(self.labels)]

    def index_file(self) -> Path:
        """See `Dataset.index_file`."""
        return Path(self.index or Path(self.root, "index.csv"))

    def load(self) -> list[VideoRecord]:
        """See `Dataset.load`. Records are in index order."""
        mapped = dict(self.columns)
        for ours in mapped:
            if ours not in COLUMNS:
                raise UserError(f"data.columns maps the unknown column {ours!r}: {suggest(ours, COLUMNS)}")
        columns = {ours: mapped.get(ours, ours) for ours in COLUMNS}
        table, has_header = read_index(self.index_file(), columns.values())
        if has_header:
            _require(table, _without_unknown_groups(table, mapped))
        else:
            columns = {ours: ours for ours in COLUMNS}
        return self.records(table, {ours: theirs for ours, theirs in columns.items() if theirs in table.columns})

    def records(self, table: Table, present: Mapping[str, str]) -> list[VideoRecord]:
        """Return the records of a table, in its order.

        Args:
            table: the index.
            present: our name of a column -> its name in the table; path and label are required.

        Raises:
            UserError: a cell is invalid, or two rows contradict each other.
        """
        labels = label_by_name(self.labels, present["label"])
        if not self.labels:
            _check_numbers(table, present, labels)

        records: dict[str, tuple[int, VideoRecord]] = {}
        for number, row in table.rows:
            where = table.where(number)
            record = self._record({ours: row[theirs] for ours, theirs in present.items()}, labels, where)
            first_number, first = records.setdefault(record.key, (number, record))
            if first != record:
                raise UserError(f"{where} contradicts row {first_number} for {record.key}: remove the wrong row")
        found = self._with_pairs([record for _, record in records.values()])
        if "identity" in present:
            return found
        log.warning(
            "%s has no identity column: every video%s is treated as a separate person",
            table.path,
            " with the fakes made from it" if any(record.pair for record in found) else "",
        )
        return [replace(record, identity=record.pair or record.identity) for record in found]

    def _record(self, row: dict[str, str], labels: Mapping[str, Label], where: str) -> VideoRecord:
        key = as_key(row["path"], where, self.root)
        row = clean_texts(row, where)
        label = read_label(row["label"], labels, where)
        identity = row.get("identity", key)
        if not identity:
            raise UserError(f"{where}: the identity is empty: name the person in every row, or remove the column")
        texts = {name: row.get(name, "") for name in INDEX_COLUMNS}
        _check_periods(texts["fake_periods"], label, where)
        if label is Label.REAL:
            texts |= {"generator": "", "pair": ""}
        else:
            texts["generator"] = texts["generator"] or texts["method"] or UNKNOWN_GENERATOR
        return VideoRecord(path=key, label=label, identity=identity, **texts)

    def _with_pairs(self, records: list[VideoRecord]) -> list[VideoRecord]:
        """Resolve `pair` to the key of a real video; the index may name it by path or by stem. Unknown pairs become
        ""."""
        reals = {nfc(record.path): record.path for record in records if record.label is Label.REAL}
        reals = {PurePosixPath(path).stem: own for path, own in reals.items()} | reals
        return [replace(record, pair=self._real(record.pair, reals)) for record in records]

    def _real(self, pair: str, reals: Mapping[str, str]) -> str:
        if pair.startswith("/"):
            pair = as_key(pair, "pair", self.root)
        return reals.get(nfc(pair), "")


def _check_periods(text: str, label: Label, where: str) -> None:
    """Raise UserError if the forged periods of a row are malformed, or if the video is real."""
    try:
        periods = parse_periods(text)
    except ValueError as error:
        raise UserError(f"{where}: fake_periods: {error}; several are separated by spaces") from None
    if periods and label is Label.REAL:
        raise UserError(f"{where}: the label is real, but fake_periods is {text!r}: correct the row")


def _without_unknown_groups(table: Table, mapped: Mapping[str, str]) -> dict[str, str]:
    """Leave out mapped columns for groups that are absent, such as the source of each video; a warning names them."""
    kept = {}
    for ours, theirs in mapped.items():
        if ours in GROUP_COLUMNS and theirs not in table.columns:
            log.warning("%s has no column %s: %s is unknown", table.path, theirs, ours)
        else:
            kept[ours] = theirs
    return kept


def _require(table: Table, mapped: Mapping[str, str]) -> None:
    """Raise UserError if a required or a mapped column is missing; the message shows how to map the columns."""
    absent = [ours for ours in dict.fromkeys((*REQUIRED, *mapped)) if mapped.get(ours, ours) not in table.columns]
    if not absent:
        return
    names = {ours: theirs for ours, theirs in mapped.items() if theirs in table.columns}
    names |= {ours: ours if ours in table.columns else "NAME" for ours in absent if ours in (*REQUIRED, *table.columns)}
    flags = " ".join(f"{ours} {theirs}" for ours, theirs in names.items())
    try:
        table.require(mapped.get(ours, ours) for ours in absent)
    except UserError as error:
        raise UserError(f"{error}; say which column is which: --data.columns {flags}") from None


def _check_numbers(table: Table, present: Mapping[str, str], labels: Mapping[str, Label]) -> None:
    """Raise UserError if numbers in the label column contradict the words in the paths: "1 YouTube-real/00170.mp4"."""
    agree, contradict = 0, []
    for number, row in table.rows:
        value, words = label_value(row[present["label"]]), label_in_words(row[present["path"]])
        if value in NUMBERS and words is not None:
            agree += labels[value] is words
            contradict += [(number, row)] if labels[value] is not words else []
    if len(contradict) > agree:
        number, row = contradict[0]
        value = label_value(row[present["label"]])
        raise UserError(
            f"{table.where(number)}: the label {value} means {labels[value].name.lower()}, but the path is "
            f"{row[present['path']]!r}: if 1 is real, give {HINT}; if 1 is fake, give --data.labels real=0 fake=1"
        )
