"""From a cache and a config to the videos of each split."""

from collections.abc import Sequence

from lipinc.config import Config
from lipinc.data.cache import OK, Cache, ManifestRow, read_manifest
from lipinc.data.catalog import Label
from lipinc.data.splits import SPLITS, assign_splits
from lipinc.errors import UserError


def select(cache: Cache, config: Config, needed: Sequence[str] = SPLITS) -> tuple[list[ManifestRow], dict[str, str]]:
    """The manifest, and the split of each of its videos by key.

    Splits are assigned to all videos, refused ones included, so that they do not change with what extraction refuses.
    Raises UserError if the cache does not fit the config, or a split of `needed` has no clips of a
    class.
    """
    cache.check()
    cache.check_catalogue(config.data)
    manifest = read_manifest(cache.manifest_file)
    splits = assign_splits([row.record for row in manifest], config.split, needed)
    for split in needed:
        for label in Label:
            if not any(row.record.label == label for row in usable(manifest, splits, split)):
                raise UserError(
                    f"the {split} split has no {label.name.lower()} video with clips: see the reasons of refusal in "
                    f"{cache.manifest_file}, or give another --split.seed"
                )
    return manifest, splits


def usable(manifest: list[ManifestRow], splits: dict[str, str], split: str) -> list[ManifestRow]:
    """The videos of a split that have clips. Pseudo-fakes are for training alone: a score on them says nothing."""
    return [
        row
        for row in manifest
        if row.status == OK and splits[row.record.key] == split and (split == "train" or row.record.forgery is None)
    ]
