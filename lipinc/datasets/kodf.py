"""KoDF: Korean speakers; by default its lip-sync part, called audio-driven.

Source: Kwon et al., KoDF, ICCV 2021; folders and names as public loaders of the release read them. Not checked: the
folders of AI-Hub's own download, and the meaning of the parts of a fake's name. AI-Hub's tables (in Korean) with gender
and split are not read.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from lipinc.config.registry import suggest
from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.layout import find_below, find_entries, key_of, list_videos
from lipinc.datasets.records import Label, VideoRecord, nfc
from lipinc.errors import UserError

REAL_FOLDER = "original_videos"
REENACTMENTS = ("audio-driven", "fo")
"""Methods that keep the face of the video. The others give it the face of the second person in the name."""
METHODS = (*REENACTMENTS, "dfl", "dffs", "fsgan")


@register_dataset("kodf")
@dataclass(frozen=True)
class KoDF(Dataset):
    """KoDF: original_videos/<person>/<person>_<n>.mp4, and fakes below a folder of their method's name.

    The folders of the methods lie beside original_videos or in synthesized_videos. A fake <first>_<second>_<code>_<n>
    is a video of the first person, driven by the second one or with the face of the second one; with any other name it
    is a video of the person of its folder, if its name begins so, or of the person before the first _.
    """

    root: str = "data/KoDF"
    """The folder that contains original_videos and audio-driven (or synthesized_videos/audio-driven)."""
    methods: tuple[str, ...] = ("audio-driven",)
    """Methods used as fakes: audio-driven (lip-sync), fo (first-order motion), dfl, dffs and fsgan (face swaps)."""

    def validate(self) -> list[str]:
        """See `DataConfig.validate`."""
        unknown = [name for name in self.methods if name not in METHODS]
        return [*super().validate(), *(f"data.methods: unknown {name!r}: {suggest(name, METHODS)}" for name in unknown)]

    def load(self) -> list[VideoRecord]:
        """See `Dataset.load`. The real videos first, then the methods, sorted by name."""
        base = find_entries(self.root, (REAL_FOLDER,), "KoDF")[REAL_FOLDER].parent
        records = [_real(file, self.root) for file in list_videos(base / REAL_FOLDER)]
        for method in self.methods:
            folder = find_below(str(base), method)
            if folder is None:
                raise UserError(
                    f"{base} has no folder {method}, nor one in synthesized_videos: download it, or leave it out with "
                    "--data.methods"
                )
            records += [_fake(file, method, self.root) for file in list_videos(folder)]
        return records


def _person(file: Path) -> str:
    """Return the name of the folder if the file name begins with it or has no _; else the part before the first _."""
    person, underscore, _ = file.stem.partition("_")
    folder = file.parent.name
    return person if underscore and not file.stem.startswith(f"{folder}_") else folder


def _real(file: Path, root: str) -> VideoRecord:
    return VideoRecord(path=key_of(file, root), label=Label.REAL, identity=nfc(f"kodf-{_person(file)}"))


def _fake(file: Path, method: str, root: str) -> VideoRecord:
    people = [_person(file)]
    if named := re.fullmatch(r"([0-9A-Za-z-]+)_([0-9A-Za-z-]+)_\d+_\d+", file.stem):
        people = [named[1], named[2]] if method in REENACTMENTS else [named[2], named[1]]
    return VideoRecord(
        path=key_of(file, root),
        label=Label.FAKE,
        identity=nfc(f"kodf-{people[0]}"),
        targets=tuple(f"kodf-{person}" for person in people[1:] if person != people[0]),
        method=method,
        generator=method,
    )
