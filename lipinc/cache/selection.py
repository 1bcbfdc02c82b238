"""From a cache and the settings of the split to the videos of each split."""

from collections.abc import Sequence
from dataclasses import dataclass

from lipinc.cache.manifest import OK, ManifestRow, read_manifest
from lipinc.cache.store import Cache
from lipinc.config import DataConfig, SplitConfig
from lipinc.config.registry import suggest
from lipinc.datasets.records import Label, VideoRecord
from lipinc.datasets.splits import SPLITS, assign_splits
from lipinc.errors import UserError

ALL = ("all",)
"""`split.unseen` where every generator is held out."""


@dataclass(frozen=True)
class Selection:
    """The videos of a cache by split."""

    manifest: list[ManifestRow]
    """All of them, rejected ones included."""
    splits: dict[str, str]
    """Key -> split: rejected videos have one too, so that splits do not change with what extraction rejects."""
    rows: dict[str, list[ManifestRow]]
    """Split -> the videos that are used: those with clips, without the fakes that `split.unseen` holds out."""


def select(cache: Cache, data: DataConfig, split: SplitConfig, needed: Sequence[str] = SPLITS) -> Selection:
    """The videos of each split.

    Raises UserError if the cache does not fit the data set, or if a split of `needed` has no clips of a class.
    """
    cache.check()
    cache.check_catalogue(data)
    manifest = read_manifest(cache.manifest_file)
    unseen = split.unseen
    known = generators(manifest)
    for name in unseen:
        if unseen != ALL and name not in known:
            raise UserError(f"split.unseen names {name!r}, which made no fake of this data set: {suggest(name, known)}")
    if known and set(known) <= set(unseen):
        unseen = ALL
    splits = assign_splits([row.record for row in manifest], split, needed)
    rows: dict[str, list[ManifestRow]] = {name: [] for name in SPLITS}
    for row in manifest:
        name = splits[row.record.key]
        if row.status == OK and name in SPLITS and _belongs(row.record, name, unseen):
            rows[name].append(row)
    for name in needed:
        for label in Label:
            if not any(row.record.label == label for row in rows[name]):
                raise UserError(
                    f"the {name} split has no {label.name.lower()} video with clips: see the reasons of refusal in "
                    f"{cache.manifest_file}, or give another --split.seed"
                )
    return Selection(manifest, splits, rows)


def generators(manifest: Sequence[ManifestRow]) -> list[str]:
    """Who made the fakes of a data set; pseudo-fakes do not count."""
    fakes = (row.record for row in manifest if row.record.label is Label.FAKE and row.record.forgery is None)
    return sorted({record.generator for record in fakes})


def _belongs(record: VideoRecord, split: str, unseen: tuple[str, ...]) -> bool:
    """Pseudo-fakes are for training alone, since a score on them says nothing of real ones; they validate where there
    is nothing else to validate with."""
    if record.label is Label.REAL:
        return True
    if record.forgery is not None:
        return split == "train" or (split == "validation" and unseen == ALL)
    if not unseen:
        return True
    return (unseen == ALL or record.generator in unseen) == (split == "test")
