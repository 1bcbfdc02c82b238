"""Calls that may crash or hang their process, made in one that can be spared.

A decoder or MediaPipe can die of a file, or never come back from it. Nothing but another process can then be relied on:
this one makes the calls, its owner waits for it, kills it, and starts the next. Extraction and detection both give each
of their threads one.

    with Isolated() as process:
        clips = process.call(extract, path, mouth, sampling, time_limit=60)
"""

import ctypes
import math
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any

import psutil

from lipinc.errors import UserError

IDLE = 60
"""Seconds without a call after which the process ends: that of a cluster's worker whose run is over."""
STARTS = 3
"""How often it is started in vain before that is taken for a fault of the machine."""
LONGEST = 2_000_000
"""Seconds: poll(2) counts milliseconds in 31 bits. A longer time limit (or inf) is none."""


class ProcessDied(Exception):
    """The process died before it had answered, twice. Its text: of what, such as SIGSEGV."""


class TimeLimitExceeded(Exception):
    """The process had not answered within the time limit, and was killed."""


class Isolated:
    """One process for one call after another; it starts with the first, and anew after it was lost.

    It ends with the thread that started it, even one that is killed (Linux), and its temporary files go with it. To be
    called and closed from one thread.
    """

    def __init__(self, prepare: Callable[[], None] | None = None, memory: float = math.inf) -> None:
        """prepare: called in each process before all else, without a time limit; can be pickled.

        memory: MB; a process that holds more after a call makes way for a fresh one.
        """
        self._prepare = prepare
        self._memory = memory
        self._process: subprocess.Popen | None = None
        self._connection: Connection | None = None
        self._scratch: tempfile.TemporaryDirectory | None = None
        self._stopped = False

    def call(self, function: Callable, *arguments: Any, time_limit: float = 0) -> Any:
        """function(*arguments), all of which can be pickled. time_limit: in s, on a clock that never jumps; 0: none.

        A process that dies may have been killed for another's sake (the memory of the machine, a person): the call is
        made once more, in a fresh one. Raises ProcessDied, TimeLimitExceeded, what the function or `prepare` raised,
        and UserError if no process can be started.
        """
        try:
            result, error = self._call(function, arguments, time_limit)
        except ProcessDied:
            result, error = self._call(function, arguments, time_limit)
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

    def _call(self, function: Callable, arguments: tuple, time_limit: float) -> tuple[Any, Exception | None]:
        if self._process is None or self._process.poll() is not None:
            self._start()
        answer = self._ask(function, arguments, time_limit)
        self._retire_if_large()
        return answer

    def _ask(self, function: Callable, arguments: tuple = (), time_limit: float = 0) -> tuple[Any, Exception | None]:
        """What the function returns or what it raises."""
        try:
            self._connection.send_bytes(pickle.dumps((function, arguments)))
            if not self._connection.poll(time_limit if 0 < time_limit < LONGEST else None):
                self._end()
                raise TimeLimitExceeded
            return pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            process = self._process
            with suppress(subprocess.TimeoutExpired):  # the pipe closes a moment before
                process.wait(timeout=1)
            self._end()
            raise ProcessDied(_cause(process.returncode)) from None

    def _start(self) -> None:
        for _ in range(STARTS):
            self._end()
            if self._stopped:
                raise ProcessDied("stopped")
            self._scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            self._connection, its_end = Pipe()
            with its_end:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "lipinc.video.subprocesses", str(its_end.fileno())],
                    pass_fds=[its_end.fileno()],
                    stdin=subprocess.DEVNULL,
                    env={
                        **os.environ,
                        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                        "TMPDIR": self._scratch.name,
                    },
                    start_new_session=True,  # Ctrl-C is for its owner
                )
            if self._stopped:  # meanwhile
                self._process.kill()
            try:
                _, error = self._ask(self._prepare or os.getpid)
            except ProcessDied as death:
                cause = death
                continue
            if error is not None:
                self._end()
                raise error
            return
        raise UserError(
            f"processes of {sys.executable} die while they start ({cause}); see what they say above, or have fewer"
        )

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
            if psutil.Process(self._process.pid).memory_info().rss > self._memory * 2**20:
                self._end()


@contextmanager
def isolating_threads(count: int, **options: Any) -> Iterator[ThreadPoolExecutor]:
    """Threads with a process each; options: of `Isolated`. When the block ends, so do they, whatever they are at."""
    processes = [Isolated(**options) for _ in range(count)]
    with ThreadPoolExecutor(count, initializer=_take_one, initargs=(processes.copy(),)) as executor:
        try:
            yield executor
        finally:  # what still runs is nobody's any more, and the threads would wait for it
            for process in processes:
                process.stop()
            executor.shutdown(cancel_futures=True)
            for process in processes:
                process.close()


def process_of_thread(**options: Any) -> Isolated:
    """The process of this thread; options: of `Isolated`, where it has none yet (one of a cluster's worker)."""
    if not hasattr(_mine, "process"):
        _mine.process = Isolated(**options)
    return _mine.process


_mine = threading.local()


def _take_one(processes: list[Isolated]) -> None:
    _mine.process = processes.pop()


def main() -> None:
    """Answer the calls that come through the pipe whose file descriptor is the only argument."""
    libc = ctypes.CDLL(None)
    kill_me_with_my_parent = 1  # PR_SET_PDEATHSIG
    libc.prctl(kill_me_with_my_parent, signal.SIGKILL)
    with Connection(int(sys.argv[1])) as connection, suppress(EOFError, OSError):  # its owner has gone
        while connection.poll(IDLE):
            connection.send_bytes(_answer(connection.recv_bytes()))
            libc.malloc_trim(0)  # glibc keeps what MediaPipe's threads freed: 100 MB more after 50 videos


def _answer(question: bytes) -> bytes:
    try:
        function, arguments = pickle.loads(question)
        return pickle.dumps((function(*arguments), None))
    except Exception as error:  # noqa: BLE001 - its owner raises it again
        return pickle.dumps((None, error))


def _cause(code: int | None) -> str:
    """Of death, from subprocess' returncode."""
    return signal.Signals(-code).name if code is not None and -code in set(signal.Signals) else f"exit status {code}"


if __name__ == "__main__":
    main()
