"""How fast does preprocessing find out that there is nothing left to do?

    python -m benchmarks.restart --videos 10000

A cache of that many done videos and files of the same names that stand for them; the clip files are hard links to a few
of one random window each, so that what reads them all reads from memory: a disk makes that slower, and the rest not.
Seconds of two starts: `continued` takes the manifest's word where a clip file has the size it names; `verified` reads
every clip file and compares.
"""

import os
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from benchmarks.loader import fill
from lipinc.cache.build import build_cache
from lipinc.cache.manifest import ManifestRow, write_manifest
from lipinc.cache.store import Cache
from lipinc.cache.verify import verify_with_progress
from lipinc.config import CacheConfig, Config
from lipinc.datasets import CsvIndex
from lipinc.datasets.dataset import load_videos

DIFFERENT = 100
"""Clip files that are written; all others are links to them."""


@dataclass(frozen=True)
class Arguments:
    videos: int = 10000


def main(arguments: Arguments) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            data=CsvIndex(root=str(Path(folder, "videos"))),
            cache=CacheConfig(path=str(Path(folder, "cache"))),
        )
        cache = Cache.of(config)
        cache.prepare()
        rows = _fill_with_links(cache, arguments.videos)
        _write_videos(Path(config.data.root), [row.record.path for row in rows])
        write_manifest(cache.manifest_file, rows)
        records = load_videos(config.data)
        print(f"{arguments.videos} done videos, {os.cpu_count()} cores")
        continued = _seconds(build_cache, config, records, _no_more_work)
        verified = _seconds(verify_with_progress, config)
        for name, seconds in (("continued", continued), ("verified", verified)):
            print(f"{name:20s}{seconds:8.2f} s {seconds / continued:6.1f} x")


def _fill_with_links(cache: Cache, videos: int) -> list[ManifestRow]:
    rows = fill(cache, min(videos, DIFFERENT))
    for number in range(len(rows), videos):
        row = rows[number % DIFFERENT]
        record = replace(row.record, path=f"{number}.mp4", identity=str(number))
        os.link(cache.clips_file(row.record.key), cache.clips_file(record.key))
        rows.append(replace(row, record=record))
    return rows


def _write_videos(root: Path, names: list[str]) -> None:
    root.mkdir()
    for name in names:
        (root / name).write_bytes(b"-")
    lines = [f"{name},{('real', 'fake')[number % 2]},{number}" for number, name in enumerate(names)]
    (root / "index.csv").write_text("\n".join(["path,label,identity", *lines]) + "\n")


def _no_more_work(row: ManifestRow, earlier: bool) -> None:
    assert earlier, f"{row.record.key} was extracted"


def _seconds(call, *arguments) -> float:
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
