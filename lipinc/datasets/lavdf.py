"""LAV-DF: videos of VoxCeleb2 in which single words are replaced: the picture, the sound or both, for about a second.

Source: Cai et al., Do You Really Mean That?, DICTA 2022, and the loader of its code. Lips were made by Wav2Lip. Not
checked: whether two originals show one person, which the metadata does not say.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.index_file import read_json
from lipinc.datasets.layout import find_below
from lipinc.datasets.records import Label, VideoRecord, as_key, format_periods
from lipinc.datasets.splits import split_name
from lipinc.errors import UserError

METADATA = ("metadata.min.json", "metadata.json")
"""The first one lacks transcripts, and is a fraction of the size."""


@register_dataset("lavdf")
@dataclass(frozen=True)
class LAVDF(Dataset):
    """LAV-DF: metadata.min.json (or metadata.json) beside train/, dev/ and test/.

    A video is fake if `modify_video` says so; `fake_periods` then label its windows. Each original counts as a person,
    together with the fakes made from it.
    """

    root: str = "data/LAV-DF"
    """The folder that contains metadata.min.json, train, dev and test."""
    include_fake_sound: bool = False
    """Also use videos of which only the sound is forged, as real ones: their picture is."""

    def index_file(self) -> Path | None:
        """See `Dataset.index_file`."""
        return next((file for name in METADATA if (file := find_below(self.root, name))), None)

    def load(self) -> list[VideoRecord]:
        """See `Dataset.load`. Records are in the order of the metadata."""
        file = self.index_file()
        if file is None:
            raise UserError(
                f"{self.root} is not LAV-DF, or does not exist: set data.root to the folder that contains {METADATA[0]}"
            )
        entries = read_json(file)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UserError(
                f"{file} must be a list of videos with file, split and fake_periods, as LAV-DF publishes it"
            )
        records = [self._record(entry, file, f"{file}, video {i}") for i, entry in enumerate(entries, start=1)]
        return [record for record in records if record is not None]

    def _record(self, entry: dict[str, Any], file: Path, where: str) -> VideoRecord | None:
        """Return the record of an entry; None for a video of which only the sound is forged."""
        name, original = entry.get("file"), entry.get("original")
        picture, sound = entry.get("modify_video"), entry.get("modify_audio")
        if not isinstance(name, str) or not isinstance(original, str | None):
            raise UserError(f"{where}: file must be a path, and original a path or null, not {name!r} and {original!r}")
        if not (isinstance(picture, bool) and isinstance(sound, bool)):
            raise UserError(f"{where}: modify_video and modify_audio must be true or false")
        if sound and not picture and not self.include_fake_sound:
            return None
        inner = file.parent.relative_to(self.root)
        key = as_key((inner / name).as_posix(), where)
        source = as_key((inner / original).as_posix(), where) if original else ""
        return VideoRecord(
            path=key,
            label=Label.FAKE if picture else Label.REAL,
            identity=f"lavdf-{source or key}",
            method=f"{'Fake' if picture else 'Real'}Video-{'Fake' if sound else 'Real'}Audio",
            generator="wav2lip" if picture else "",
            split=split_name(str(entry.get("split", "")), where),
            pair=source if picture else "",
            audio="fake" if sound else "original",
            fake_periods=format_periods(_periods(entry.get("fake_periods"), where)) if picture else "",
        )


def _periods(value: Any, where: str) -> list[tuple[float, float]]:
    """Check the periods of a fake."""
    try:
        periods = [(float(start), float(end)) for start, end in value]
    except (TypeError, ValueError):
        periods = []
    if not periods or not all(0 <= start <= end < math.inf for start, end in periods):
        raise UserError(f"{where}: fake_periods must be a list of [start, end] in s, not {value!r}")
    return periods
