"""Data set base class and registration, and the functions that apply to the videos of every data set."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import TypeVar

from lipinc.config import DataConfig
from lipinc.config.registry import DATASETS, source_file, suggest
from lipinc.datasets.disk_names import DiskNames, portable
from lipinc.datasets.records import Label, VideoRecord
from lipinc.datasets.splits import SPLITS, split_name
from lipinc.errors import UserError
from lipinc.synthesis.perturbations import RAW, expand_conditions

Kind = TypeVar("Kind", bound=type)


@dataclass(frozen=True)
class Dataset(DataConfig):
    """Base class of all data sets: a dataclass whose fields are the options.

    To add a data set, write a subclass in a separate file and register it: see docs/extending.md.
    """

    def load(self) -> list[VideoRecord]:
        """Return one record per video: a file, or a folder of frames. Reads the index only, not the videos.

        Raises:
            UserError: the index cannot be read or contradicts itself.
        """
        raise NotImplementedError

    def index_file(self) -> Path | None:
        """Return the index file, so that a cache older than its index is detected; None if there is no index file."""
        return None

    def validate(self) -> list[str]:
        """See `DataConfig.validate`."""
        problems = [
            f"data.splits: unknown split {name!r}: {suggest(name, SPLITS)}"
            for name in self.splits
            if name not in SPLITS
        ]
        try:
            expand_conditions(self.conditions)
        except ValueError as error:
            problems.append(f"data.conditions: {error}")
        return problems


def register_dataset(name: str) -> Callable[[Kind], Kind]:
    """Class decorator that registers a data set for `--data.kind NAME`.

    Raises:
        UserError: the class is not a valid data set.
    """

    def register(kind: Kind) -> Kind:
        where = f"{source_file(kind)}: the data set {name!r}"
        if not (isinstance(kind, type) and issubclass(kind, Dataset) and is_dataclass(kind)):
            raise UserError(f"{where} must be a dataclass derived from lipinc.datasets.Dataset")
        if kind.load is Dataset.load:
            raise UserError(f"{where} must define load(self) -> list[VideoRecord]")
        kind.kind = name
        DATASETS.add(name, kind)
        return kind

    return register


def load_videos(data: DataConfig) -> list[VideoRecord]:
    """Load the videos of a data set, each followed by its pseudo-fakes and conditions.

    Returns:
        One record per video and version, as `data.forgeries` and `data.conditions` request.

    Raises:
        UserError: the index cannot be read, contradicts itself, lists no videos, or lists two videos that would share
            one cache file.
    """
    records = data.load()
    if not (isinstance(records, list) and all(isinstance(record, VideoRecord) for record in records)):
        found = type(records[0] if isinstance(records, list) else records).__name__
        raise UserError(f"load() of the data set {data.kind!r} must return a list of VideoRecord, not of {found}")
    records = _as_on_disk(_of_splits(records, data), data.root)
    if not records:
        raise UserError(f"{data.index_file() or data.root} lists no usable video: check data.root and data.index")
    conditions = (RAW, *expand_conditions(data.conditions))
    versions = [
        replace(version, condition=condition)
        for record in records
        for version in (record, *map(record.forged, range(data.forgeries if record.label is Label.REAL else 0)))
        for condition in conditions
    ]
    _check_keys(versions)
    return versions


def _of_splits(records: list[VideoRecord], data: DataConfig) -> list[VideoRecord]:
    """Return the videos of the splits that `data.splits` names."""
    if not data.splits:
        return records
    if records and not any(record.split for record in records):
        raise UserError(f"data.splits: {data.index_file() or data.root} names no splits; leave the option out")
    chosen = [record for record in records if split_name(record.split, record.key) in data.splits]
    if records and not chosen:
        raise UserError(f"data.splits: {data.index_file() or data.root} has no video in {' or '.join(data.splits)}")
    return chosen


def _as_on_disk(records: list[VideoRecord], root: str) -> list[VideoRecord]:
    """Spell the paths as on disk, where Unicode form or case differ from the index."""
    names = DiskNames(root)
    renamed = {record.path: names.find(record.path) for record in records}
    if all(path == name for path, name in renamed.items()):
        return records
    return [
        replace(record, path=renamed[record.path], pair=renamed.get(record.pair, record.pair)) for record in records
    ]


def _check_keys(records: Iterable[VideoRecord]) -> None:
    """Raise UserError if two keys collide on file systems that ignore case or Unicode normalisation."""
    firsts: dict[str, VideoRecord] = {}
    for record in records:
        first = firsts.setdefault(portable(record.key), record)
        if first is not record:
            raise UserError(f"{first.key} and {record.key} would be one file on some file systems: rename one")


def check_present(records: Iterable[VideoRecord], data: DataConfig) -> set[str]:
    """Return the keys of the records without a file or folder below the data set root.

    Raises:
        UserError: the fraction of missing files exceeds `data.max_missing`, which indicates a wrong root.
    """
    records = list(records)
    missing = [record for record in records if not is_present(os.path.join(data.root, record.path))]
    if len(missing) > data.max_missing * len(records):
        first, found = missing[0].path, _folder_with(missing[0].path, data.root)
        raise UserError(
            f"{len(missing)} of {len(records)} videos are missing, the first is {os.path.join(data.root, first)}: set "
            f"data.root, now {data.root}, to the folder that the paths in the index are relative to"
            + (f" ({first} exists in {found}: --data.root {found})" if found else ", or increase data.max_missing")
        )
    return {record.key for record in missing}


def is_present(video: str | os.PathLike) -> bool:
    """Whether there is a file, or a folder of frames; anything else, such as a pipe, cannot be a video."""
    return os.path.isfile(video) or os.path.isdir(video)


def _folder_with(path: str, root: str) -> Path | None:
    """Return a folder near the root, or the current folder, that a path is relative to; None if there is none."""
    below = sorted(Path(root).glob("*/")) if os.path.isdir(root) else []
    return next((folder for folder in (*below, Path(root).parent, Path()) if is_present(folder / path)), None)
