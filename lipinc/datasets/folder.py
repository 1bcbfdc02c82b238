"""Folder data set: videos in the folders `real` and `fake`."""

import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.records import UNKNOWN_GENERATOR, Label, VideoRecord, as_key
from lipinc.errors import UserError
from lipinc.video.video_files import VIDEO_SUFFIXES, walk_video_files

log = logging.getLogger(__name__)


@register_dataset("folder")
@dataclass(frozen=True)
class Folder(Dataset):
    """Videos below <root>/real and <root>/fake, at any depth. Links are followed; hidden files are ignored.

    A video is a file, or a folder of numbered pictures (lipinc/video/frame_folders.py).

    The first sub-folder below real/ or fake/ is the identity; a layout fake/<generator>/... would therefore be read as
    one person. Without sub-folders the file stem is the identity: real/ann.mp4 and fake/ann.mp4 show the same person.
    """

    def load(self) -> list[VideoRecord]:
        """See `Dataset.load`. Records are sorted by key."""
        records: list[VideoRecord] = []
        visited: dict[tuple[int, int], str] = {}
        for label in Label:
            folder = Path(self.root) / label.name.lower()
            if not folder.is_dir():
                raise UserError(f"{folder} is not a folder: data.root must contain the folders real and fake")
            files = list(walk_video_files(folder, on_error=_raise_unreadable, follow_links=True, visited=visited))
            if folder in files:
                raise UserError(
                    f"{folder} contains pictures itself: put the frames of each video into a folder of its own"
                )
            if not files:
                raise UserError(f"{folder} contains no videos: add files with a suffix such as .mp4")
            keys = sorted(as_key(file.relative_to(self.root).as_posix(), str(folder)) for file in files)
            records += [_folder_record(key, label) for key in keys]
        if all(record.key.count("/") == 1 for record in records):
            log.warning("%s has no sub-folders per person: every file name is treated as a separate person", self.root)
        return sorted(records, key=lambda record: record.key)


def _raise_unreadable(error: OSError) -> None:
    raise UserError(f"cannot list {error.filename} ({error.strerror}): make it readable or remove it")


def _without_suffix(name: str) -> str:
    """Remove a video suffix; the dots in the name of a folder of frames stay."""
    return PurePosixPath(name).stem if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES else name


def _folder_record(key: str, label: Label) -> VideoRecord:
    _, first, *deeper = key.split("/")
    return VideoRecord(
        path=key,
        label=label,
        identity=first if deeper else _without_suffix(first),
        generator="" if label is Label.REAL else UNKNOWN_GENERATOR,
    )
