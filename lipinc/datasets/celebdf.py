"""Celeb-DF v2: face swaps of celebrities, with a list of test videos.

Source: Li et al., Celeb-DF, CVPR 2020; names as its loaders read them (DeepfakeBench and others). Not checked: that the
second person in the name of a fake is the one whose face is seen. The official test list is not disjoint by person.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.index_file import read_list
from lipinc.datasets.labels import label_value
from lipinc.datasets.layout import find_below, find_entries, key_of, list_videos
from lipinc.datasets.records import Label, VideoRecord, as_key, nfc
from lipinc.errors import UserError

TEST_LIST = "List_of_testing_videos.txt"
FOLDERS = {"Celeb-real": Label.REAL, "YouTube-real": Label.REAL, "Celeb-synthesis": Label.FAKE}
LIST_LABELS = {"1": Label.REAL, "0": Label.FAKE}
"""The list has 1 for real."""


@register_dataset("celebdf")
@dataclass(frozen=True)
class CelebDF(Dataset):
    """Celeb-DF v2 (or v1): Celeb-real/id0_0000.mp4, YouTube-real/00000.mp4, Celeb-synthesis/id0_id1_0000.mp4.

    The fake id0_id1_0000 is the real video id0_0000 with the face of id1: its person is id1, its other person id0. A
    YouTube video counts as a person of its own. The videos of List_of_testing_videos.txt are the test split
    (`data.splits test`), all others the train split. Without the list there are no splits.
    """

    root: str = "data/Celeb-DF-v2"
    """The folder that contains Celeb-real, YouTube-real, Celeb-synthesis and List_of_testing_videos.txt."""

    def index_file(self) -> Path | None:
        """See `Dataset.index_file`: the list of test videos."""
        return find_below(self.root, TEST_LIST)

    def load(self) -> list[VideoRecord]:
        """See `Dataset.load`. Real videos first, sorted by name; then videos of the test list that are missing."""
        folders = find_entries(self.root, tuple(FOLDERS), "Celeb-DF")
        inner = next(iter(folders.values())).parent.relative_to(self.root)
        labels = {key_of(file, self.root): FOLDERS[name] for name in folders for file in list_videos(folders[name])}
        listed = None if self.index_file() is None else _read_test_list(self.index_file())
        spelling = {key.casefold(): key for key in labels}
        test: dict[str, Label] = {}
        for path, label in (listed or {}).items():
            key = (inner / path).as_posix()
            test[spelling.get(key.casefold(), key)] = label
        labels = {**labels, **test}
        reals = {PurePosixPath(key).stem: key for key, label in labels.items() if label is Label.REAL}
        return [
            _record(key, label, reals, "" if listed is None else "test" if key in test else "train")
            for key, label in labels.items()
        ]


def _read_test_list(file: Path) -> dict[str, Label]:
    """Return path -> label. Raises UserError if a label contradicts the folder."""
    table = read_list(file)
    found = {}
    for number, row in table.rows:
        where = table.where(number)
        path = as_key(row["path"], where)
        label = LIST_LABELS.get(label_value(row["label"]))
        folder = {name.casefold(): label for name, label in FOLDERS.items()}.get(path.partition("/")[0].casefold())
        if label is None or folder is None or label is not folder:
            raise UserError(
                f"{where}: {row['label']} {row['path']}: expected 1 (real) with Celeb-real/ or YouTube-real/, or 0 "
                "(fake) with Celeb-synthesis/"
            )
        found[path] = label
    return found


def _record(key: str, label: Label, reals: dict[str, str], split: str) -> VideoRecord:
    stem = PurePosixPath(key).stem
    swap = re.fullmatch(r"(id\d+)_(id\d+)_(\d+)", stem) if label is Label.FAKE else None
    celebrity = re.match(r"id\d+(?=_)", stem)
    person = swap[2] if swap else celebrity[0] if celebrity else stem
    return VideoRecord(
        path=key,
        label=label,
        identity=nfc(f"celebdf-{person}"),
        targets=(f"celebdf-{swap[1]}",) if swap else (),
        method=PurePosixPath(key).parent.name,
        generator="" if label is Label.REAL else "celeb-synthesis",
        split=split,
        pair=reals.get(f"{swap[1]}_{swap[3]}", "") if swap else "",
    )
