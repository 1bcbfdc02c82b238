"""AVLips: lip-synced videos, in one folder of real and one of fake videos.

Source: Liu et al., Lips Are Lying, NeurIPS 2024 (LipFD), and the loaders of its code. Not checked: whether files of one
number show one person. Names say nothing else about people, and nothing about the generators.
"""

from dataclasses import dataclass

from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.layout import find_entries, key_of, list_videos
from lipinc.datasets.records import UNKNOWN_GENERATOR, Label, VideoRecord, nfc

FOLDERS = {"0_real": Label.REAL, "1_fake": Label.FAKE}


@register_dataset("avlips")
@dataclass(frozen=True)
class AVLips(Dataset):
    """AVLips: 0_real/<number>.mp4 and 1_fake/<number>.mp4. The sound in wav/ is not used.

    Files of one number count as one person, so that they are never in two splits.
    """

    root: str = "data/AVLips"
    """The folder that contains 0_real and 1_fake."""

    def load(self) -> list[VideoRecord]:
        """See `Dataset.load`. Real videos first, sorted by name."""
        return [
            VideoRecord(
                path=key_of(file, self.root),
                label=FOLDERS[name],
                identity=nfc(f"avlips-{file.stem}"),
                generator="" if FOLDERS[name] is Label.REAL else UNKNOWN_GENERATOR,
            )
            for name, folder in find_entries(self.root, tuple(FOLDERS), "AVLips").items()
            for file in list_videos(folder)
        ]
