"""Extraction: CPU time per frame relative to decoding and landmarks alone and to MediaPipe's runtime, and the gain of a
second worker.

    python -m benchmarks.extraction --video data/demo/RealVideo-RealAudio/*/*/*/00109.mp4

The video is played forwards and backwards until it has `--frames` frames, at three sizes. Four tables:

CPU milliseconds per frame in one process: `decode`; `floor`, decoding and landmarks; `extract`, from a video to its
clips; `mediapipe`, the same with MediaPipe's own runtime, if it is installed; `HOG`, the face detector that the
published extraction starts with, at its width of 800 px. HOG needs `pip install dlib-bin` and is slow. The measurements
take turns.

Seconds from the start of a process to the first landmarks, and its peak memory then.

Frames per second of preprocessing with one worker and with two, and the same ratio for the floor, which shows the gain
that a second process has on this machine.

Peak memory of a process, for the video and for one ten times as long.
"""

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import cv2

from benchmarks.command import run_benchmark
from benchmarks.memory import peak_memory
from lipinc.cache.build import build_cache
from lipinc.config import CacheConfig, Config, MouthConfig, SamplingConfig
from lipinc.datasets import CsvIndex
from lipinc.datasets.records import Label, VideoRecord
from lipinc.video.clips import extract
from lipinc.video.landmarks import FaceMesh
from lipinc.video.native_logs import quiet_native_logs
from lipinc.video.reader import Frame, downscale, read_frames
from lipinc.video.writer import encode

SIZES = {"224p": (224, 224), "480p": (480, 854), "1080p": (1080, 1920)}
"""Height and width in px; 224p is FakeAVCeleb's."""
SAMPLING = SamplingConfig(windows=12, fallback="nearest")
HOG_FRAMES = 20
"""Frames on which HOG is timed."""


@dataclass(frozen=True)
class Arguments:
    """Time and memory of extraction."""

    video: Path
    """A video that shows a face."""
    frames: int = 250
    """Frames of the video at each size."""
    repeats: int = 3
    """Repeats of each measurement of CPU time; the table has the minimum."""
    copies: int = 8
    """Copies of the video that the workers share."""


def main(arguments: Arguments) -> None:
    """Print the tables."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder, quiet_native_logs():
        videos = {name: Path(folder, f"{name}.mp4") for name in SIZES}
        for name, video in videos.items():
            encode(_resized(arguments.video, arguments.frames, *SIZES[name]), video, crf=20, preset="veryfast")
        hog = _hog()
        columns = f"{'decode':>8s}{'floor':>8s}{'extract':>9s}{'/ floor':>9s}"
        rivals = f"{'mediapipe':>11s}{'/ extract':>11s}{'HOG':>8s}{'/ extract':>11s}"
        print(f"{'ms/frame':10s}{columns}{rivals}")
        works = [_decode, _floor, _extract, *([_extract_by_mediapipe] if find_spec("mediapipe") else [])]
        for name, video in videos.items():
            decode, floor, ours, *mediapipe = (
                1000 * seconds / arguments.frames for seconds in _cpu_seconds(arguments.repeats, works, video)
            )
            reference = f"{mediapipe[0]:11.2f}{mediapipe[0] / ours:11.2f}" if mediapipe else f"{'-':>11s}{'-':>11s}"
            published = f"{'-':>8s}{'-':>11s}"
            if hog is not None:
                milliseconds = 1000 * _cpu_seconds(1, [hog], video)[0] / HOG_FRAMES
                published = f"{milliseconds:8.1f}{milliseconds / ours:11.1f}"
            print(
                f"{name:10s}{decode:8.2f}{floor:8.2f}{ours:9.2f}{ours / floor:9.2f}{reference}{published}", flush=True
            )
        print(f"\n{'start':10s}{'first landmarks, s':>20s}{'peak MB':>9s}")
        for name in ("litert", "mediapipe"):
            if name == "litert" or find_spec("mediapipe"):
                seconds, memory = min(_first_landmarks(name, videos["480p"]) for _ in range(arguments.repeats))
                print(f"{name:10s}{seconds:20.2f}{memory:9.0f}", flush=True)
        print(f"\n{'frames/s':10s}{'1 worker':>10s}{'2 workers':>11s}{'ratio':>8s}{'floor ratio':>14s}")
        for name, video in videos.items():
            one, two = (_frames_per_second(video, arguments, workers) for workers in (1, 2))
            floor_one, floor_two = (_floor_frames_per_second(video, arguments, workers) for workers in (1, 2))
            print(f"{name:10s}{one:10.0f}{two:11.0f}{two / one:8.2f}{floor_two / floor_one:14.2f}", flush=True)
        print(f"\n{'peak MB':10s}{'once':>10s}{'10 x':>11s}")
        for name in SIZES:
            long = Path(folder, f"{name}_long.mp4")
            encode(_resized(arguments.video, 10 * arguments.frames, *SIZES[name]), long, crf=20, preset="ultrafast")
            once, longer = (_peak_memory(video) for video in (videos[name], long))
            print(f"{name:10s}{once:10.0f}{longer:11.0f}", flush=True)


def _resized(source: Path, count: int, height: int, width: int) -> Iterator[Frame]:
    """A video forwards and backwards, scaled to a height, its sides mirrored up to a width."""
    images = [frame.image for frame in read_frames(source)]
    for index, image in enumerate(itertools.islice(itertools.cycle(images + images[::-1]), count)):
        scale = height / image.shape[0]
        image = cv2.resize(image, (min(width, round(image.shape[1] * scale)), height), interpolation=cv2.INTER_CUBIC)
        side = width - image.shape[1]
        image = cv2.copyMakeBorder(image, 0, 0, side // 2, side - side // 2, cv2.BORDER_REFLECT)
        yield Frame(index, index / 25, image)


def _cpu_seconds(repeats: int, works: list[Callable[[Path], None]], video: Path) -> list[float]:
    """The minimum of each work, which take turns."""

    def once(work: Callable[[Path], None]) -> float:
        started = time.process_time()
        work(video)
        return time.process_time() - started

    return [min(seconds) for seconds in zip(*([once(work) for work in works] for _ in range(repeats)), strict=True)]


def _decode(video: Path) -> None:
    for frame in read_frames(video):
        downscale(frame.image, MouthConfig.working_width)


def _floor(video: Path) -> None:
    mesh = FaceMesh()
    for frame in read_frames(video):
        mesh(downscale(frame.image, MouthConfig.working_width))


def _extract(video: Path) -> None:
    extract(video, MouthConfig(), SAMPLING)


def _extract_by_mediapipe(video: Path) -> None:
    extract(video, MouthConfig(landmarks="mediapipe"), SAMPLING)


def _first_landmarks(name: str, video: Path) -> tuple[float, float]:
    """Seconds from the start of a process to the landmarks of the first frame, and its peak memory in MB."""
    program = (
        "import sys; from pathlib import Path; from benchmarks.memory import peak_memory;"
        "from lipinc.video.landmarks import runtime; from lipinc.video.reader import read_frames;"
        "runtime(sys.argv[1]).FaceMesh()(next(read_frames(Path(sys.argv[2]))).image); print(peak_memory())"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program, name, str(video)], stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - started, float(done.stdout)


def _hog() -> Callable[[Path], None] | None:
    try:
        import dlib
    except ImportError:
        return None
    detector = dlib.get_frontal_face_detector()

    def detect(video: Path) -> None:
        for frame in itertools.islice(read_frames(video), HOG_FRAMES):
            height = round(frame.image.shape[0] * 800 / frame.image.shape[1])
            detector(cv2.cvtColor(cv2.resize(frame.image, (800, height)), cv2.COLOR_BGR2GRAY), 0)

    return detect


def _frames_per_second(video: Path, arguments: Arguments, workers: int) -> float:
    """Frames per second of preprocessing, without start-up."""
    with tempfile.TemporaryDirectory() as folder:
        records = [
            VideoRecord(f"{number}.mp4", Label.REAL, str(number)) for number in range(arguments.copies + workers)
        ]
        for record in records:
            Path(folder, record.path).symlink_to(video)
        config = Config(
            data=CsvIndex(root=folder),
            sampling=SAMPLING,
            cache=CacheConfig(path=f"{folder}/cache", workers=workers),
        )
        times: list[float] = []
        build_cache(config, records, lambda row, earlier: times.append(time.perf_counter()))
        return _rate(times, workers, arguments.frames)


def _floor_frames_per_second(video: Path, arguments: Arguments, workers: int) -> float:
    """The same for decoding and FaceMesh alone."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(_quiet_floor, video) for _ in range(arguments.copies + workers)]
        times = [time.perf_counter() for _ in as_completed(running)]
    return _rate(times, workers, arguments.frames)


def _quiet_floor(video: Path) -> None:
    with quiet_native_logs():
        _floor(video)


def _rate(times: list[float], workers: int, frames: int) -> float:
    """Frames per second, from the times at which videos were finished. Without the first video of each worker."""
    return (len(times) - workers) * frames / (times[-1] - times[workers - 1])


def _peak_memory(video: Path) -> float:
    """Peak memory of a process that extracts a video, in MB."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_extract_and_measure, (video,))


def _extract_and_measure(video: Path) -> float:
    _extract(video)
    return peak_memory()


if __name__ == "__main__":
    run_benchmark(main, Arguments, __spec__.name, __doc__)
