"""Videos in a folder `real` and a folder `fake`."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lipinc.datasets.dataset import VIDEO_SUFFIXES, Dataset, register_dataset
from lipinc.datasets.records import UNKNOWN_GENERATOR, Label, VideoRecord, as_key
from lipinc.errors import UserError

log = logging.getLogger(__name__)


@register_dataset("folder")
@dataclass(frozen=True)
class Folder(Dataset):
    """<root>/real and <root>/fake, searched to any depth and through links; hidden files are left out.

    The first sub-folder below real/ or fake/ is the identity, so fake/<generator>/... would read as one person. A video
    without such a sub-folder is a person of its own, named by its stem: real/ann.mp4 and fake/ann.mp4 are one.
    """

    def load(self) -> list[VideoRecord]:
        """As `Dataset.load`, sorted by key."""
        records: list[VideoRecord] = []
        seen: dict[tuple[int, int], str] = {}
        for label in Label:
            folder = Path(self.root) / label.name.lower()
            if not folder.is_dir():
                raise UserError(f"{folder} is no folder: data.root must hold a folder real and a folder fake")
            files = [
                Path(parent, name)
                for parent, names in _walk(folder, seen)
                for name in names
                if Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")
            ]
            if not files:
                raise UserError(f"{folder} holds no video: put files with a suffix such as .mp4 there")
            keys = sorted(as_key(file.relative_to(self.root).as_posix(), str(folder)) for file in files)
            records += [_folder_record(key, label) for key in keys]
        if all(record.key.count("/") == 1 for record in records):
            log.warning("%s has no sub-folders for people: every file name counts as a person of its own", self.root)
        return sorted(records, key=lambda record: record.key)


def _walk(folder: Path, seen: dict[tuple[int, int], str]) -> Iterator[tuple[str, list[str]]]:
    """Each folder below and the names of its files. seen: folders met so far.

    A folder that links show twice would never end if it held itself, and make two people of one if not."""
    for parent, _, names in os.walk(folder, onerror=_refuse_folder, followlinks=True):
        about = os.stat(parent)
        first = seen.setdefault((about.st_dev, about.st_ino), parent)
        if first != parent:
            raise UserError(f"{parent} and {first} are one folder: take the link away")
        yield parent, names


def _refuse_folder(error: OSError) -> None:
    raise UserError(f"cannot list {error.filename} ({error.strerror}): make it readable or take it away")


def _folder_record(key: str, label: Label) -> VideoRecord:
    _, first, *deeper = key.split("/")
    return VideoRecord(
        path=key,
        label=label,
        identity=first if deeper else PurePosixPath(first).stem,
        generator="" if label is Label.REAL else UNKNOWN_GENERATOR,
    )
