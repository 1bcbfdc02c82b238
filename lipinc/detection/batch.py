"""Batch detection in subprocesses: a file that crashes its process does not affect the other files."""

import glob
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipinc.config.loading import load_module
from lipinc.errors import UserError, one_line
from lipinc.video.frame_folders import is_frame_folder
from lipinc.video.rejection import Reason, Rejection
from lipinc.video.subprocesses import ProcessDied, TimeLimitExceeded, isolated_thread_pool, thread_process
from lipinc.video.video_files import walk_video_files

if TYPE_CHECKING:
    from lipinc.detection.detector import Detector
    from lipinc.detection.page import IndexRow
    from lipinc.detection.verdict import Verdict

READ_FAILURES = (Reason.MISSING, Reason.UNREADABLE, Reason.TIME_LIMIT, Reason.CRASHED)
"""Rejection reasons caused by the file or the program, not by the content of the video."""


@dataclass(frozen=True)
class Settings:
    """Settings of a batch, sent to every worker process."""

    checkpoint: str
    """A checkpoint file, or the name of a shipped checkpoint."""
    device: str = "auto"
    face: str = "largest"
    report: Path | None = None
    """Folder for report pages; None: write none."""
    time_limit: float = 3600
    """Maximum time per video in s; at the limit it is rejected."""
    plugins: tuple[Path, ...] = ()
    """Python files that define models."""


@dataclass(frozen=True)
class Result:
    """A verdict without pictures, small enough to keep for every file."""

    values: dict[str, Any]
    """The values of `Verdict.to_json`."""
    row: "IndexRow | None"
    """Row of the report's index; None without a report."""
    problem: str
    """Why the report page could not be written; empty otherwise."""

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
        UserError: a folder contains no videos, or a pattern matches no file.
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


def classify_videos(files: list[Path], settings: Settings, workers: int) -> Iterator[Result]:
    """Classify files in parallel and yield each result as soon as it is finished.

    Args:
        files: the videos.
        settings: sent to every process.
        workers: maximum number of processes.

    Raises:
        UserError: the checkpoint cannot be used.
    """
    workers = min(workers, len(files))
    with isolated_thread_pool(workers, initializer=partial(_prepare, settings, workers)) as executor:
        for future in as_completed([executor.submit(_classify_isolated, settings, file) for file in files]):
            yield future.result()


def _classify_isolated(settings: Settings, file: Path) -> Result:
    """Classify one file in the subprocess of the current thread."""
    process = thread_process()
    try:
        return process.call(classify_video, settings, file, time_limit=settings.time_limit)
    except ProcessDied as death:
        rejection = Rejection(Reason.CRASHED, f"its subprocess died ({death})")
    except TimeLimitExceeded:
        rejection = Rejection(Reason.TIME_LIMIT, f"not finished after {settings.time_limit:g} s")
    return process.call(_reject, settings, file, rejection)  # there, because the verdict includes the checkpoint


def _prepare(settings: Settings, workers: int) -> None:
    """Initialise a worker process: share the CPU threads and load the detector."""
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    load(settings)


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
        verdict = detector(file, evidence=settings.report is not None)
    except Exception as error:  # noqa: BLE001 - a bug or a full disk; the other files go on
        return _reject(settings, file, Rejection(Reason.CRASHED, one_line(error)))
    return _to_result(verdict, settings)


def _reject(settings: Settings, file: Path, rejection: Rejection) -> Result:
    return _to_result(load(settings).reject(file, rejection), settings)


def _to_result(verdict: "Verdict", settings: Settings) -> Result:
    """Write the report page of a verdict if requested, and drop its pictures."""
    if settings.report is None:
        return Result(verdict.to_json(), None, "")
    from lipinc.detection.page import index_row, write_page

    page, problem = None, ""
    try:
        page = write_page(verdict, settings.report)
    except UserError as error:
        problem = str(error)
    return Result(verdict.to_json(), index_row(verdict, page), problem)


def _videos_below(folder: Path) -> Iterator[Path]:
    """Yield the videos below a folder, then the sub-folders that cannot be read."""
    unreadable: list[Path] = []
    yield from walk_video_files(folder, on_error=lambda error: unreadable.append(Path(error.filename)))
    yield from unreadable
