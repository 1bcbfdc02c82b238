"""Steady state: memory, open files and speed of one long run of preprocessing.

    python -m benchmarks.steady_state --videos 10000

Runs preprocess_extract_lips.py over that many short videos, hard links to four rendered ones, half of them real.
Prints the speed of the first and the last tenth and what the processes held; writes steady_state.csv and
steady_state.png to --out.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import psutil

from benchmarks import REPOSITORY
from benchmarks.command import run_benchmark
from benchmarks.plots import plot_steady_state
from lipinc.cores import available_cores
from lipinc.demo.videos import render_video
from lipinc.errors import UserError
from lipinc.files.csv_table import write_table

SAMPLES_FILE = "steady_state.csv"
"""Name of the table, one row per sample."""
RENDERED = 4
"""Videos that are rendered; all others are hard links to them."""


@dataclass(frozen=True)
class Arguments:
    """Memory, open files and speed over many videos."""

    videos: int = 10000
    """Number of videos."""
    frames: int = 32
    """Frames of each video."""
    workers: int = 0
    """Worker processes; 0: one per core."""
    interval: float = 1.0
    """Seconds between two samples."""
    folder: Path | None = None
    """Folder for the videos and the cache (200 KB per video); by default that for temporary files."""
    out: Path = Path("outputs/benchmarks")
    """Folder of the table and the figure."""


@dataclass(frozen=True)
class Sample:
    """State of the run and all its processes at one time."""

    seconds: float
    """Since the start."""
    videos_done: int
    """Rows of the manifest or of its journal."""
    script_mb: float
    """Resident memory of the script."""
    worker_mb: float
    """Resident memory of the largest worker."""
    open_files: int
    """Open files of all processes."""


def main(arguments: Arguments) -> None:
    """Run, print the table, write it and plot it."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        link_videos(Path(folder, "videos"), arguments)
        samples = watch_preprocessing(Path(folder), arguments)
    if not samples:
        raise UserError("the run ended before it could be observed; give more --videos or a smaller --interval")
    tenth = max(1, arguments.videos // 10)
    first, last = _rate(samples, 0, tenth), _rate(samples, arguments.videos - tenth, arguments.videos)
    total = samples[-1].seconds
    print(f"{arguments.videos} videos of {arguments.frames} frames, {available_cores()} cores, {total:.0f} s")
    print(f"{'':24s} {'first tenth':>12s} {'last tenth':>12s} {'peak':>8s}")
    print(f"{'videos/s':24s} {first:12.2f} {last:12.2f} {'':8s} {last / first:6.2f} x")
    for column, title in (
        ("script_mb", "memory of the script"),
        ("worker_mb", "largest worker"),
        ("open_files", "open files"),
    ):
        values = [(sample.videos_done, getattr(sample, column)) for sample in samples]
        early = max((value for done, value in values if done <= tenth), default=0)
        late = max((value for done, value in values if done >= arguments.videos - tenth), default=0)
        peak, unit = max(value for _, value in values), "MB" if column.endswith("mb") else ""
        print(f"{title:24s} {early:12.0f} {late:12.0f} {peak:8.0f} {unit}")
    columns = [field.name for field in fields(Sample)]
    write_table(arguments.out / SAMPLES_FILE, columns, map(asdict, samples))
    plot(samples, arguments.out / "steady_state.png")


def link_videos(root: Path, arguments: Arguments) -> None:
    """Render a few videos, and link the others to them."""
    rendered = [root / ("fake" if number % 2 else "real") / f"{number}.mp4" for number in range(RENDERED)]
    for number, file in enumerate(rendered):
        render_video(file, number=number, frames=arguments.frames, forged="mouth" if number % 2 else None)
    for number in range(RENDERED, arguments.videos):
        file = rendered[number % RENDERED]
        os.link(file, file.with_name(f"{number}.mp4"))


def watch_preprocessing(folder: Path, arguments: Arguments) -> list[Sample]:
    """Run preprocessing and sample it while it has workers: neither imports nor the contact sheet count.

    Raises:
        UserError: preprocessing failed.
    """
    command = [
        *(sys.executable, str(REPOSITORY / "preprocess_extract_lips.py"), "--data.kind", "folder"),
        *("--data.root", str(folder / "videos"), "--cache.path", str(folder / "cache")),
        *("--cache.workers", str(arguments.workers)),
    ]
    journal, manifest = folder / "cache" / "manifest.unfinished.csv", folder / "cache" / "manifest.csv"
    samples: list[Sample] = []
    started = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        script = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        while script.poll() is None:
            time.sleep(arguments.interval)
            done = _rows(journal) or _rows(manifest)
            main, *workers = [_memory_and_files(process) for process in _processes(script.pid)] or [(0, 0)]
            if workers:
                files = sum(files for _, files in (main, *workers))
                largest = max(memory for memory, _ in workers)
                samples.append(Sample(time.monotonic() - started, done, main[0], largest, files))
        if script.returncode:
            errors.seek(0)
            reason = " ".join(errors.read().split())[-400:]
            raise UserError(f"{' '.join(command)} ended with status {script.returncode}: {reason}")
    if samples:  # the last videos end between two samples
        seconds = time.monotonic() - started
        samples.append(replace(samples[-1], seconds=seconds, videos_done=_rows(manifest)))
    return samples


def _processes(pid: int) -> list[psutil.Process]:
    """The script and everything that it started."""
    try:
        script = psutil.Process(pid)
        return [script, *script.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory_and_files(process: psutil.Process) -> tuple[float, int]:
    try:
        return process.memory_info().rss / 2**20, process.num_fds()
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # it has just ended
        return 0, 0


def _rows(file: Path) -> int:
    """Rows of a table to which another process may be appending."""
    try:
        return max(0, file.read_bytes().count(b"\n") - 1)
    except FileNotFoundError:
        return 0


def _rate(samples: list[Sample], start: int, stop: int) -> float:
    """Videos per second between two numbers of videos; nan if less than two samples lie between."""
    between = [sample for sample in samples if start <= sample.videos_done <= stop]
    if len(between) < 2:
        return float("nan")
    return (between[-1].videos_done - between[0].videos_done) / (between[-1].seconds - between[0].seconds)


def plot(samples: list[Sample], file: Path) -> None:
    """Plot memory, open files and speed over the number of videos; print the name of the file."""
    window = max(1, len(samples) // 50)
    pairs = list(zip(samples, samples[window:], strict=False))
    speed = [(after.videos_done - before.videos_done) / (after.seconds - before.seconds) for before, after in pairs]
    plot_steady_state(
        [sample.videos_done for sample in samples],
        {
            "script": [sample.script_mb for sample in samples],
            "largest worker": [sample.worker_mb for sample in samples],
        },
        [sample.open_files for sample in samples],
        ([after.videos_done for _, after in pairs], speed),
        file,
        title="One run of preprocess_extract_lips.py",
    )
    print(file)


if __name__ == "__main__":
    run_benchmark(main, Arguments, __spec__.name, __doc__)
