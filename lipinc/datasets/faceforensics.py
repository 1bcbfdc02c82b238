"""FaceForensics++: reenacted and swapped faces, here by default NeuralTextures, which alters the mouth.

Source: Roessler et al., FaceForensics++, ICCV 2019, its download script and its split lists. The data set names videos,
not people: the same person may be in several.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from lipinc.config.registry import suggest
from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.index_file import read_json
from lipinc.datasets.layout import find_entries, key_of, list_videos
from lipinc.datasets.records import Label, VideoRecord
from lipinc.datasets.splits import EXCLUDED
from lipinc.errors import UserError

REENACTMENTS = ("NeuralTextures", "Face2Face")
"""Methods that keep the face of the video. The others give it the face of the second video in the name."""
METHODS = (*REENACTMENTS, "Deepfakes", "FaceSwap", "FaceShifter")
LEVELS = {"raw": ("raw", "c0"), "c23": ("c23",), "c40": ("c40",)}
"""Compression level -> its folder names."""
SPLIT_LISTS = {"train.json": "train", "val.json": "validation", "test.json": "test"}


@register_dataset("faceforensics")
@dataclass(frozen=True)
class FaceForensics(Dataset):
    """FaceForensics++: original_sequences/youtube/c23/videos/000.mp4 and
    manipulated_sequences/<method>/c23/videos/000_003.mp4.

    Each original counts as a person. The fake 000_003 was made from the original 000. NeuralTextures and Face2Face
    drive its own face by 003; the others give it the face of 003, who is then its person. The official splits are read
    from train.json, val.json and test.json, if they lie in the root or in splits/.
    """

    root: str = "data/FaceForensics++"
    """The folder that contains original_sequences and manipulated_sequences."""
    methods: tuple[str, ...] = ("NeuralTextures",)
    """Methods used as fakes."""
    levels: tuple[str, ...] = ("c23",)
    """Compression levels: raw, c23 and c40."""

    def validate(self) -> list[str]:
        """See `DataConfig.validate`."""
        return [
            *super().validate(),
            *(
                f"data.methods: unknown {name!r}: {suggest(name, METHODS)}"
                for name in self.methods
                if name not in METHODS
            ),
            *(f"data.levels: unknown {name!r}: {suggest(name, LEVELS)}" for name in self.levels if name not in LEVELS),
        ]

    def load(self) -> list[VideoRecord]:
        """See `Dataset.load`. By level; the real videos first, then the methods, sorted by name."""
        entries = find_entries(self.root, ("original_sequences", "manipulated_sequences"), "FaceForensics++")
        base = next(iter(entries.values())).parent
        splits = _read_splits(base)
        records: list[VideoRecord] = []
        for level in self.levels:
            originals = {
                file.stem: key_of(file, self.root) for file in _videos(base / "original_sequences" / "youtube", level)
            }
            records += [_record(key, stem, level, splits, method="", pair="") for stem, key in originals.items()]
            for method in self.methods:
                for file in _videos(base / "manipulated_sequences" / method, level):
                    pair = originals.get(file.stem.partition("_")[0], "")
                    records.append(_record(key_of(file, self.root), file.stem, level, splits, method, pair))
        return records


def _videos(folder: Path, level: str) -> list[Path]:
    """Return the videos of a method at a level. Raises UserError if there is no such folder."""
    for name in LEVELS[level]:
        if (folder / name / "videos").is_dir():
            return list_videos(folder / name / "videos")
    raise UserError(
        f"no folder {folder / level / 'videos'}: download it, or leave it out with --data.methods or --data.levels"
    )


def _read_splits(base: Path) -> dict[str, str] | None:
    """Return video -> split; None if there are no lists."""
    files = {file: split for name, split in SPLIT_LISTS.items() for file in (base / name, base / "splits" / name)}
    splits: dict[str, str] = {}
    for file, split in files.items():
        if not file.is_file():
            continue
        pairs = read_json(file)
        if not isinstance(pairs, list) or not all(isinstance(pair, list) for pair in pairs):
            raise UserError(f'{file} must be a list of pairs, [["071", "054"], ...], as FaceForensics++ publishes it')
        splits |= {str(video): split for pair in pairs for video in pair}
    return splits or None


def _record(key: str, stem: str, level: str, splits: dict[str, str] | None, method: str, pair: str) -> VideoRecord:
    video, _, other = stem.partition("_")
    if not re.fullmatch(r"\d+_\d+" if method else r"\d+", stem):
        raise UserError(
            f"{key}: expected a name such as {'000_003.mp4' if method else '000.mp4'}: move the file elsewhere"
        )
    people = [video, other] if method in ("", *REENACTMENTS) else [other, video]
    return VideoRecord(
        path=key,
        label=Label.FAKE if method else Label.REAL,
        identity=f"ffpp-{people[0]}",
        targets=(f"ffpp-{people[1]}",) if method else (),
        method=method,
        generator=method,
        split="" if splits is None else splits.get(video, EXCLUDED),
        pair=pair,
        compression=level,
    )
