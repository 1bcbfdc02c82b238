"""`lipinc.detect`: one video, from any program, thread or web service.

The video is read and scored in a subprocess, as the command does it. The program of the caller loads neither torch nor
LiteRT; it keeps its stderr and outlives a video that crashes or hangs its decoder.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lipinc.cores import available_cores
from lipinc.detection.batch import DEFAULT_CHECKPOINT, Settings, call_isolated, load
from lipinc.errors import UserError, one_line
from lipinc.video.rejection import Reason, Rejection
from lipinc.video.subprocesses import IsolatedProcess, ProcessDied

if TYPE_CHECKING:
    from lipinc.detection.verdict import Verdict

IDLE_TIMEOUT = 600
"""Seconds after which an unused subprocess ends and frees its memory."""


def detect(
    path: str | os.PathLike,
    checkpoint: str | os.PathLike = DEFAULT_CHECKPOINT,
    *,
    device: str = "auto",
    face: str | int = "all",
    time_limit: float = Settings.time_limit,
    plugins: Sequence[str | os.PathLike] = (),
    track: bool = False,
) -> "Verdict":
    """Examine one video; the Python equivalent of detect.py.

    Safe to call from several threads at once, from an executor of asyncio, after a fork and in a daemon process: each
    call in progress has a subprocess of its own, of which there are as many as cores; further calls wait. The first
    call takes some seconds longer, to start a subprocess and load the checkpoint. A subprocess (0.8 GB) keeps its
    checkpoints for the following calls, and ends after ten minutes without one and with this process.

    Args:
        path: the video file.
        checkpoint: a checkpoint file, or the name of a shipped checkpoint.
        device: auto, cpu or cuda.
        face: all (up to four faces), largest, or the rank of one face by area: 0, 1, ...
        time_limit: maximum time in s after the checkpoint is loaded; 0: none.
        plugins: Python files that define the model of the checkpoint, if it is a plug-in.
        track: include the boxes of the mouth of each face, which `overlay.write_overlay` needs.

    Returns:
        The verdict. A video that cannot be examined, that crashes its subprocess or that exceeds the time limit gets
        "no verdict" with a reason.

    Raises:
        UserError: an argument is invalid, the checkpoint cannot be used, or no subprocess can be started.
    """
    try:
        checkpoint = os.fspath(checkpoint)
        name = os.fsencode(os.path.abspath(path))  # bytes: the subprocess may decode names otherwise than this process
    except TypeError as error:
        raise UserError(f"the video and the checkpoint must be paths, not {path!r} and {checkpoint!r}") from error
    settings = Settings(
        # Absolute, since the working directory of the subprocess is that of an earlier call.
        os.path.abspath(checkpoint) if os.path.isfile(checkpoint) else checkpoint,
        str(device),
        str(face),
        time_limit=time_limit,
        plugins=tuple(Path(plugin).absolute() for plugin in plugins),
        track=track,
    )
    with _pool.process() as process:
        try:
            process.call(_load, settings)
            verdict = call_isolated(process, settings, _classify, _reject, name)
        except ProcessDied as death:
            raise UserError(
                f"the subprocess died while it loaded {checkpoint} ({death}), usually out of memory; free some memory"
            ) from None
    return replace(verdict, file=os.fsdecode(path))


def _load(settings: Settings) -> None:
    load(settings)


def _classify(settings: Settings, name: bytes) -> "Verdict":
    file = os.fsdecode(name)
    try:
        return load(settings)(file, track=settings.track)
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug or a full disk; reported like a crash
        return load(settings).reject(file, Rejection(Reason.CRASHED, one_line(error)))


def _reject(settings: Settings, name: bytes, rejection: Rejection) -> "Verdict":
    return load(settings).reject(os.fsdecode(name), rejection)


class _Pool:
    """The subprocesses of this process: at most one for each core, started when they are needed."""

    def __init__(self) -> None:
        self._idle: list[IsolatedProcess] = []
        self._free = threading.BoundedSemaphore(available_cores())

    @contextmanager
    def process(self) -> Iterator[IsolatedProcess]:
        """Lend a subprocess, the one last used if possible; wait if all are lent."""
        with self._free:
            try:
                process = self._idle.pop()
            except IndexError:
                process = IsolatedProcess(idle_timeout=IDLE_TIMEOUT)
            try:
                yield process
            finally:
                self._idle.append(process)


_pool = _Pool()


def _renew_pool() -> None:
    """After a fork, in the new process: the lock may be held by a thread that does not exist here."""
    global _pool
    _pool = _Pool()


os.register_at_fork(after_in_child=_renew_pool)
