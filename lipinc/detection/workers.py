"""Files to processes of their own: one that dies on its file, or takes too long, costs that file alone."""

import math
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from lipinc.errors import UserError

LOADED_ONCE = ["lipinc.detection.detector", "mediapipe"]
"""Imported by a server without a video that all processes are forked from: one that died is soon replaced. FaceMesh
hangs after a fork, but not where only its module was imported before."""


@dataclass(frozen=True)
class Lost:
    """A file without a result."""

    file: Path
    detail: str
    """What became of its process."""


def work_apart(
    load: Callable[[], Callable[[Path], Any]], files: list[Path], workers: int, time_limit: float
) -> Iterator[Any]:
    """What `load()` gives, called for each file in one of several processes: its result or Lost, as they are done.

    load: called once in each process, pickled on the way. time_limit: seconds for a file, start-up not counted.
    Raises the UserError that `load` raises, and one where a process dies in it.
    """
    waiting = deque(files)
    crew = [_Worker(load) for _ in range(min(workers, len(files)))]
    try:
        while crew:
            left = min(worker.deadline for worker in crew) - time.monotonic()
            answered = wait([worker.connection for worker in crew], min(max(left, 0), 3600))  # it takes no infinity
            for worker in crew.copy():
                if worker.connection in answered:
                    file, answer = worker.file, worker.answer()
                elif worker.deadline <= time.monotonic():
                    file, answer = worker.file, Lost(worker.file, f"given up after {time_limit:g} s")
                else:
                    continue
                if isinstance(answer, UserError):
                    raise answer
                if isinstance(answer, Lost) or not waiting:
                    worker.stop()
                    crew.remove(worker)
                    if waiting:
                        crew.append(_Worker(load))
                else:
                    worker.give(waiting.popleft(), time_limit)
                if file is not None:
                    yield answer
    finally:
        for worker in crew:
            worker.stop()


class _Worker:
    """A process, and the file it works on: None while it loads."""

    def __init__(self, load: Callable[[], Callable[[Path], Any]]):
        context = get_context("forkserver")
        context.set_forkserver_preload(LOADED_ONCE)
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, load), daemon=True)
        self._process.start()
        theirs.close()
        self.file: Path | None = None
        self.deadline = math.inf

    def give(self, file: Path, time_limit: float) -> None:
        self.file, self.deadline = file, time.monotonic() + time_limit
        self.connection.send(file)

    def answer(self) -> Any:
        """What it sent; UserError or Lost where it died."""
        try:
            return self.connection.recv()
        except EOFError:
            self._process.join()
        if self.file is None:
            return UserError("a process that judges videos died as it started; is there memory for --workers of them?")
        code = self._process.exitcode
        return Lost(self.file, f"the process that reads it dies ({_signal_name(code)})")

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


def _serve(connection: Connection, load: Callable[[], Callable[[Path], Any]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent ends this one
    try:
        work = load()
    except UserError as error:
        connection.send(error)
        return
    connection.send(None)
    while True:
        try:
            file = connection.recv()
        except EOFError:
            return
        connection.send(work(file))


def _signal_name(code: int) -> str:
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"exit status {code}"
