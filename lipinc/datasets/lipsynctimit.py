"""LipSyncTIMIT: speakers of VidTIMIT, lip-synced by five generators to three kinds of sound, at three levels of
compression.

Source: Datta, Jia and Lyu, LIPINC-V2, 2025, and the folder tree that it publishes. Not checked: the names of the files,
and whether the compressed folders are divided like the original ones; both are read as described in `LipSyncTIMIT`.
"""

import logging
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from lipinc.config.registry import suggest
from lipinc.datasets.dataset import Dataset, register_dataset
from lipinc.datasets.layout import find_entries, key_of, list_videos
from lipinc.datasets.records import UNKNOWN_GENERATOR, Label, VideoRecord, nfc
from lipinc.errors import UserError

log = logging.getLogger(__name__)

LEVELS = {
    "original": "Original Size",
    "c23": "LipSyncTimit_compression23",
    "c40": "LipSyncTimit_compression40",
}
"""Level -> folder."""
REAL_FOLDER, FAKE_FOLDERS = "realvideo", "fakevideo-"
"""How the names of the folders of real and of fake videos begin, in lower case."""
SPEAKERS = (
    "fadg0", "faks0", "fcft0", "fcmh0", "fcmr0", "fcrh0", "fdac1", "fdms0", "fdrd1", "fedw0", "felc0", "fgjd0", "fjas0",
    "fjem0", "fjre0", "fjwb0", "fkms0", "fpkt0", "fram1", "mabw0", "mbdg0", "mbjk0", "mccs0", "mcem0", "mdab0", "mdbb0",
    "mdld0", "mgwt0", "mjar0", "mjsw0", "mmdb1", "mmdm2", "mpdf0", "mpgl0", "mrcz0", "mreb0", "mrgg0", "mrjo0", "msjs1",
    "mstk0", "mtas1", "mtmr0", "mwbt0",
)  # fmt: skip
"""The speakers of VidTIMIT; their names begin with f for women and m for men."""
SPEAKER = re.compile("|".join(SPEAKERS))


@register_dataset("lipsynctimit")
@dataclass(frozen=True)
class LipSyncTIMIT(Dataset):
    """LipSyncTIMIT: <level>/RealVideo/... and <level>/FakeVideo-<sound>/<generator>/...

    The person is the speaker of VidTIMIT (fadg0, ...) in the name of the file or of a folder. The pair of a fake is the
    real video of the same level whose name is part of the fake's name. Without a speaker, a real video and its fakes
    count as one person.
    """

    root: str = "data/LipSyncTimit Dataset"
    """The folder that contains "Original Size", LipSyncTimit_compression23 and LipSyncTimit_compression40."""
    levels: tuple[str, ...] = tuple(LEVELS)
    """Compression levels to use: original, c23 (CRF 23) and c40 (CRF 40)."""

    def validate(self) -> list[str]:
        """See `DataConfig.validate`."""
        unknown = [name for name in self.levels if name not in LEVELS]
        return [*super().validate(), *(f"data.levels: unknown {name!r}: {suggest(name, LEVELS)}" for name in unknown)]

    def load(self) -> list[VideoRecord]:
        """See `Dataset.load`. By level, sorted by name."""
        folders = find_entries(self.root, tuple(LEVELS.values()), "LipSyncTIMIT")
        records: list[VideoRecord] = []
        for level in self.levels:
            if LEVELS[level] not in folders:
                raise UserError(
                    f"{self.root} has no folder {LEVELS[level]}: download it, or leave {level} out with --data.levels"
                )
            records += self._read_level(folders[LEVELS[level]], level)
        unnamed = [record for record in records if record.identity not in SPEAKERS]
        if unnamed:
            log.warning(
                "%s: %d videos name no speaker such as fadg0, the first is %s; there, each real video and its fakes "
                "count as a person",
                *(self.root, len(unnamed), unnamed[0].path),
            )
        return records

    def _read_level(self, folder: Path, level: str) -> list[VideoRecord]:
        files: dict[Label, list[tuple[Path, list[str]]]] = defaultdict(list)
        for file in list_videos(folder):
            parts = list(file.relative_to(folder).parts)
            kinds = [i for i, part in enumerate(parts[:-1]) if part.lower().startswith((REAL_FOLDER, FAKE_FOLDERS))]
            if not kinds:
                raise UserError(f"{file} lies neither in RealVideo nor in FakeVideo-<sound>: move it elsewhere")
            label = Label.REAL if parts[kinds[0]].lower().startswith(REAL_FOLDER) else Label.FAKE
            files[label].append((file, parts[kinds[0] :]))
        reals = {file.stem: file for file, _ in files[Label.REAL]}
        return [
            self._record(file, parts, label, reals, level)
            for label, some in sorted(files.items())
            for file, parts in some
        ]

    def _record(self, file: Path, parts: list[str], label: Label, reals: dict[str, Path], level: str) -> VideoRecord:
        real = file if label is Label.REAL else _made_from(file.stem, reals)
        speaker = next(filter(None, (SPEAKER.search(part.lower()) for part in reversed(parts))), None)
        kind, *inner = parts[:-1]
        return VideoRecord(
            path=key_of(file, self.root),
            label=label,
            identity=nfc(speaker[0] if speaker else f"lipsynctimit-{(real or file).stem}"),
            method=kind,
            generator="" if label is Label.REAL else inner[0] if inner else UNKNOWN_GENERATOR,
            gender={"f": "women", "m": "men"}[speaker[0][0]] if speaker else "",
            pair=key_of(real, self.root) if real and label is Label.FAKE else "",
            audio="" if label is Label.REAL else kind.partition("-")[2],
            compression=level,
        )


def _made_from(stem: str, reals: dict[str, Path]) -> Path | None:
    """Return the real video with the longest name that is part of a fake's name, between other than letters and
    digits."""
    parts = [name for name in reals if name in stem and re.search(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", stem)]
    return reals[max(parts, key=len)] if parts else None
