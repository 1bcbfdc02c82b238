"""Folder data set: videos in the folders `real` and `fake`."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.labels import given_labels, label_in_words, label_problems, label_value
from lipinc.datasets.layout import list_folders, list_videos
from lipinc.datasets.records import UNKNOWN_GENERATOR, Label, VideoRecord, as_key, nfc
from lipinc.errors import UserError
from lipinc.video.video_files import VIDEO_SUFFIXES

log = logging.getLogger(__name__)


@register_dataset("folder")
@dataclass(frozen=True)
class Folder(Dataset):
    """Videos below <root>/real and <root>/fake, at any depth. Links are followed; hidden files are ignored.

    Names such as Real, 0_real, original or Celeb-synthesis are recognised, also one folder below the root. One of the
    two classes may be absent: real videos alone can be evaluated. A video is a file, or a folder of numbered pictures
    (lipinc/video/frame_folders.py).

    The first sub-folder below real/ or fake/ is the identity; a layout fake/<generator>/... would therefore be read as
    one person. Without sub-folders the file stem is the identity: real/ann.mp4 and fake/ann.mp4 show the same person.
    """

    labels: tuple[str, ...] = ()
    """What the names of the folders mean: real=genuine fake=swapped fake=reenacted. Empty: by the words in them."""

    def validate(self) -> list[str]:
        """See `DataConfig.validate`."""
        return [*super().validate(), *label_problems(self.labels)]

    def load(self) -> list[VideoRecord]:
        """See `Dataset.load`. Records are sorted by key."""
        records: list[VideoRecord] = []
        visited: dict[tuple[int, int], str] = {}
        for folder, label in self._label_folders().items():
            files = list_videos(folder, visited)
            if folder in files:
                raise UserError(
                    f"{folder} contains pictures itself: put the frames of each video into a folder of its own"
                )
            if not files:
                raise UserError(f"{folder} contains no videos: add files with a suffix such as .mp4")
            records += [self._record(file, folder, label) for file in files]
        for label in set(Label) - {record.label for record in records}:
            log.warning("%s has no folder of %s videos", self.root, label.name.lower())
        if all(_without_suffix(PurePosixPath(record.path).name) == record.identity for record in records):
            log.warning("%s has no sub-folders per person: every file name is treated as a separate person", self.root)
        return sorted(records, key=lambda record: record.key)

    def _label_folders(self) -> dict[Path, Label]:
        """Return folder -> label, for the folders of the root; if it has none, for those of its only sub-folder that
        has any."""
        found = self._labelled(Path(self.root))
        if not found:
            nested = [inner for folder in list_folders(Path(self.root)) if (inner := self._labelled(folder))]
            if len(nested) != 1:
                raise UserError(
                    f"{self.root} contains no folder real or fake: move the videos into folders with these names, or "
                    "name yours with --data.labels real=FOLDER fake=FOLDER"
                )
            found = nested[0]
        return found

    def _labelled(self, parent: Path) -> dict[Path, Label]:
        """Return folder -> label: by `labels`, else by the names real and fake, else by the words in the names."""
        given, folders = given_labels(self.labels), list_folders(parent)
        others = [folder for folder in folders if label_value(folder.name) not in given]
        found: dict[Path, Label] = {}
        for label in Label:
            if label in given.values():
                chosen = [folder for folder in folders if given.get(label_value(folder.name)) is label]
            else:
                chosen = [folder for folder in others if folder.name.lower() == label.name.lower()]
                chosen = chosen or [folder for folder in others if label_in_words(folder.name) is label]
            found |= dict.fromkeys(chosen, label)
        return found

    def _record(self, file: Path, folder: Path, label: Label) -> VideoRecord:
        key = as_key(file.relative_to(self.root).as_posix(), str(folder))
        if re.search(r"/(raw|c0|c23|c40)/videos/", key):
            raise UserError(
                f"{Path(self.root, key)} is in FaceForensics++'s layout, whose folders do not name people: give "
                "--data.kind faceforensics"
            )
        first, *deeper = file.relative_to(folder).parts
        return VideoRecord(
            path=key,
            label=label,
            identity=nfc(first if deeper else _without_suffix(first)),
            generator="" if label is Label.REAL else UNKNOWN_GENERATOR,
        )


def _without_suffix(name: str) -> str:
    """Remove a video suffix; the dots in the name of a folder of frames stay."""
    return PurePosixPath(name).stem if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES else name
