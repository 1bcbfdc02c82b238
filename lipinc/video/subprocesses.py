"""Runs functions in a disposable subprocess, with crash detection and a timeout.

A decoder or MediaPipe can crash on a file, or hang on it for ever. Only another process is safe from that: the
subprocess runs the function; its owner waits for it, kills it if necessary, and starts a new one. Extraction and
detection both give each of their threads one subprocess.

    with IsolatedProcess() as process:
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

IDLE_TIMEOUT = 60
"""Seconds without a call after which a subprocess exits, so that a cluster's worker keeps none after its run."""
MAX_START_FAILURES = 3
"""Maximum number of consecutive start failures; then the machine is at fault, not a file."""
MAX_TIME_LIMIT = 2_000_000
"""Seconds: poll(2) counts milliseconds in 31 bits. A longer time limit, such as inf, means no limit."""


class ProcessDied(Exception):
    """The subprocess died twice before it returned a result. The message is the cause of death, such as SIGSEGV."""


class TimeLimitExceeded(Exception):
    """The subprocess did not return a result within the time limit and was killed."""


class IsolatedProcess:
    """A subprocess that runs one call after another. The first call starts it; it is restarted after a loss.

    It ends with the thread that started it, even if that thread's process is killed (Linux). Its temporary files are
    deleted with it. Call and close it from one thread.
    """

    def __init__(self, initializer: Callable[[], None] | None = None, max_memory_mb: float = math.inf) -> None:
        """
        Args:
            initializer: Runs first in every new subprocess, without a time limit. Must be picklable.
            max_memory_mb: A subprocess whose resident memory exceeds this after a call is replaced by a new one.
        """
        self._initializer = initializer
        self._max_memory_mb = max_memory_mb
        self._process: subprocess.Popen | None = None
        self._connection: Connection | None = None
        self._scratch: tempfile.TemporaryDirectory | None = None
        self._stopped = False

    def call(self, function: Callable, *arguments: Any, time_limit: float = 0) -> Any:
        """Run function(*arguments) in the subprocess and return its result. All of these must be picklable.

        A process that dies may have been killed externally (by the OOM killer, or by a person), so the call is retried
        once, in a new process.

        Args:
            time_limit: In s, on a monotonic clock; 0: no limit.

        Raises:
            ProcessDied: the process died twice.
            TimeLimitExceeded: the time limit is over; the process was killed.
            UserError: no process can be started.
            Exception: whatever the function or the initializer raised.
        """
        try:
            result, error = self._call(function, arguments, time_limit)
        except ProcessDied:
            result, error = self._call(function, arguments, time_limit)
        if error is not None:
            raise error
        return result

    def stop(self) -> None:
        """Kill the process, from any thread. The call in progress and all later calls raise ProcessDied."""
        self._stopped = True
        process = self._process  # read once: the owning thread may be replacing it
        if process is not None:
            process.kill()

    def close(self) -> None:
        """`stop`, and clean up."""
        self.stop()
        self._end()

    def __enter__(self) -> "IsolatedProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, function: Callable, arguments: tuple, time_limit: float) -> tuple[Any, Exception | None]:
        if self._process is None or self._process.poll() is not None:
            self._start()
        outcome = self._send(function, arguments, time_limit)
        self._end_if_large()
        return outcome

    def _send(self, function: Callable, arguments: tuple = (), time_limit: float = 0) -> tuple[Any, Exception | None]:
        """Send a call to the process and wait. Returns (result, None) or (None, the exception it raised)."""
        try:
            self._connection.send_bytes(pickle.dumps((function, arguments)))
            if not self._connection.poll(time_limit if 0 < time_limit < MAX_TIME_LIMIT else None):
                self._end()
                raise TimeLimitExceeded
            return pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            process = self._process
            with suppress(subprocess.TimeoutExpired):  # the pipe closes a moment before the process is dead
                process.wait(timeout=1)
            self._end()
            raise ProcessDied(_cause_of_death(process.returncode)) from None

    def _start(self) -> None:
        for _ in range(MAX_START_FAILURES):
            self._end()
            if self._stopped:
                raise ProcessDied("stopped")
            self._scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            self._connection, child_end = Pipe()
            with child_end:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "lipinc.video.subprocesses", str(child_end.fileno())],
                    pass_fds=[child_end.fileno()],
                    stdin=subprocess.DEVNULL,
                    env={
                        **os.environ,
                        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                        "TMPDIR": self._scratch.name,
                    },
                    start_new_session=True,  # Ctrl-C must reach the owner only
                )
            if self._stopped:  # by another thread, in the meantime
                self._process.kill()
            try:
                _, error = self._send(self._initializer or os.getpid)
            except ProcessDied as death:
                cause = death
                continue
            if error is not None:
                self._end()
                raise error
            return
        raise UserError(
            f"processes of {sys.executable} die while they start ({cause}); see their output above or use fewer workers"
        )

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):  # blocked by a dead disk: it dies when the disk answers
                self._process.wait(timeout=5)
            self._connection.close()
            self._scratch.cleanup()
        self._process = self._connection = self._scratch = None

    def _end_if_large(self) -> None:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(self._process.pid).memory_info().rss > self._max_memory_mb * 2**20:
                self._end()


@contextmanager
def isolated_thread_pool(count: int, **options: Any) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of `count` threads, each with its own subprocess (see `thread_process`).

    When the block ends, all threads and subprocesses end at once, whatever they are doing. options: arguments of
    `IsolatedProcess`.
    """
    processes = [IsolatedProcess(**options) for _ in range(count)]
    with ThreadPoolExecutor(count, initializer=_take_process, initargs=(processes.copy(),)) as executor:
        try:
            yield executor
        finally:  # nobody needs the results of calls still in progress, but the threads would wait for them
            for process in processes:
                process.stop()
            executor.shutdown(cancel_futures=True)
            for process in processes:
                process.close()


def thread_process(**options: Any) -> IsolatedProcess:
    """The subprocess of the current thread.

    options: arguments of `IsolatedProcess`, used if the thread has none yet, as on a cluster's worker.
    """
    if not hasattr(_thread_local, "process"):
        _thread_local.process = IsolatedProcess(**options)
    return _thread_local.process


_thread_local = threading.local()


def _take_process(processes: list[IsolatedProcess]) -> None:
    _thread_local.process = processes.pop()


def main() -> None:
    """Run the calls that arrive through a pipe. The only command-line argument is its file descriptor."""
    libc = ctypes.CDLL(None)
    pr_set_pdeathsig = 1  # the kernel kills this process when its parent dies
    libc.prctl(pr_set_pdeathsig, signal.SIGKILL)
    with Connection(int(sys.argv[1])) as connection, suppress(EOFError, OSError):  # the owner is gone
        while connection.poll(IDLE_TIMEOUT):
            connection.send_bytes(_run(connection.recv_bytes()))
            libc.malloc_trim(0)  # glibc keeps what MediaPipe's threads freed: 100 MB more after 50 videos


def _run(request: bytes) -> bytes:
    try:
        function, arguments = pickle.loads(request)
        return pickle.dumps((function(*arguments), None))
    except Exception as error:  # noqa: BLE001 - the owner raises it again
        return pickle.dumps((None, error))


def _cause_of_death(returncode: int | None) -> str:
    """The name of the signal that killed a process, or its exit status."""
    if returncode is not None and -returncode in set(signal.Signals):
        return signal.Signals(-returncode).name
    return f"exit status {returncode}"


if __name__ == "__main__":
    main()
