"""Cache folder: layout, settings and lock.

    <cache>/settings.json           extraction settings of all clips
    <cache>/manifest.csv            one row per video: ok, or the rejection reason
    <cache>/catalogue.json          data set settings that selected and labelled the videos
    <cache>/clips/<key>.safetensors clips of a video; see VideoRecord.key
    <cache>/contact_sheet.png       mouth strips for visual inspection
    <cache>/lock                    locked while a process writes to the cache

Files are written under a temporary name, flushed to disk and renamed, so existing files are complete. The same videos
and settings give the same bytes.
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
from lipinc.config.serialization import VERSION, from_json
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically
from lipinc.versions import mouth_versions

log = logging.getLogger(__name__)

FORMAT = 4
"""Version of the cache format. Version 4 has the input quality of each face; version 3 leaves out repeated frames;
version 2 downscales wide frames by integer factors and has checksums of clip files."""
SETTINGS = "settings.json"
LOCK = "lock"


class Cache:
    """A cache folder with the extraction settings of a config; the folder may not exist yet."""

    def __init__(self, path: str | os.PathLike, mouth: MouthConfig, sampling: SamplingConfig):
        self.path = Path(path)
        self.settings = {
            "format": FORMAT,
            "mouth": _plain(dataclasses.asdict(mouth)),
            "sampling": _plain(dataclasses.asdict(sampling)),
        }

    @classmethod
    def of(cls, config: Config) -> "Cache":
        """Return the cache of an experiment."""
        return cls(config.cache.path, config.mouth, config.sampling)

    @classmethod
    def open(cls, path: str | os.PathLike) -> tuple["Cache", Config]:
        """Return an existing cache, and a config with the extraction settings that it was made with.

        Raises:
            UserError: there is no cache, or it was made by another version.
        """
        try:
            found = json.loads(Path(path, SETTINGS).read_text())
            config = from_json({"version": VERSION, "mouth": found["mouth"], "sampling": found["sampling"]})
        except (OSError, ValueError, LookupError, TypeError, UserError) as error:
            raise UserError(f"{path} is not a cache of this version of lipinc ({error})") from error
        cache = cls(path, config.mouth, config.sampling)
        cache.check()
        return cache, config

    def prepare(self) -> None:
        """Create the cache, or check that an existing one has the same settings.

        Raises:
            UserError: the folder is a cache with other settings, or is not a cache.
        """
        if self.settings_file.exists():
            self.check()
            return
        self._reject_foreign_folder()
        settings = {**self.settings, "versions": mouth_versions(self.settings["mouth"])}
        write_atomically(self.settings_file, json.dumps(settings, indent=2).encode() + b"\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the cache for writing, `prepare` it, and delete partial files of killed processes.

        The kernel releases the lock when the process ends for any reason.

        Raises:
            UserError: another process holds the lock, or `prepare` failed.
        """
        self._reject_foreign_folder()
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / LOCK).open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"another process is writing to {self.path}; wait until it ends, or give another --cache.path"
                ) from None
            except OSError as error:
                log.warning("%s cannot be locked (%s): make sure that only one process writes to it", self.path, error)
            self.prepare()
            for file in self.path.rglob("*.tmp"):
                if file.is_file():
                    file.unlink()
            yield

    def _reject_foreign_folder(self) -> None:
        if self.settings_file.exists() or not self.path.exists():
            return
        if any(path.suffix != ".tmp" and path.name != LOCK for path in self.path.iterdir()):
            raise UserError(f"{self.path} is neither empty nor a cache; give another folder by --cache.path")

    def check(self) -> None:
        """Check that the cache exists and has the same settings.

        Raises:
            UserError: there is no cache, or it was made with other settings.
        """
        file = self.settings_file
        try:
            found = json.loads(file.read_text())
        except FileNotFoundError:
            raise UserError(
                f"no cache in {self.path}; create it with preprocess_extract_lips.py and the same config"
            ) from None
        except (ValueError, OSError) as error:
            raise UserError(f"{file} cannot be read ({error}); delete the cache and create it again") from error
        differences = list(_differences(found, self.settings))
        if differences:
            raise UserError(
                f"the cache {self.path} was made with other settings: {'; '.join(differences)}. "
                "Use the same settings, or another folder with --cache.path"
            )

    def finish(self, manifest: Iterable[ManifestRow], data: DataConfig) -> None:
        """Write the manifest, and the data set settings that selected and labelled its videos."""
        write_manifest(self.manifest_file, manifest)
        settings = {**catalogue_settings(data), "index_sha256": index_digest(data)}
        write_atomically(self.catalogue_file, json.dumps(settings, indent=2).encode() + b"\n")

    def check_catalogue(self, data: DataConfig) -> None:
        """Check that the manifest was made with the same data set settings and index.

        Raises:
            UserError: there is no finished manifest, or it was made with other settings or another index.
        """
        file = self.catalogue_file
        try:
            found = json.loads(file.read_text())
        except (OSError, ValueError):
            raise UserError(
                f"{self.path} has no finished manifest; run preprocess_extract_lips.py with the same config"
            ) from None
        wanted = catalogue_settings(data)
        # A setting that is missing in an older cache had its present default value.
        found = {**catalogue_settings(type(data)()), **found}
        differences = [
            f"data.{name} was {found.get(name)!r} and is {wanted[name]!r}"
            for name in wanted
            if found.get(name) != wanted[name]
        ]
        digest = index_digest(data)  # "" if the index is not available: a cache can be used without the data set
        if digest and digest != found.get("index_sha256"):
            differences.append("the index file has changed since")
        if differences:
            raise UserError(
                f"the manifest of {self.path} was made with other settings: {'; '.join(differences)}. "
                "Run preprocess_extract_lips.py with the same config; finished videos are kept"
            )

    def versions(self) -> dict[str, str]:
        """Return the library versions with which the cache was created."""
        return json.loads(self.settings_file.read_text()).get("versions", {})

    def clips_file(self, key: str) -> Path:
        """Return the clip file of a video."""
        return self.path / "clips" / f"{key}.safetensors"

    @property
    def settings_file(self) -> Path:
        return self.path / SETTINGS

    @property
    def manifest_file(self) -> Path:
        return self.path / "manifest.csv"

    @property
    def catalogue_file(self) -> Path:
        return self.path / "catalogue.json"

    @property
    def journal_file(self) -> Path:
        """Rows of an unfinished run."""
        return self.path / "manifest.unfinished.csv"


def is_cache(path: str | os.PathLike) -> bool:
    """Return whether a path is the folder of a cache, finished or not."""
    try:
        return {"format", "mouth", "sampling"} <= json.loads(Path(path, SETTINGS).read_text()).keys()
    except (OSError, ValueError, AttributeError):
        return False


def index_digest(data: DataConfig) -> str:
    """Return the SHA-256 of the index, so that a manifest older than its index is detected; "" if there is no index."""
    file = data.index_file()
    return hashlib.sha256(file.read_bytes()).hexdigest() if file is not None and file.is_file() else ""


def catalogue_settings(data: DataConfig) -> dict:
    """Return the settings that select and label the videos. Locations are omitted: a cache works without the videos."""
    values = {"kind": data.kind, **dataclasses.asdict(data)}
    return _plain({name: value for name, value in values.items() if name not in LOCATION})


FITTED = ("mouth.height", "mouth.width")
"""Clip settings that do not shape native mouths: they are stored at their own size, and fitted when they are read."""

LOCATION = ("root", "index", "max_missing", "other_kinds", "note")
"""Data set options that neither select nor label videos."""


def _plain(value: dict) -> dict:
    return json.loads(json.dumps(value))  # tuples become lists, as after reading the file


def _differences(found: dict, wanted: dict) -> Iterator[str]:
    """Describe each extraction setting that differs between a cache (`found`) and a config (`wanted`)."""
    for section in ("format", "mouth", "sampling"):
        if section == "format":
            cached, requested = {"format": found.get("format")}, {"format": wanted["format"]}
        else:
            # A setting that is missing in an older cache had its present default value.
            default = _plain(dataclasses.asdict(MouthConfig() if section == "mouth" else SamplingConfig()))
            cached, requested = (
                {f"{section}.{k}": v for k, v in {**default, **x.get(section, {})}.items()} for x in (found, wanted)
            )
        for name in sorted(cached.keys() | requested.keys()):
            if name in FITTED and found.get("mouth", {}).get("cut") == "native":
                continue
            if cached.get(name) != requested.get(name):
                yield f"{name} is {cached.get(name)!r} in the cache and {requested.get(name)!r} in the config"
