"""The folder of a cache: its settings, its lock, and the places of its files.

    <cache>/settings.json           the extraction settings that everything in it was made with
    <cache>/manifest.csv            a row for every video: ok, or why not
    <cache>/catalogue.json          the settings that chose and labelled these videos
    <cache>/clips/<key>.safetensors the clips of a video; see VideoRecord.key
    <cache>/contact_sheet.png       mouth strips to look at
    <cache>/lock                    held while a process writes to the cache

Files are written under a temporary name, flushed to the disk and then renamed: a file that exists is whole. The same
videos and settings give the same bytes.
"""

import dataclasses
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lipinc.cache.manifest import ManifestRow, write_manifest
from lipinc.config import Config, DataConfig, MouthConfig, SamplingConfig
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically
from lipinc.versions import MOUTH_LIBRARIES, library_versions

log = logging.getLogger(__name__)

FORMAT = 2
"""Version of the cache: 2 since wide frames are reduced by whole factors and clip files have checksums."""
LOCK = "lock"


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
            self.settings_file, json.dumps({**self.settings, "versions": library_versions(MOUTH_LIBRARIES)}, indent=2).encode() + b"\n"
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


def index_digest(data: DataConfig) -> str:
    """SHA-256 of the index file, so that a manifest older than its index is noticed; "" where there is none."""
    file = data.index_file()
    return hashlib.sha256(file.read_bytes()).hexdigest() if file is not None and file.is_file() else ""


def catalogue_settings(data: DataConfig) -> dict:
    """The settings that choose and label the videos. Not where they are: a cache may be used without the videos."""
    values = {"kind": data.kind, **dataclasses.asdict(data)}
    return _plain({name: value for name, value in values.items() if name not in LOCATION})


LOCATION = ("root", "index", "max_missing", "note")
"""Options of data sets that neither choose nor label a video."""


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


