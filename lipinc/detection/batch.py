"""Many videos to their verdicts, in subprocesses: a file that kills its process does not affect the others."""

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
from lipinc.video.rejection import Reason, Rejection
from lipinc.video.subprocesses import ProcessDied, TimeLimitExceeded, isolated_thread_pool, thread_process
from lipinc.video.video_files import walk_video_files

if TYPE_CHECKING:
    from lipinc.detection.detector import Detector
    from lipinc.detection.page import IndexRow
    from lipinc.detection.verdict import Verdict

NOT_READ = (Reason.MISSING, Reason.UNREADABLE, Reason.TIME_LIMIT, Reason.CRASHED)
"""Reasons that say something of the file or the program, not of what the video shows."""


@dataclass(frozen=True)
class Settings:
    """How a batch is classified. It goes to every worker process."""

    checkpoint: str
    """A file, or the name of a shipped checkpoint."""
    device: str = "auto"
    face: str = "largest"
    report: Path | None = None
    """Folder of the pages; None: none are written."""
    time_limit: float = 3600
    """Seconds per video, after which it is given up."""
    plugins: tuple[Path, ...] = ()
    """Python files that define models."""


@dataclass(frozen=True)
class Result:
    """What is kept of a verdict: no pictures."""

    values: dict[str, Any]
    """Verdict.to_json()."""
    row: "IndexRow | None"
    """Of the report's index; None where no report was asked for."""
    problem: str
    """Why its page could not be written; empty otherwise."""

    @property
    def was_read(self) -> bool:
        return self.values["reason"] not in {reason.value for reason in NOT_READ}


def find_videos(words: Sequence[str]) -> list[Path]:
    """The files that paths, folders (searched all through) and patterns name, each once, in order.

    A path that is not there, or a folder that may not be read, stays in the list: it gets its verdict, none. Raises
    UserError for a folder without videos and a pattern that nothing fits.
    """
    found: dict[Path, None] = {}
    for word in words:
        path = Path(word)
        if os.path.isdir(path):  # Path's own raises where a folder above is closed
            files = list(_below(path))
            if not files:
                raise UserError(f"{path} holds no video (a suffix such as .mp4); name the file itself to try it anyway")
        elif not os.path.exists(path) and glob.has_magic(word):
            files = [Path(match) for match in sorted(glob.glob(word, recursive=True)) if os.path.isfile(match)]
            if not files:
                raise UserError(f"nothing fits the pattern {word}")
        else:
            files = [path]
        found |= dict.fromkeys(files)
    return list(found)


def classify_videos(files: list[Path], settings: Settings, workers: int) -> Iterator[Result]:
    """A result for each file, as they are done, from so many processes at most. Raises UserError if the checkpoint
    cannot be used."""
    workers = min(workers, len(files))
    with isolated_thread_pool(workers, initializer=partial(_prepare, settings, workers)) as executor:
        for future in as_completed([executor.submit(_classify_isolated, settings, file) for file in files]):
            yield future.result()


def _classify_isolated(settings: Settings, file: Path) -> Result:
    """The result of one file, from the process of this thread."""
    process = thread_process()
    try:
        return process.call(classify_video, settings, file, time_limit=settings.time_limit)
    except ProcessDied as death:
        rejection = Rejection(Reason.CRASHED, f"the process that reads it dies ({death})")
    except TimeLimitExceeded:
        rejection = Rejection(Reason.TIME_LIMIT, f"given up after {settings.time_limit:g} s")
    return process.call(_refuse, settings, file, rejection)  # its verdict names the checkpoint too


def _prepare(settings: Settings, workers: int) -> None:
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    load(settings)


def load(settings: Settings) -> "Detector":
    """The detector of a batch, loaded once per process."""
    from lipinc.detection.detector import load_detector

    for plugin in settings.plugins:
        load_plugin(plugin)
    return load_detector(settings.checkpoint, device=settings.device, face=settings.face)


@cache
def load_plugin(file: Path) -> None:
    """Run a file that registers models, once per process."""
    load_module(file)


def classify_video(settings: Settings, file: Path) -> Result:
    """The result of one file, in this process."""
    detector = load(settings)
    try:
        verdict = detector(file, evidence=settings.report is not None)
    except Exception as error:  # noqa: BLE001 - a bug, or a full disk below a long video's mouths: the others go on
        return _refuse(settings, file, Rejection(Reason.CRASHED, one_line(error)))
    return _keep(verdict, settings)


def _refuse(settings: Settings, file: Path, rejection: Rejection) -> Result:
    return _keep(load(settings).refuse(file, rejection), settings)


def _keep(verdict: "Verdict", settings: Settings) -> Result:
    if settings.report is None:
        return Result(verdict.to_json(), None, "")
    from lipinc.detection.page import index_row, write_page

    page, problem = None, ""
    try:
        page = write_page(verdict, settings.report)
    except UserError as error:
        problem = str(error)
    return Result(verdict.to_json(), index_row(verdict, page), problem)


def _below(folder: Path) -> Iterator[Path]:
    unreadable: list[Path] = []
    yield from walk_video_files(folder, on_error=lambda error: unreadable.append(Path(error.filename)))
    yield from unreadable
