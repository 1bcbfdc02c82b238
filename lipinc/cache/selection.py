"""Video selection: the cached videos of each split."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from lipinc.cache.manifest import OK, ManifestRow, read_manifest
from lipinc.cache.store import Cache
from lipinc.config import DataConfig, SplitConfig
from lipinc.config.registry import suggest
from lipinc.datasets.records import Label, VideoRecord
from lipinc.datasets.splits import SPLITS, assign_splits
from lipinc.errors import UserError

log = logging.getLogger(__name__)

ALL = ("all",)
"""Value of `split.unseen` that holds out every generator."""


@dataclass(frozen=True)
class Selection:
    """The videos of a cache, by split."""

    manifest: list[ManifestRow]
    """All videos, including rejected ones."""
    splits: dict[str, str]
    """Key -> split. Includes rejected videos, so that the splits do not depend on extraction."""
    rows: dict[str, list[ManifestRow]]
    """Split -> the videos to use: those with clips, without fakes excluded by `split.unseen`."""
    refused: list[ManifestRow]
    """The videos of the test split that would be used if they had clips (`ManifestRow.refused`)."""


def select(
    cache: Cache,
    data: DataConfig,
    split: SplitConfig,
    needed: Sequence[str] = SPLITS,
    *,
    both_classes: bool = True,
) -> Selection:
    """Select the videos of each split.

    Args:
        cache: the cache.
        data: the data set that the cache must belong to.
        split: the split settings.
        needed: splits that must contain clips.
        both_classes: whether they must contain clips of real and of fake videos, as training needs.

    Raises:
        UserError: the cache does not match the data set, or a split of `needed` lacks clips.
    """
    cache.check()
    cache.check_catalogue(data)
    manifest = read_manifest(cache.manifest_file)
    unseen = split.unseen
    known = generators(manifest)
    for name in unseen:
        if unseen != ALL and name not in known:
            raise UserError(f"split.unseen: the data set has no generator {name!r}: {suggest(name, known)}")
    # No error: configs/mouth_noise.py names generators that not every data set has.
    if absent := [name for name in data.other_kinds if name not in known]:
        log.warning("data.other_kinds: the data set has no generator %s", ", ".join(absent))
    conditions = dict.fromkeys(row.record.condition for row in manifest)
    for name in split.train_conditions:
        if name not in conditions:
            raise UserError(f"split.train_conditions: the cache has no condition {name!r}: {suggest(name, conditions)}")
    if known and set(known) <= set(unseen):
        unseen = ALL
    splits = assign_splits([row.record for row in manifest], split, needed, both_classes=both_classes)
    rows: dict[str, list[ManifestRow]] = {name: [] for name in SPLITS}
    refused = []
    for row in manifest:
        name = splits[row.record.key]
        if name != "test" and row.record.generator in data.other_kinds:
            continue
        if name not in SPLITS or not _belongs(row.record, name, unseen, split.train_conditions):
            continue
        if row.status == OK:
            rows[name].append(row)
        elif name == "test" and row.refused:
            refused.append(row)
    for name in needed:
        for label in Label if both_classes or not rows[name] else ():
            if not any(row.record.label == label for row in rows[name]):
                raise UserError(
                    f"the {name} split has no {label.name.lower()} video with clips: see the rejection reasons in "
                    f"{cache.manifest_file}, or try another --split.seed"
                )
    return Selection(manifest, splits, rows, refused)


def generators(manifest: Sequence[ManifestRow]) -> list[str]:
    """Return the names of the generators in a data set, without pseudo-fakes."""
    fakes = (row.record for row in manifest if row.record.label is Label.FAKE and row.record.forgery is None)
    return sorted({record.generator for record in fakes})


def _belongs(record: VideoRecord, split: str, unseen: tuple[str, ...], train_conditions: tuple[str, ...]) -> bool:
    """Return whether a video is used in its split.

    Pseudo-fakes are used for training only, because metrics on them do not transfer to other fakes. They are used for
    validation only if every generator is held out.
    """
    if train_conditions and split != "test" and record.condition not in train_conditions:
        return False
    if record.label is Label.REAL:
        return True
    if record.forgery is not None:
        return split == "train" or (split == "validation" and unseen == ALL)
    if not unseen:
        return True
    return (unseen == ALL or record.generator in unseen) == (split == "test")
