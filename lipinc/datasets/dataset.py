"""What a data set is: options, and `load()`; and what is done with the videos of any of them."""

import os
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import TypeVar

from lipinc.config import DataConfig
from lipinc.config.registry import DATASETS, source_file
from lipinc.datasets.records import Label, VideoRecord
from lipinc.errors import UserError
from lipinc.synthesis.perturbations import RAW, expand_conditions

Kind = TypeVar("Kind", bound=type)


@dataclass(frozen=True)
class Dataset(DataConfig):
    """Base of all data sets: a dataclass whose fields are its options.

    To add one, write a subclass in a file of its own and register it: see docs/extending.md.
    """

    def load(self) -> list[VideoRecord]:
        """One record for each video file of the data set. Reads the index, no video file.

        Raises UserError on an index that cannot be read or contradicts itself.
        """
        raise NotImplementedError

    def index_file(self) -> Path | None:
        """The file that lists the videos, so that a cache older than its index is noticed; None where there is none."""
        return None

    def validate(self) -> list[str]:
        """As `DataConfig.validate`."""
        try:
            expand_conditions(self.conditions)
        except ValueError as error:
            return [f"data.conditions: {error}"]
        return []


def register_dataset(name: str) -> Callable[[Kind], Kind]:
    """Class decorator: the data set that `--data.kind NAME` chooses. Raises UserError on a class that is none."""

    def register(kind: Kind) -> Kind:
        where = f"{source_file(kind)}: the data set {name!r}"
        if not (isinstance(kind, type) and issubclass(kind, Dataset) and is_dataclass(kind)):
            raise UserError(f"{where} must be a dataclass that derives from lipinc.datasets.Dataset")
        if kind.load is Dataset.load:
            raise UserError(f"{where} lacks load(self) -> list[VideoRecord]")
        kind.kind = name
        DATASETS.add(name, kind)
        return kind

    return register


def load_videos(data: DataConfig) -> list[VideoRecord]:
    """The videos of a data set, each followed by the versions of it that `forgeries` and `conditions` ask for.

    Raises UserError on an index that cannot be read, contradicts itself, names no video, or names two whose clips would
    be one file of the cache.
    """
    records = data.load()
    if not (isinstance(records, list) and all(isinstance(record, VideoRecord) for record in records)):
        found = type(records[0] if isinstance(records, list) else records).__name__
        raise UserError(f"load() of the data set {data.kind!r} must return a list of VideoRecord, not of {found}")
    if not records:
        raise UserError(f"{data.index_file() or data.root} names no video to take: check data.root and data.index")
    conditions = (RAW, *expand_conditions(data.conditions))
    versions = [
        replace(version, condition=condition)
        for record in records
        for version in (record, *map(record.forged, range(data.forgeries if record.label is Label.REAL else 0)))
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


def check_present(records: Iterable[VideoRecord], data: DataConfig) -> set[str]:
    """Keys of the records whose file is not below the dataset root.

    Raises UserError when they are more than `data.max_missing` of all: a wrong root, not a few lost files.
    """
    records = list(records)
    missing = [record.key for record in records if not os.path.isfile(os.path.join(data.root, record.path))]
    if len(missing) > data.max_missing * len(records):
        first = os.path.join(data.root, next(record.path for record in records if record.key in set(missing)))
        raise UserError(
            f"{len(missing)} of {len(records)} videos are missing, the first is {first}: set data.root, now "
            f"{data.root}, to the folder where the index's paths start, or raise data.max_missing"
        )
    return set(missing)
