"""Detection: seconds per video, relative to decoding and FaceMesh alone, and whether memory grows with the video.

    python -m benchmarks.detection --video data/demo/RealVideo-RealAudio/*/*/*/00109.mp4

Seconds of `detect.py --help`, of start-up (imports and checkpoint), and of a video after start-up, for each shipped
checkpoint. `floor` is decoding and FaceMesh alone on the same frames. Memory is the peak of a process that classifies
the video, and of one that classifies a video with the same content many times over.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from benchmarks import REPOSITORY
from benchmarks.command import run_benchmark
from benchmarks.memory import peak_memory
from lipinc.config import MouthConfig
from lipinc.cores import available_cores
from lipinc.detection.detector import Detector
from lipinc.video.landmarks import FaceMesh
from lipinc.video.reader import Frame, downscale, read_frames
from lipinc.video.writer import encode


@dataclass(frozen=True)
class Arguments:
    """Time and memory of detection."""

    video: Path
    """A short video."""
    repeats: int = 3
    """Repeats of each measurement; the table has the median."""
    loops: int = 20
    """How many times the long video repeats the video."""


def main(arguments: Arguments) -> None:
    """Print the table."""
    frames = sum(1 for _ in read_frames(arguments.video))
    print(f"{arguments.video.name}: {frames} frames; {torch.get_num_threads()} threads, {available_cores()} cores")
    help_seconds = _median(arguments.repeats, _script_seconds, "--help")
    print(f"{'detect.py --help':44s}{help_seconds:8.2f} s")
    floor = _median(arguments.repeats, _floor_seconds, arguments.video)
    print(f"{'floor: decoding and FaceMesh':44s}{floor:8.2f} s   1.00 x")
    for checkpoint in sorted((REPOSITORY / "lipinc" / "detection" / "weights").glob("*.safetensors")):
        whole = _median(arguments.repeats, _script_seconds, str(arguments.video), "--checkpoint", str(checkpoint))
        detector = Detector(checkpoint)
        detector(arguments.video)
        seconds = _median(arguments.repeats, _seconds, detector, arguments.video)
        print(f"{checkpoint.stem + ', after start-up':44s}{seconds:8.2f} s {seconds / floor:6.2f} x")
        print(f"{checkpoint.stem + ', start-up':44s}{whole - seconds:8.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder, "long.mp4")
        encode(_looped(arguments.video, arguments.loops), long, crf=20, preset="ultrafast")
        for name, video in (("memory", arguments.video), (f"memory, {arguments.loops} times as long", long)):
            with get_context("spawn").Pool(1) as pool:
                print(f"{name:44s}{pool.apply(_peak_memory, (video,)):8.0f} MB")


def _median(repeats: int, measure: Callable[..., float], *arguments) -> float:
    return statistics.median(measure(*arguments) for _ in range(repeats))


def _seconds(call: Callable, *arguments) -> float:
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started


def _script_seconds(*words: str) -> float:
    command = [sys.executable, str(REPOSITORY / "detect.py"), *words]
    return _seconds(lambda: subprocess.run(command, check=True, capture_output=True))


def _floor_seconds(video: Path) -> float:
    def work() -> None:
        mesh = FaceMesh()
        for frame in read_frames(video):
            mesh(downscale(frame.image, MouthConfig.working_width))

    return _seconds(work)


def _looped(video: Path, loops: int) -> Iterator[Frame]:
    count = 0
    for _ in range(loops):
        for frame in read_frames(video):
            yield Frame(count, count / 25, frame.image)
            count += 1


def _peak_memory(video: Path) -> float:
    """Peak memory of this process in MB, after it has classified a video."""
    Detector()(video)
    return peak_memory()


if __name__ == "__main__":
    run_benchmark(main, Arguments, __spec__.name, __doc__)
