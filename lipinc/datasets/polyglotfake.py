"""PolyGlotFake: speakers of seven languages, dubbed by cloned voices into other languages and lip-synced to them.

Source: Hou et al., PolyGlotFake, 2024; folders, names and tables as public loaders read them. Not checked: that the
first person of a table is the one who is seen, and that two videos of one source show one person.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.index_file import read_json
from lipinc.datasets.layout import find_below, find_entries, key_of, list_videos
from lipinc.datasets.records import UNKNOWN_GENERATOR, Label, VideoRecord, nfc
from lipinc.errors import UserError

FOLDERS = {"real": Label.REAL, "fake": Label.FAKE}
TABLES = {
    Label.REAL: ("json_file/real_json_file/all_real_video.json", "videos"),
    Label.FAKE: ("json_file/fake_Json_file/all_fake_video.json", "video"),
}
"""Label -> table, and the key of its list of videos."""
GENDERS = {"female": "women", "male": "men"}


@register_dataset("polyglotfake")
@dataclass(frozen=True)
class PolyGlotFake(Dataset):
    """PolyGlotFake: real/<language>/es_1.mp4, fake/to_<language>/es_1_to_ru_Xtts.mp4, and its tables in json_file/.

    The pair of a fake is the real video before _to_ in its name. The tables name the generator (`sync_tech`), the voice
    (`tts_technique`) and the source of each real video, which together with age and sex counts as the person. Without
    the tables each real video counts as a person, and generators are unknown.
    """

    root: str = "data/PolyGlotFake"
    """The folder that contains real, fake and json_file."""

    def index_file(self) -> Path | None:
        """See `Dataset.index_file`: the table of fakes."""
        return find_below(self.root, TABLES[Label.FAKE][0])

    def load(self) -> list[VideoRecord]:
        """See `Dataset.load`. Real videos first, sorted by name."""
        folders = find_entries(self.root, tuple(FOLDERS), "PolyGlotFake")
        tables = {label: _read_table(find_below(self.root, name), key) for label, (name, key) in TABLES.items()}
        files = {FOLDERS[name]: list_videos(folder) for name, folder in folders.items()}
        reals = {file.stem: file for file in files.get(Label.REAL, ())}
        return [
            self._record(file, label, reals, tables[label].get(file.name, {}), tables[Label.REAL])
            for label, some in files.items()
            for file in some
        ]

    def _record(
        self, file: Path, label: Label, reals: dict[str, Path], about: dict[str, Any], people: dict[str, dict[str, Any]]
    ) -> VideoRecord:
        dubbed = re.fullmatch(r"(.+?)_to_[a-z]+(?:_(.+))?", file.stem) if label is Label.FAKE else None
        stem = dubbed[1] if dubbed else file.stem
        real = reals.get(stem)
        person, gender = _person(people.get(real.name, {}) if real else {})
        fake = label is Label.FAKE
        return VideoRecord(
            path=key_of(file, self.root),
            label=label,
            identity=nfc(f"polyglotfake-{person or stem}"),
            generator=(_text(about.get("sync_tech")) or UNKNOWN_GENERATOR) if fake else "",
            gender=gender,
            pair=key_of(real, self.root) if real and fake else "",
            audio=(_text(about.get("tts_technique")) or (dubbed[2] if dubbed else "") or "") if fake else "",
        )


def _read_table(file: Path | None, key: str) -> dict[str, dict[str, Any]]:
    """Return file name -> entry; empty if there is no table."""
    if file is None:
        return {}
    content = read_json(file)
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{file} must contain a list {key!r} of videos, as PolyGlotFake publishes it")
    return {str(entry.get("filename")): entry for entry in entries}


def _person(entry: dict[str, Any]) -> tuple[str, str]:
    """Return the person of a real video, "" if the table does not say, and the gender."""
    characters = entry.get("characters")
    first = characters[0] if isinstance(characters, list) and characters and isinstance(characters[0], dict) else {}
    source, age, sex = (_text(value) for value in (entry.get("source"), first.get("age"), first.get("sex")))
    return " ".join(filter(None, (source, age, sex))) if source else "", GENDERS.get(sex.lower(), "")


def _text(value: Any) -> str:
    """Return a value of a table as text without control characters."""
    return "" if value is None else " ".join(re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", " ", str(value)).split())
