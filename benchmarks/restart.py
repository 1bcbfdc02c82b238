"""Restart: seconds that preprocessing takes to find that nothing is left to do.

    python -m benchmarks.restart --videos 10000

The cache is synthetic and complete. The video files have the right names and sizes but no content; the clip files are
hard links to a hundred files, so they are read from memory (a disk makes `verify` slower, and only that).

`continue`: the same command again; the manifest is trusted for a clip file that has the recorded size.
`verify`: `--verify`, which reads every clip file and compares its checksum.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import run_benchmark
from lipinc.cache.build import build_cache
from lipinc.cache.manifest import ManifestRow
from lipinc.cache.verify import verify_with_progress
from lipinc.config import CacheConfig, Config
from lipinc.cores import available_cores
from lipinc.datasets import CsvIndex, VideoRecord, load_videos
from lipinc.demo.synthetic_cache import fill_cache
from lipinc.errors import UserError
from lipinc.files.csv_table import write_table

CLIP_FILES = 100
"""Clip files with content of their own; all others are hard links to them."""


@dataclass(frozen=True)
class Arguments:
    """Seconds of a restart of preprocessing."""

    videos: int = 10000
    """Videos in the cache."""


def main(arguments: Arguments) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            data=CsvIndex(root=str(Path(folder, "videos"))), cache=CacheConfig(path=str(Path(folder, "cache")))
        )
        rows = fill_cache(config, arguments.videos, different=CLIP_FILES)
        write_videos(Path(config.data.root), [row.record for row in rows])
        records = load_videos(config.data)
        print(f"{arguments.videos} finished videos, {available_cores()} cores")
        continued = _seconds(lambda: build_cache(config, records, _check_finished))
        verified = _seconds(lambda: verify_with_progress(config))
        for name, seconds in (("continue", continued), ("verify", verified)):
            print(f"{name:10s}{seconds:8.2f} s {seconds / continued:6.1f} x")


def write_videos(root: Path, records: list[VideoRecord]) -> None:
    """Write files of one byte in place of videos, and their index."""
    for record in records:
        file = root / record.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"-")
    cells = ({"path": r.path, "label": r.label.name.lower(), "identity": r.identity} for r in records)
    write_table(root / "index.csv", ("path", "label", "identity"), cells)


def _check_finished(row: ManifestRow, earlier: bool) -> None:
    if not earlier:
        raise UserError(f"{row.record.key} was extracted again, so the times would mean nothing")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    run_benchmark(main, Arguments, __spec__.name, __doc__)
