"""Many videos to their verdicts, on several processes; a file that kills its process costs only itself."""

import glob
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipinc.data.catalog import VIDEO_SUFFIXES
from lipinc.errors import UserError
from lipinc.video.rejection import Reason, Rejection

if TYPE_CHECKING:
    from lipinc.detection.detector import Detector
    from lipinc.detection.page import IndexRow
    from lipinc.detection.verdict import Verdict

NOT_READ = (Reason.MISSING, Reason.UNREADABLE, Reason.CRASHED)
"""Reasons that say something of the file or the program, not of what the video shows."""


@dataclass(frozen=True)
class Settings:
    """How a batch is judged. It goes to every worker process."""

    checkpoint: Path
    device: str = "auto"
    face: str = "largest"
    report: Path | None = None
    """Folder of the pages; None: none are written."""


@dataclass(frozen=True)
class Result:
    """What is kept of a verdict: no pictures."""

    values: dict[str, Any]
    """Verdict.to_json()."""
    row: "IndexRow | None"
    """Of the report's index, where its page was written."""
    problem: str
    """Why its page could not be written; empty otherwise."""

    @property
    def was_read(self) -> bool:
        return self.values["reason"] not in {reason.value for reason in NOT_READ}


def find_videos(words: list[str]) -> list[Path]:
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


def judge(files: list[Path], settings: Settings, workers: int) -> Iterator[Result]:
    """A result for each file, as they are done. Raises UserError if the checkpoint cannot be used.

    workers: processes; 1: this one. A process that dies takes those along that share its pool: each file that was in
    work is tried once more, alone.
    """
    if workers == 1:
        detector = _load(settings)
        for file in files:
            yield _judge(detector, file, settings)
        return
    waiting, suspects = deque(files), []
    while waiting:
        yield from _judge_in_pool(waiting, suspects, settings, workers)
    for file in suspects:
        died: list[Path] = []
        yield from _judge_in_pool(deque([file]), died, settings, workers=1)
        if died:
            yield _keep(_load(settings).refuse(file, _DIED), settings)


_DIED = Rejection(Reason.CRASHED, "the process that reads it dies")


def _judge_in_pool(waiting: deque[Path], suspects: list[Path], settings: Settings, workers: int) -> Iterator[Result]:
    """Take files from `waiting` until none is left or the pool breaks; files in work then go to `suspects`."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    running: dict[Future, Path] = {}
    broken = False
    # Spawned: FaceMesh hangs after a fork.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (settings, threads))
    try:
        while running or (waiting and not broken):
            while waiting and not broken and len(running) < 2 * workers:  # none waits for its next file
                try:
                    running[pool.submit(_work, waiting[0])] = waiting[0]
                    waiting.popleft()
                except BrokenProcessPool:
                    broken = True
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                file = running.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    broken = True
                    suspects.append(file)
    finally:
        pool.shutdown(cancel_futures=True)


_worker: "tuple[Detector, Settings] | UserError | None" = None
"""Of a worker process: what it has loaded, or why it could not."""


def _start_worker(settings: Settings, threads: int) -> None:
    import torch

    global _worker
    torch.set_num_threads(threads)
    try:
        _worker = (_load(settings), settings)
    except UserError as error:  # raised here, it would look like a process that died
        _worker = error


def _work(file: Path) -> Result:
    if isinstance(_worker, UserError):
        raise _worker
    detector, settings = _worker
    return _judge(detector, file, settings)


def _load(settings: Settings) -> "Detector":
    from lipinc.detection.detector import Detector

    return Detector(settings.checkpoint, device=settings.device, face=settings.face)


def _judge(detector: "Detector", file: Path, settings: Settings) -> Result:
    try:
        verdict = detector(file, evidence=settings.report is not None)
    except Exception as error:  # noqa: BLE001 - a bug, or a full disk below a long video's mouths: the others go on
        detail = f"{type(error).__name__}: {' '.join(str(error).split())}"
        verdict = detector.refuse(file, Rejection(Reason.CRASHED, detail))
    return _keep(verdict, settings)


def _keep(verdict: "Verdict", settings: Settings) -> Result:
    if settings.report is None:
        return Result(verdict.to_json(), None, "")
    from lipinc.detection.page import index_row, write_page

    try:
        row = index_row(verdict, write_page(verdict, settings.report))
    except UserError as error:
        return Result(verdict.to_json(), None, str(error))
    return Result(verdict.to_json(), row, "")


def _below(folder: Path) -> Iterator[Path]:
    closed: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith("."):
                yield Path(place, name)
    yield from closed
