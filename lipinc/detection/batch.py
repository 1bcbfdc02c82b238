"""Batch detection in subprocesses: a file that crashes its process does not affect the other files."""

import glob
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lipinc.config.loading import load_module
from lipinc.cores import available_cores
from lipinc.errors import UserError, one_line
from lipinc.video.frame_folders import is_frame_folder
from lipinc.video.rejection import Reason, Rejection
from lipinc.video.subprocesses import (
    IsolatedProcess,
    ProcessDied,
    TimeLimitExceeded,
    isolated_thread_pool,
    report_progress,
    thread_process,
)
from lipinc.video.video_files import walk_video_files

if TYPE_CHECKING:
    from lipinc.detection.detector import Detector
    from lipinc.detection.page import IndexRow
    from lipinc.detection.verdict import Verdict

DEFAULT_CHECKPOINT = "mouth_noise"
"""As in lipinc/models/checkpoint.py, which imports torch; --help and a wrong flag must not wait for that."""
REPORT_INTERVAL = 0.5
"""Seconds between two reports of the frames of a video."""
Answer = TypeVar("Answer")

READ_FAILURES = (Reason.MISSING, Reason.UNREADABLE, Reason.TIME_LIMIT, Reason.CRASHED)
"""Rejection reasons caused by the file or the program, not by the content of the video."""


@dataclass(frozen=True)
class Settings:
    """Settings of a batch, sent to every worker process."""

    checkpoint: str
    """A checkpoint file, or the name of a shipped checkpoint."""
    device: str = "auto"
    face: str = "all"
    report: Path | None = None
    """Folder for report pages; None: write none."""
    time_limit: float = 3600
    """Maximum time per video in s; at the limit it is rejected."""
    plugins: tuple[Path, ...] = ()
    """Python files that define models."""
    track: bool = False
    """Keep the verdict of each video, with the boxes of the mouths: large, for a single video."""


@dataclass(frozen=True)
class Result:
    """A verdict without pictures, small enough to keep for every file."""

    values: dict[str, Any]
    """The values of `Verdict.to_json`."""
    row: "IndexRow | None"
    """Row of the report's index; None without a report."""
    problem: str
    """Why the report page could not be written; empty otherwise."""
    verdict: "Verdict | None" = None
    """The verdict itself; None unless requested by `Settings.track`."""

    @property
    def was_read(self) -> bool:
        """Whether the whole video could be read."""
        return self.values["reason"] not in {reason.value for reason in READ_FAILURES}


def find_videos(words: Sequence[str]) -> list[Path]:
    """Expand paths, folders (recursively) and glob patterns to a list of videos without duplicates, in order.

    A folder of numbered pictures is one video.

    Missing files and unreadable folders stay in the list, so that they get a "no verdict" with a reason.

    Args:
        words: paths, folders and patterns.

    Raises:
        UserError: a folder contains no videos, a pattern matches no file, or a word is an address (URL).
    """
    found: dict[Path, None] = {}
    for word in words:
        path = Path(word)
        if os.path.isdir(path):  # Path.is_dir raises if a parent folder is not accessible
            files = list(_videos_below(path))
            if not files:
                raise UserError(
                    f"{path} contains no videos (such as .mp4 files or numbered pictures); name a file to try it anyway"
                )
        elif not os.path.exists(path) and re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", word):
            raise UserError(f"{word} is an address, not a file; download the video and give its file name")
        elif not os.path.exists(path) and glob.has_magic(word):
            files = [
                Path(match)
                for match in sorted(glob.glob(word, recursive=True))
                if os.path.isfile(match) or is_frame_folder(match)
            ]
            if not files:
                raise UserError(f"no file matches the pattern {word}")
        else:
            files = [path]
        found |= dict.fromkeys(files)
    return list(found)


def classify_videos(
    files: list[Path],
    settings: Settings,
    workers: int,
    on_frames: Callable[[tuple[int, int | None]], None] | None = None,
) -> Iterator[Result]:
    """Classify files in parallel and yield each result as soon as it is finished.

    Args:
        files: the videos.
        settings: sent to every process.
        workers: maximum number of processes.
        on_frames: called now and then, in any thread, with the number of frames of a video that have been read and the
            number that its header promises (None: unknown).

    Raises:
        UserError: the checkpoint cannot be used.
    """
    workers = min(workers, len(files))
    classify = partial(_classify_in_thread, settings, on_frames)
    with isolated_thread_pool(workers, initializer=partial(prepare, settings, workers)) as executor:
        for future in as_completed([executor.submit(classify, file) for file in files]):
            yield future.result()


def _classify_in_thread(
    settings: Settings, on_frames: Callable[[tuple[int, int | None]], None] | None, file: Path
) -> Result:
    """Classify one file in the subprocess of the current thread."""
    return call_isolated(thread_process(), settings, classify_video, _reject, file, on_progress=on_frames)


def call_isolated(
    process: IsolatedProcess,
    settings: Settings,
    classify: Callable[..., Answer],
    reject: Callable[..., Answer],
    file: Path | bytes,
    on_progress: Callable[[Any], None] | None = None,
) -> Answer:
    """Call classify(settings, file) in a subprocess, or reject(settings, file, rejection) if it dies or takes too long.

    The rejection is made there, too, because it names the checkpoint.
    """
    try:
        return process.call(classify, settings, file, time_limit=settings.time_limit, on_progress=on_progress)
    except ProcessDied as death:
        rejection = Rejection(Reason.CRASHED, f"its subprocess died ({death})")
    except TimeLimitExceeded:
        rejection = Rejection(Reason.TIME_LIMIT, f"not finished after {settings.time_limit:g} s")
    return process.call(reject, settings, file, rejection)


def prepare(settings: Settings, workers: int) -> None:
    """Initialise a worker process: share the CPU threads and load the detector."""
    import cv2
    import torch

    threads = max(1, available_cores() // workers)
    torch.set_num_threads(min(threads, torch.get_num_threads()))
    cv2.setNumThreads(threads)
    load(settings)


def provenance(settings: Settings) -> dict[str, Any]:
    """The values of a verdict without a video: checkpoint, threshold, settings and versions are those of all others."""
    return load(settings).reject("", Rejection(Reason.MISSING, "")).to_json()


def load(settings: Settings) -> "Detector":
    """Load the detector of a batch, once per process."""
    from lipinc.detection.detector import load_detector

    for plugin in settings.plugins:
        load_plugin(plugin)
    return load_detector(settings.checkpoint, device=settings.device, face=settings.face)


@cache
def load_plugin(file: Path) -> None:
    """Import a file that registers models, once per process."""
    load_module(file)


def classify_video(settings: Settings, file: Path) -> Result:
    """Classify one file in this process."""
    detector = load(settings)
    try:
        verdict = detector(file, evidence=settings.report is not None, track=settings.track, on_frame=frame_report())
    except Exception as error:  # noqa: BLE001 - a bug or a full disk; the other files go on
        return _reject(settings, file, Rejection(Reason.CRASHED, one_line(error)))
    return _to_result(verdict, settings)


def frame_report() -> Callable[[int, int | None], None]:
    """Return a function that tells the owner of this process now and then how many frames of a video have been read."""
    last = time.monotonic()

    def report(read: int, promised: int | None) -> None:
        nonlocal last
        if time.monotonic() - last >= REPORT_INTERVAL:
            last = time.monotonic()
            report_progress((read, promised))

    return report


def _reject(settings: Settings, file: Path, rejection: Rejection) -> Result:
    return _to_result(load(settings).reject(file, rejection), settings)


def _to_result(verdict: "Verdict", settings: Settings) -> Result:
    """Write the report page of a verdict if requested, and drop its pictures."""
    kept = verdict if settings.track else None
    if settings.report is None:
        return Result(verdict.to_json(), None, "", kept)
    from lipinc.detection.page import index_row, write_page

    page, problem = None, ""
    try:
        page = write_page(verdict, settings.report)
    except UserError as error:
        problem = str(error)
    return Result(verdict.to_json(), index_row(verdict, page), problem, kept)


def _videos_below(folder: Path) -> Iterator[Path]:
    """Yield the videos below a folder, then the sub-folders that cannot be read."""
    unreadable: list[Path] = []
    yield from walk_video_files(folder, on_error=lambda error: unreadable.append(Path(error.filename)))
    yield from unreadable
