"""Does preprocessing stay as it begins? Memory, open files and speed over many videos.

    python -m benchmarks.steady_state --videos 10000

One run of preprocess_extract_lips.py over that many short videos: hard links to a few rendered ones, half of them real.
Prints the speed of the first and the last tenth and what the processes held; draws all of it, and keeps it as a table.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import psutil
import tyro

from lipinc.config import REPOSITORY
from lipinc.demo.videos import render_video
from lipinc.evaluation import plots

LOOKS = "steady_state.csv"
"""Name of the table: a row a look."""
DIFFERENT = 4
"""Videos that are rendered; all others are links to them."""


@dataclass(frozen=True)
class Arguments:
    videos: int = 10000
    frames: int = 32
    """Of each video."""
    workers: int = 0
    """Processes; 0: one for each core."""
    interval: float = 1.0
    """Seconds between two looks."""
    folder: Path | None = None
    """Where videos and cache go (200 KB a video); a temporary one otherwise."""
    out: Path = Path("outputs/benchmarks")
    """Where the picture goes, and what it is drawn from."""


@dataclass(frozen=True)
class Look:
    """At the run and all its processes, while videos are read."""

    seconds: float
    done: int
    """Videos in the journal."""
    main: float
    """Resident memory of the script, in MB."""
    worker: float
    """Of the largest of its workers."""
    files: int
    """Open in all of them."""


def main(arguments: Arguments) -> None:
    """Run, print the table, draw the picture."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        _link_videos(Path(folder, "videos"), arguments)
        looks = _watch(Path(folder), arguments)
    tenth = max(1, arguments.videos // 10)
    first, last = _rate(looks, 0, tenth), _rate(looks, arguments.videos - tenth, arguments.videos)
    print(f"{arguments.videos} videos of {arguments.frames} frames, {os.cpu_count()} cores, {looks[-1].seconds:.0f} s")
    print(f"{'':24s} {'first tenth':>12s} {'last tenth':>12s} {'peak':>8s}")
    print(f"{'videos/s':24s} {first:12.2f} {last:12.2f} {'':8s} {last / first:6.2f} x")
    for name, unit in (("main", "MB"), ("worker", "MB"), ("files", "")):
        early = max((getattr(look, name) for look in looks if look.done <= tenth), default=0)
        late = max((getattr(look, name) for look in looks if look.done >= arguments.videos - tenth), default=0)
        peak = max(getattr(look, name) for look in looks)
        title = {"main": "memory, script", "worker": "memory, largest worker", "files": "open files"}[name]
        print(f"{title:24s} {early:12.0f} {late:12.0f} {peak:8.0f} {unit}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / LOOKS).open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([field.name for field in fields(Look)])
        writer.writerows(astuple(look) for look in looks)
    _draw(looks, arguments.out / "steady_state.png")


def _link_videos(root: Path, arguments: Arguments) -> None:
    different = [root / ("fake" if number % 2 else "real") / f"{number}.mp4" for number in range(DIFFERENT)]
    for number, file in enumerate(different):
        render_video(file, number=number, frames=arguments.frames, forged="mouth" if number % 2 else None)
    for number in range(DIFFERENT, arguments.videos):
        file = different[number % DIFFERENT]
        os.link(file, file.with_name(f"{number}.mp4"))


def _watch(folder: Path, arguments: Arguments) -> list[Look]:
    command = [
        *(sys.executable, str(REPOSITORY / "preprocess_extract_lips.py"), "--data.kind", "folder"),
        *("--data.root", str(folder / "videos"), "--cache.path", str(folder / "cache")),
        *("--cache.workers", str(arguments.workers)),
    ]
    looks: list[Look] = []
    started = time.monotonic()
    script = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while script.poll() is None:
        time.sleep(arguments.interval)
        done = _lines(folder / "cache" / "manifest.unfinished.csv") or _lines(folder / "cache" / "manifest.csv")
        main, *workers = [_memory_and_files(process) for process in _family(script.pid)] or [(0, 0)]
        if workers:  # neither imports nor the contact sheet, which come before and after
            files = sum(files for _, files in (main, *workers))
            largest = max(memory for memory, _ in workers)
            looks.append(Look(time.monotonic() - started, done, main[0], largest, files))
    if script.returncode:
        sys.exit(f"error: {' '.join(command)} ends with status {script.returncode}")
    if looks:  # the last videos come between two looks
        seconds, done = time.monotonic() - started, _lines(folder / "cache" / "manifest.csv")
        looks.append(replace(looks[-1], seconds=seconds, done=done))
    return looks


def _family(pid: int) -> list[psutil.Process]:
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


def _lines(file: Path) -> int:
    try:
        return sum(1 for _ in csv.reader(file.open())) - 1
    except FileNotFoundError:
        return 0


def _rate(looks: list[Look], start: int, stop: int) -> float:
    """Videos a second between two counts of videos; nan where they passed faster than two looks."""
    inside = [look for look in looks if start <= look.done <= stop]
    if len(inside) < 2:
        return float("nan")
    return (inside[-1].done - inside[0].done) / (inside[-1].seconds - inside[0].seconds)


def _draw(looks: list[Look], file: Path) -> None:
    window = max(1, len(looks) // 50)
    pairs = list(zip(looks, looks[window:], strict=False))
    speed = [(after.done - before.done) / (after.seconds - before.seconds) for before, after in pairs]
    plots.plot_steady_state(
        [look.done for look in looks],
        {"script": [look.main for look in looks], "largest worker": [look.worker for look in looks]},
        [look.files for look in looks],
        ([after.done for _, after in pairs], speed),
        file,
        title="One run of preprocess_extract_lips.py",
    )
    print(file)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
