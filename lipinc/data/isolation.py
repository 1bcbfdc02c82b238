"""Calls that may crash or hang their process, made in one that can be spared.

A decoder or MediaPipe can die of a file, or never come back from it. Nothing but another process can then be relied on:
this one makes the calls, its owner waits for it, kills it, and starts the next.

    with Isolated() as process:
        clips = process.call(extract, path, mouth, sampling, time_limit=60)
"""

import ctypes
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any

import psutil

from lipinc.errors import UserError

IDLE = 60
"""Seconds without a call after which the process ends: that of a cluster's worker whose run is over."""
MEMORY = 300
"""MB of resident memory after a call from which on the process makes way for a fresh one. (FaceMesh: 160.)"""
STARTS = 3
"""How often it is started in vain before that is taken for a fault of the machine."""


class ProcessDied(Exception):
    """The process died before it had answered."""


class TimeLimitExceeded(Exception):
    """The process had not answered within the time limit, and was killed."""


class Isolated:
    """One process for one call after another; it starts with the first, and anew after it was lost.

    It ends with the thread that started it, even one that is killed (Linux), and its temporary files go with it. To be
    called and closed from one thread.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._connection: Connection | None = None
        self._scratch: tempfile.TemporaryDirectory | None = None
        self._stopped = False

    def call(self, function: Callable, *arguments: Any, time_limit: float = 0) -> Any:
        """function(*arguments), all of which can be pickled. time_limit: in s, on a clock that never jumps; 0: none.

        Raises ProcessDied, TimeLimitExceeded, what the function raised, and UserError if no process can be started.
        """
        if self._process is None or self._process.poll() is not None:
            self._start()
        try:
            self._connection.send_bytes(pickle.dumps((function, arguments)))
            if not self._connection.poll(time_limit or None):
                raise TimeLimitExceeded
            result, error = pickle.loads(self._connection.recv_bytes())
        except TimeLimitExceeded:
            self._end()
            raise
        except (EOFError, OSError):
            self._end()
            raise ProcessDied from None
        self._retire_if_large()
        if error is not None:
            raise error
        return result

    def stop(self) -> None:
        """Kill the process, from any thread. A call that waits and all later ones raise ProcessDied."""
        self._stopped = True
        process = self._process  # its thread may be replacing it
        if process is not None:
            process.kill()

    def close(self) -> None:
        """`stop`, and clean up."""
        self.stop()
        self._end()

    def __enter__(self) -> "Isolated":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        for _ in range(STARTS):
            self._end()
            if self._stopped:
                raise ProcessDied
            self._scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            self._connection, its_end = Pipe()
            with its_end:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "lipinc.data.isolation", str(its_end.fileno())],
                    pass_fds=[its_end.fileno()],
                    stdin=subprocess.DEVNULL,
                    env={
                        **os.environ,
                        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                        "TMPDIR": self._scratch.name,
                    },
                    start_new_session=True,  # Ctrl-C is for its owner
                )
            with suppress(EOFError, OSError):
                self._connection.recv_bytes()  # it is ready
                return
        raise UserError(f"processes of {sys.executable} die while they start; see what they say above")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):  # one that waits for a dead disk dies when the disk answers
                self._process.wait(timeout=5)
            self._connection.close()
            self._scratch.cleanup()
        self._process = self._connection = self._scratch = None

    def _retire_if_large(self) -> None:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(self._process.pid).memory_info().rss > MEMORY * 2**20:
                self._end()


def main() -> None:
    """Answer the calls that come through the pipe whose file descriptor is the only argument."""
    libc = ctypes.CDLL(None)
    kill_me_with_my_parent = 1  # PR_SET_PDEATHSIG
    libc.prctl(kill_me_with_my_parent, signal.SIGKILL)
    with Connection(int(sys.argv[1])) as connection, suppress(EOFError, OSError):  # its owner has gone
        connection.send_bytes(b"ready")
        while connection.poll(IDLE):
            connection.send_bytes(_answer(connection.recv_bytes()))
            libc.malloc_trim(0)  # glibc keeps what MediaPipe's threads freed: 100 MB more after 50 videos


def _answer(question: bytes) -> bytes:
    try:
        function, arguments = pickle.loads(question)
        return pickle.dumps((function(*arguments), None))
    except Exception as error:  # noqa: BLE001 - its owner raises it again
        return pickle.dumps((None, error))


if __name__ == "__main__":
    main()
