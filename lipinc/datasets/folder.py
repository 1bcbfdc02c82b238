"""Videos in a folder `real` and a folder `fake`."""

import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.records import UNKNOWN_GENERATOR, Label, VideoRecord, as_key
from lipinc.errors import UserError
from lipinc.video.video_files import walk_video_files

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
        visited: dict[tuple[int, int], str] = {}
        for label in Label:
            folder = Path(self.root) / label.name.lower()
            if not folder.is_dir():
                raise UserError(f"{folder} is no folder: data.root must hold a folder real and a folder fake")
            files = list(walk_video_files(folder, on_error=_refuse_folder, follow_links=True, visited=visited))
            if not files:
                raise UserError(f"{folder} holds no video: put files with a suffix such as .mp4 there")
            keys = sorted(as_key(file.relative_to(self.root).as_posix(), str(folder)) for file in files)
            records += [_folder_record(key, label) for key in keys]
        if all(record.key.count("/") == 1 for record in records):
            log.warning("%s has no sub-folders for people: every file name counts as a person of its own", self.root)
        return sorted(records, key=lambda record: record.key)


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
