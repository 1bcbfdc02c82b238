"""The videos of a server, from upload to report: one is read at a time, in a subprocess, and the others wait."""

import os
import queue
import re
import secrets
import shutil
import threading
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path, PurePosixPath

from lipinc.detection.batch import Settings, call_isolated, prepare
from lipinc.errors import UserError, one_line, printable
from lipinc.serve.reading import Outcome, read_video, reject_video
from lipinc.video.subprocesses import IsolatedProcess, ProcessDied

IDLE_TIMEOUT = 600
"""Seconds after which an unused subprocess ends and frees its memory."""
MAX_REPORTS = 500
"""Maximum number of videos whose reports are kept, a few MB each."""
MAX_NAME = 200
"""Maximum number of characters of the name of a video."""


class State(str, Enum):
    """Where a video is."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    READING = "reading"
    DONE = "done"
    FAILED = "failed"  # the machine is at fault; what a video is at fault for is a verdict


UNFINISHED = (State.RECEIVING, State.WAITING, State.READING)


class Full(Exception):
    """There is no place for another video. The message says why, and what to do."""


@dataclass
class Job:
    """A video. Its folder has the upload until it has been read, and then its report."""

    id: str
    """Random and secret; it is part of addresses."""
    name: str
    """Name of the video, for people only: no file has it."""
    folder: Path
    upload: Path
    size: int | None
    """Promised size in bytes; None: unknown."""
    state: State = State.RECEIVING
    received: int = 0
    """Received bytes."""
    frames: tuple[int, int | None] = (0, None)
    """Number of frames that have been read, and number that the header promises (None: unknown)."""
    outcome: Outcome | None = None
    problem: str = ""
    """Why the state is FAILED."""


class Jobs:
    """The videos of a server and the thread that has them read. Close it to end both.

    All methods may be called from any thread.
    """

    def __init__(self, settings: Settings, folder: Path, max_jobs: int) -> None:
        """Start the subprocess and load the checkpoint.

        Args:
            settings: the checkpoint and its options; the time limit per video.
            folder: where uploads and reports go.
            max_jobs: maximum number of unfinished videos, the uploads included.

        Raises:
            UserError: the checkpoint cannot be used, or no subprocess can be started.
        """
        self.max_jobs = max_jobs
        self._settings, self._folder = settings, folder
        self._jobs: dict[str, Job] = {}
        self._reading: Job | None = None
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._process = self._new_process()
        self._process.call(os.getpid)  # starts it, and loads the checkpoint
        self._thread = threading.Thread(target=self._work, name="lipinc-jobs", daemon=True)
        self._thread.start()

    def _new_process(self) -> IsolatedProcess:
        return IsolatedProcess(
            initializer=partial(prepare, self._settings, 1), idle_timeout=IDLE_TIMEOUT, scratch_parent=self._folder
        )

    def add(self, name: str, size: int | None) -> Job:
        """Add a video that is about to be uploaded. Its folder exists then.

        Args:
            name: the name that its sender gives it, whatever that may be.
            size: promised size in bytes; None: unknown.

        Raises:
            Full: too many videos are unfinished, or too many reports are kept.
            OSError: the folder cannot be made.
        """
        with self._lock:
            if len(self.unfinished()) >= self.max_jobs:
                raise Full(f"{self.max_jobs} videos are being read or wait; send this one when one is finished.")
            if len(self._jobs) >= MAX_REPORTS:
                raise Full(f"{MAX_REPORTS} reports are kept; delete some of them, then send this video.")
            identity = secrets.token_urlsafe(16)
            folder = self._folder / identity
            folder.mkdir()
            # The suffix is kept because it is part of how a file is read.
            suffix = re.fullmatch(r"\.[a-z0-9]{1,8}", PurePosixPath(name).suffix.lower())
            upload = folder / f"upload{suffix[0] if suffix else ''}"
            job = self._jobs[identity] = Job(identity, _shown(name), folder, upload, size)
            return job

    def submit(self, job: Job) -> None:
        """Have an uploaded video read."""
        with self._lock:
            job.state = State.WAITING
            self._queue.put(job)

    def all(self) -> list[Job]:
        """All videos, the newest first."""
        return list(reversed(list(self._jobs.values())))

    def unfinished(self) -> list[Job]:
        """The videos that have not been read, oldest first."""
        return [job for job in list(self._jobs.values()) if job.state in UNFINISHED]

    def get(self, identity: str) -> Job | None:
        """The video with an id; None: it was deleted, or never existed."""
        return self._jobs.get(identity)

    def delete(self, job: Job) -> None:
        """Delete a video and its report; stop it if it is being read."""
        with self._lock:
            if self._jobs.pop(job.id, None) is None:
                return
            if job is self._reading:
                self._process.stop()  # its thread deletes the folder, when nothing is written there any more
            else:
                _remove(job.folder)

    def close(self) -> None:
        """Stop reading. The files stay, for whoever owns the folder."""
        with self._lock:
            self._jobs.clear()
            self._queue.put(None)
            self._process.stop()
        self._thread.join()
        self._process.close()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            with self._lock:
                if job.id not in self._jobs:
                    continue
                job.state, self._reading = State.READING, job
            outcome, problem = self._read(job)
            with self._lock:
                self._reading = None
                job.upload.unlink(missing_ok=True)
                job.outcome, job.problem = outcome, problem
                job.state = State.FAILED if outcome is None else State.DONE
                if job.id not in self._jobs:  # deleted while it was read, which stopped the process for good
                    _remove(job.folder)
                    self._process.close()
                    self._process = self._new_process()

    def _read(self, job: Job) -> tuple[Outcome | None, str]:
        """Return the outcome, or None and the problem."""

        def show(frames: tuple[int, int | None]) -> None:
            job.frames = frames

        options = {"name": job.name, "folder": job.folder}
        read, reject = partial(read_video, **options), partial(reject_video, **options)
        try:
            return call_isolated(self._process, self._settings, read, reject, job.upload, on_progress=show), ""
        except UserError as error:
            return None, str(error)
        except ProcessDied as death:
            return None, f"Its process died ({death}), usually out of memory; free some memory and send it again."
        except Exception as error:  # noqa: BLE001 - a bug or a full disk; the other videos go on
            return None, f"The program failed ({one_line(error)}), which says nothing about the video."


def _shown(name: str) -> str:
    """Return a name as it may be shown: one printable line, without folders, shortened in its middle."""
    name = printable(name.rpartition("/")[2].strip()) or "video"
    half = MAX_NAME // 2
    return name if len(name) <= MAX_NAME else f"{name[: half - 1]}…{name[-half:]}"


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
