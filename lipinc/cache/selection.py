"""From a cache and a config to the videos of each split."""

from collections.abc import Sequence

from lipinc.cache.store import OK, Cache, ManifestRow, read_manifest
from lipinc.config import Config
from lipinc.datasets.records import Label, VideoRecord, nearest
from lipinc.datasets.splits import SPLITS, assign_splits
from lipinc.errors import UserError

ALL = ("all",)
"""`split.unseen` where no generator is trained on."""


def select(
    cache: Cache, config: Config, needed: Sequence[str] = SPLITS
) -> tuple[list[ManifestRow], dict[str, str], dict[str, list[ManifestRow]]]:
    """The manifest, the split of each of its videos by key, and of each split the videos that are used: those with
    clips, without the fakes that `split.unseen` leaves out of it.

    Splits are assigned to all videos, refused ones included, so that they do not change with what extraction refuses.
    Raises UserError if the cache does not fit the config, or a split of `needed` has no clips of a
    class.
    """
    cache.check()
    cache.check_catalogue(config.data)
    manifest = read_manifest(cache.manifest_file)
    unseen = config.split.unseen
    known = generators(manifest)
    for name in unseen:
        if unseen != ALL and name not in known:
            raise UserError(f"split.unseen names {name!r}, which made no fake of this data set: {nearest(name, known)}")
    if known and set(known) <= set(unseen):
        unseen = ALL
    splits = assign_splits([row.record for row in manifest], config.split, needed)
    rows: dict[str, list[ManifestRow]] = {split: [] for split in SPLITS}
    for row in manifest:
        split = splits[row.record.key]
        if row.status == OK and split in SPLITS and _belongs(row.record, split, unseen):
            rows[split].append(row)
    for split in needed:
        for label in Label:
            if not any(row.record.label == label for row in rows[split]):
                raise UserError(
                    f"the {split} split has no {label.name.lower()} video with clips: see the reasons of refusal in "
                    f"{cache.manifest_file}, or give another --split.seed"
                )
    return manifest, splits, rows


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
