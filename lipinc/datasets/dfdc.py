"""DFDC: face swaps of actors, in parts with a metadata.json each.

Source: Dolhansky et al., The DeepFake Detection Challenge Dataset, 2020. Not checked: where the released test set keeps
its videos (beside its metadata.json, or in videos/). The files name neither people nor generators.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.index_file import read_json
from lipinc.datasets.layout import DEPTH, key_of
from lipinc.datasets.records import UNKNOWN_GENERATOR, Label, VideoRecord, as_key, nfc
from lipinc.errors import UserError

METADATA = "metadata.json"


@register_dataset("dfdc")
@dataclass(frozen=True)
class DFDC(Dataset):
    """DFDC: dfdc_train_part_<n>/metadata.json with the videos beside it; also single parts, and the test set.

    A training part maps file names to `label` (REAL or FAKE) and `original`, the test set to `is_fake` (0 or 1). A fake
    counts as the person of its original, whatever face it shows, and other videos as a person each. The official splits
    are set if training parts and the test set are both below the root.
    """

    root: str = "data/DFDC"
    """The folder that contains the parts, or one part."""

    def load(self) -> list[VideoRecord]:
        """See `Dataset.load`. Records are in the order of the parts and of their metadata."""
        files = [file for depth in range(DEPTH + 1) for file in sorted(Path(self.root).glob("*/" * depth + METADATA))]
        if not files:
            raise UserError(
                f"{self.root} is not DFDC, or does not exist: set data.root to the folder that contains "
                f"dfdc_train_part_<n>/{METADATA}, or to one part with its {METADATA}"
            )
        records = [record for file in files for record in self._read(file)]
        if len({record.split for record in records}) == 1:
            return [replace(record, split="") for record in records]
        return records

    def _read(self, file: Path) -> Iterator[VideoRecord]:
        """Yield the videos of a part."""
        entries = read_json(file)
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise UserError(f"{file} must map file names to their label, as DFDC's {METADATA}")
        folder = file.parent / "videos" if (file.parent / "videos").is_dir() else file.parent
        labels = {name: _label(entry, f"{file}, {name!r}") for name, entry in entries.items()}
        for name, label in labels.items():
            original = str(entries[name].get("original") or "") if label is Label.FAKE else ""
            pair = key_of(folder / as_key(original, str(file)), self.root) if original else ""
            yield VideoRecord(
                path=key_of(folder / as_key(name, str(file)), self.root),
                label=label,
                identity=nfc(f"dfdc-{original or name}"),
                generator="" if label is Label.REAL else UNKNOWN_GENERATOR,
                split="test" if "is_fake" in entries[name] else "train",
                pair=pair if labels.get(original) is Label.REAL else "",
            )


def _label(entry: dict[str, Any], where: str) -> Label:
    value = entry.get("label", entry.get("is_fake"))
    label = {"REAL": Label.REAL, "FAKE": Label.FAKE, "0": Label.REAL, "1": Label.FAKE}.get(str(value).upper())
    if label is None:
        raise UserError(f"{where}: expected label REAL or FAKE, or is_fake 0 or 1, not {value!r}")
    return label
