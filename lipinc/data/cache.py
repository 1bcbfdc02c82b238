"""Clips on disk: one .safetensors a video, and a manifest with a row for every video of the catalogue.

    <cache>/settings.json           the extraction settings that everything in it was made with
    <cache>/manifest.csv            a row for every video: ok, or why not
    <cache>/catalogue.json          the settings that chose and labelled these videos
    <cache>/clips/<key>.safetensors the clips of a video; see VideoRecord.key
    <cache>/contact_sheet.png       mouth strips to look at
    <cache>/lock                    held while a process writes to the cache

Files are written under a temporary name, brought to the disk and then renamed: a file that is there is whole. The same
videos and settings give the same bytes.
"""

import csv
import dataclasses
import fcntl
import hashlib
import io
import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lipinc.config import Config, DataConfig, MouthConfig, SamplingConfig
from lipinc.data.catalog import Label, VideoRecord, index_file, version_suffix
from lipinc.data.table import guard_formula, unguard_formula
from lipinc.errors import UserError
from lipinc.files import naming, write_atomically
from lipinc.versions import installed_versions
from lipinc.video.extract import Clips

log = logging.getLogger(__name__)

FORMAT = 2
"""Of a cache: 2 since wide frames are reduced by whole factors and clip files have checksums."""
OK = "ok"
LOCK = "lock"
CLIP_ARRAYS = ("frames", "residues", "sizes", "frame_ids", "times", "pose_ratios", "nearest", "faces")


@dataclass(frozen=True)
class ManifestRow:
    """What became of one video."""

    record: VideoRecord
    status: str
    """ok, or a rejection.Reason."""
    detail: str = ""
    size: int = 0
    """Bytes of the video file: a file that changed is read again."""
    frames: int = 0
    """Frames decoded."""
    face_frames: int = 0
    """Of these, frames with a usable mouth."""
    windows: int = 0
    """K of its clips."""
    nearest_windows: int = 0
    """Of these, windows with global frames beyond the tolerance."""
    clips_size: int = 0
    """Bytes of its clip file; 0 without clips."""
    clips_sha256: str = ""
    """Of the clip file; "" where clips_size is 0."""


MANIFEST_COLUMNS = (
    *(
        "key",
        "label",
        "identity",
        "targets",
        "method",
        "generator",
        "category",
        "race",
        "gender",
        "split",
        "pair",
        "family",
        "audio",
        "forgery",
        "condition",
    ),
    *("status", "detail", "size", "frames", "face_frames", "windows", "nearest_windows"),
    *("clips_size", "clips_sha256"),
)


class Cache:
    """A cache folder made, or to be made, with the extraction settings of a config."""

    def __init__(self, path: str | os.PathLike, mouth: MouthConfig, sampling: SamplingConfig):
        self.path = Path(path)
        self.settings = {
            "format": FORMAT,
            "mouth": _plain(dataclasses.asdict(mouth)),
            "sampling": _plain(dataclasses.asdict(sampling)),
        }

    @classmethod
    def of(cls, config: Config) -> "Cache":
        """The cache of an experiment."""
        return cls(config.cache.path, config.mouth, config.sampling)

    def prepare(self) -> None:
        """Make the folder, or check that what it holds was made with the same settings (else UserError)."""
        if self.settings_file.exists():
            self.check()
            return
        self._refuse_other_folder()
        write_atomically(
            self.settings_file, json.dumps({**self.settings, "versions": versions()}, indent=2).encode() + b"\n"
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """`prepare`, and keep every other process from writing to the cache; what a killed one left half-written goes.

        The kernel gives the lock back when its holder dies, however it dies. Raises UserError where another holds it.
        """
        self._refuse_other_folder()
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / LOCK).open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"another process is writing to {self.path}; wait until it has ended, or give another --cache.path"
                ) from None
            except OSError as error:
                log.warning("%s cannot be locked (%s): see to it that one process alone writes", self.path, error)
            self.prepare()
            for file in self.path.rglob("*.tmp"):
                if file.is_file():
                    file.unlink()
            yield

    def _refuse_other_folder(self) -> None:
        if self.settings_file.exists() or not self.path.exists():
            return
        if any(path.suffix != ".tmp" and path.name != LOCK for path in self.path.iterdir()):
            raise UserError(f"{self.path} is neither empty nor a cache; give another folder by --cache.path")

    def check(self) -> None:
        """Raise UserError if there is no cache, or if it was made with other settings."""
        file = self.settings_file
        try:
            found = json.loads(file.read_text())
        except FileNotFoundError:
            raise UserError(
                f"no cache in {self.path}; make it by preprocess_extract_lips.py with the same config"
            ) from None
        except (ValueError, OSError) as error:
            raise UserError(f"{file} cannot be read ({error}); delete the cache and make it again") from error
        differences = list(_differences(found, self.settings))
        if differences:
            raise UserError(
                f"the cache {self.path} was made with other settings: {'; '.join(differences)}. "
                "Use these, or another folder by --cache.path"
            )

    def finish(self, manifest: Iterable[ManifestRow], data: DataConfig) -> None:
        """Write the manifest, and the settings that chose and labelled its videos."""
        write_manifest(self.manifest_file, manifest)
        about = {**catalogue_settings(data), "index_sha256": index_digest(data)}
        write_atomically(self.catalogue_file, json.dumps(about, indent=2).encode() + b"\n")

    def check_catalogue(self, data: DataConfig) -> None:
        """Raise UserError if the manifest was made with other settings of what is taken and how it is labelled."""
        file = self.catalogue_file
        try:
            found = json.loads(file.read_text())
        except (OSError, ValueError):
            raise UserError(
                f"{self.path} has no finished manifest; run preprocess_extract_lips.py with the same config"
            ) from None
        wanted = catalogue_settings(data)
        differences = [
            f"data.{name} was {found.get(name)!r} and is {wanted[name]!r}"
            for name in wanted
            if found.get(name) != wanted[name]
        ]
        digest = index_digest(data)  # "" where the data set is not at hand: a cache may be used without it
        if digest and digest != found.get("index_sha256"):
            differences.append("the index file has changed since")
        if differences:
            raise UserError(
                f"the manifest of {self.path} was made with other settings: {'; '.join(differences)}. "
                "Run preprocess_extract_lips.py with the same config; videos done before are kept"
            )

    def versions(self) -> dict[str, str]:
        """The library versions that the cache was begun with."""
        return json.loads(self.settings_file.read_text()).get("versions", {})

    def clips_file(self, key: str) -> Path:
        """Where the clips of a video are."""
        return self.path / "clips" / f"{key}.safetensors"

    @property
    def settings_file(self) -> Path:
        return self.path / "settings.json"

    @property
    def manifest_file(self) -> Path:
        return self.path / "manifest.csv"

    @property
    def catalogue_file(self) -> Path:
        return self.path / "catalogue.json"

    @property
    def journal_file(self) -> Path:
        """Rows of a run that has not ended yet."""
        return self.path / "manifest.unfinished.csv"


def write_clips(file: Path, clips: Clips, settings: dict, source: str, size: int) -> dict[str, int | str]:
    """Write the clips of one video; returns what `read_summary` would. source: its key; size: of its file in bytes."""
    arrays = {name: np.ascontiguousarray(getattr(clips, name)) for name in CLIP_ARRAYS}
    summary = summary_of(clips, size)
    # One metadata entry: safetensors does not keep the order of several, and equal clips shall give equal bytes.
    about = json.dumps({**settings, "versions": versions(), "source": source, "summary": summary}, sort_keys=True)
    content = save(arrays, {"lipinc": about})
    write_atomically(file, content)
    return {**summary, **_checksum(content)}


def read_clips(file: Path) -> Clips:
    """Read what `write_clips` wrote. Raises UserError if the file is damaged."""
    try:
        with safe_open(file, framework="numpy") as stored:
            about = json.loads(stored.metadata()["lipinc"])
            there = set(stored.keys())
            arrays = {name: stored.get_tensor(name) for name in CLIP_ARRAYS if name != "sizes" or name in there}
            # Clips from before there were other sizes than one have none.
            arrays.setdefault("sizes", np.tile(np.int32(arrays["frames"].shape[2:4]), (len(arrays["frames"]), 1)))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise damaged(file, error) from error
    return Clips(**arrays, video_frames=about["summary"]["frames"], face_frames=about["summary"]["face_frames"])


def summary_of(clips: Clips, size: int) -> dict[str, int]:
    """What the manifest says of a video with clips: size, frames, face_frames, windows, nearest_windows."""
    return {
        "size": size,
        "frames": clips.video_frames,
        "face_frames": clips.face_frames,
        "windows": len(clips.frames),
        "nearest_windows": int(clips.nearest.sum()),
    }


def read_summary(file: Path) -> dict[str, int | str] | None:
    """What the manifest says of a clip file: its `summary_of`, size and checksum; None if it is absent or not whole."""
    try:
        with safe_open(file, framework="numpy") as stored:
            summary = json.loads(stored.metadata()["lipinc"])["summary"]
        return {**summary, **_checksum(file.read_bytes())}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None


def is_whole(file: Path, row: ManifestRow) -> bool:
    """Whether a clip file has the size that its row says: a look at the folder, not at the content."""
    try:
        return row.clips_size > 0 and file.stat().st_size == row.clips_size
    except OSError:
        return False


def check_clips(file: Path, row: ManifestRow) -> None:
    """Read a clip file and raise UserError, naming it, if it is not what was written."""
    try:
        found = _checksum(file.read_bytes())
    except OSError as error:
        raise damaged(file, error) from error
    if found["clips_size"] != row.clips_size:
        raise damaged(file, ValueError(f"{found['clips_size']} bytes in place of {row.clips_size}"))
    if found["clips_sha256"] != row.clips_sha256:
        raise damaged(file, ValueError("its SHA-256 is not that of the manifest"))


def _checksum(content: bytes) -> dict[str, int | str]:
    return {"clips_size": len(content), "clips_sha256": hashlib.sha256(content).hexdigest()}


def damaged(file: Path, error: Exception) -> UserError:
    """The error for a clip file that cannot be read."""
    return UserError(
        f"{file} is damaged or gone ({str(error).splitlines()[0]}); delete it and run preprocess_extract_lips.py again"
    )


def read_manifest(file: Path) -> list[ManifestRow]:
    """The rows of a manifest, or of an unfinished one, whose last line may be cut off. Raises UserError."""
    try:
        text = file.read_bytes().decode("utf-8")
        reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
        if tuple(reader.fieldnames or MANIFEST_COLUMNS) != MANIFEST_COLUMNS:
            raise UserError(f"{file} is not a manifest of this version; delete it and run again")
        return [_row_of(line) for line in reader]
    except FileNotFoundError:
        raise UserError(f"no manifest {file}; make it by preprocess_extract_lips.py with the same config") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise UserError(f"{file} is damaged ({error}); delete it and run preprocess_extract_lips.py again") from error


def write_manifest(file: Path, rows: Iterable[ManifestRow]) -> None:
    """Write a manifest, atomically."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(MANIFEST_COLUMNS)
    writer.writerows(_line_of(row) for row in rows)
    write_atomically(file, stream.getvalue().encode("utf-8"))


class Journal:
    """Rows written as they come, each flushed, so that an interrupted run loses nothing."""

    def __init__(self, file: Path):
        # Anew: a kill leaves a line without an end.
        write_manifest(file, read_manifest(file) if file.exists() else ())
        self._file = file
        self._stream = file.open("a", newline="", encoding="utf-8")
        self._writer = csv.writer(self._stream, lineterminator="\n")

    def add(self, row: ManifestRow) -> None:
        """Write a row through to the disk's cache. Raises OSError, naming the file, if the disk is full."""
        with naming(self._file):
            self._writer.writerow(_line_of(row))
            self._stream.flush()

    def close(self) -> None:
        """Let go of the file. What a full disk did not take is lost: the clip file behind it says it again."""
        with suppress(OSError):
            self._stream.close()


def index_digest(data: DataConfig) -> str:
    """SHA-256 of the index file, so that a manifest older than its index is noticed; "" where there is none."""
    file = index_file(data)
    return hashlib.sha256(file.read_bytes()).hexdigest() if file is not None and file.is_file() else ""


def catalogue_settings(data: DataConfig) -> dict:
    """The settings that choose and label the videos. Not the root: a cache may be used where the videos are not."""
    return _plain(
        {
            name: getattr(data, name)
            for name in ("kind", "columns", "fake_methods", "include_rtvc", "conditions", "forgeries")
        }
    )


def versions() -> dict[str, str]:
    """Versions of the libraries that decide what a mouth looks like."""
    return installed_versions(("mediapipe", "opencv-python", "numpy"))


def _plain(value: dict) -> dict:
    return json.loads(json.dumps(value))  # tuples as lists, as they will come back


def _differences(found: dict, wanted: dict) -> Iterator[str]:
    for section in ("format", "mouth", "sampling"):
        if section == "format":
            there, here = {"format": found.get("format")}, {"format": wanted["format"]}
        else:
            # A cache from before a setting was there was made by what became its default.
            default = _plain(dataclasses.asdict(MouthConfig() if section == "mouth" else SamplingConfig()))
            there, here = (
                {f"{section}.{k}": v for k, v in {**default, **x.get(section, {})}.items()} for x in (found, wanted)
            )
        for name in sorted(there.keys() | here.keys()):
            if there.get(name) != here.get(name):
                yield f"{name} is {there.get(name)!r} there and {here.get(name)!r} here"


def _line_of(row: ManifestRow) -> list:
    return [guard_formula(cell) if isinstance(cell, str) else cell for cell in _cells_of(row)]


def _cells_of(row: ManifestRow) -> list:
    record = row.record
    return [
        record.key,
        record.label.name.lower(),
        record.identity,
        " ".join(record.targets),
        record.method,
        record.generator,
        record.category,
        record.race,
        record.gender,
        record.split,
        record.pair,
        record.family,
        record.audio,
        "" if record.forgery is None else record.forgery,
        record.condition,
        row.status,
        row.detail,
        row.size,
        row.frames,
        row.face_frames,
        row.windows,
        row.nearest_windows,
        row.clips_size,
        row.clips_sha256,
    ]


def _row_of(line: dict[str, str]) -> ManifestRow:
    line = {column: unguard_formula(cell) for column, cell in line.items()}
    forgery = int(line["forgery"]) if line["forgery"] else None
    record = VideoRecord(
        path=line["key"].removesuffix(version_suffix(forgery, line["condition"])),
        label=Label[line["label"].upper()],
        identity=line["identity"],
        targets=tuple(line["targets"].split()),
        method=line["method"],
        generator=line["generator"],
        category=line["category"],
        race=line["race"],
        gender=line["gender"],
        split=line["split"],
        pair=line["pair"],
        family=line["family"],
        audio=line["audio"],
        forgery=forgery,
        condition=line["condition"],
    )
    numbers = ("size", "frames", "face_frames", "windows", "nearest_windows", "clips_size")
    return ManifestRow(
        record,
        line["status"],
        line["detail"],
        **{name: int(line[name]) for name in numbers},
        clips_sha256=line["clips_sha256"],
    )
