"""Runs functions in a disposable subprocess, with crash detection and a timeout.

A decoder can crash on a file, or hang on it for ever. Only another process is safe from that: the
subprocess runs the function; its owner waits for it, kills it if necessary, and starts a new one. Extraction and
detection both give each of their threads one subprocess.

    with IsolatedProcess() as process:
        clips = process.call(extract, path, mouth, sampling, time_limit=60)

A subprocess imports the modules of its owner, wherever both run: neither the working directory nor PYTHONPATH matters.
It reads file names as UTF-8 in every locale, as the commands do.
"""

import atexit
import ctypes
import math
import os
import pickle
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import psutil

from lipinc.errors import UserError

IDLE_TIMEOUT = 60
"""Seconds without a call after which a subprocess exits, so that a cluster's worker keeps none after its run."""
MAX_START_FAILURES = 3
"""Maximum number of consecutive start failures; then the machine is at fault, not a file."""
MAX_TIME_LIMIT = 2_000_000
"""Seconds: poll(2) counts milliseconds in 31 bits. A longer time limit, such as inf, means no limit."""

PACKAGE = Path(__file__).absolute().parents[1] / "__init__.py"
PROGRAM = """\
import sys
sys.path[:] = {path!r}
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("lipinc", {package!r})
sys.modules["lipinc"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["lipinc"])
from lipinc.video.subprocesses import main
main({idle_timeout!r})
"""
"""What a subprocess runs. With -c, sys.path starts with the working directory until the second line, and the first one
imports a built-in module; then the package is that of the owner, even if another one comes first in its sys.path."""


class ProcessDied(Exception):
    """The subprocess died twice before it returned a result. The message is the cause of death, such as SIGSEGV."""


class TimeLimitExceeded(Exception):
    """The subprocess did not return a result within the time limit and was killed."""


class IsolatedProcess:
    """A subprocess that runs one call after another. The first call starts it; it is restarted after a loss.

    It ends with the process of its owner, even if that is killed (Linux). Its temporary files are deleted with it.
    Call and close it from one thread at a time. After a fork, the new process starts its own.
    """

    def __init__(
        self,
        initializer: Callable[[], None] | None = None,
        max_memory_mb: float = math.inf,
        idle_timeout: float = IDLE_TIMEOUT,
        scratch_parent: str | os.PathLike | None = None,
    ) -> None:
        """
        Args:
            initializer: Runs first in every new subprocess, without a time limit. Must be picklable.
            max_memory_mb: A subprocess whose resident memory exceeds this after a call is replaced by a new one.
            idle_timeout: In s; a subprocess that gets no call for so long exits. The next call starts another.
            scratch_parent: Folder in which its temporary files go; None: the usual one.
        """
        self._initializer = initializer
        self._max_memory_mb = max_memory_mb
        self._idle_timeout = idle_timeout
        self._scratch_parent = scratch_parent
        self._stopped = False
        self._forget()
        _instances.add(self)

    def _forget(self) -> None:
        self._process: subprocess.Popen | None = None
        self._connection: Connection | None = None
        self._scratch: str | None = None

    def call(
        self,
        function: Callable,
        *arguments: Any,
        time_limit: float = 0,
        on_progress: Callable[[Any], None] | None = None,
    ) -> Any:
        """Run function(*arguments) in the subprocess and return its result. All of these must be picklable.

        A process that dies may have been killed externally (by the OOM killer, or by a person), so the call is retried
        once, in a new process.

        Args:
            time_limit: In s, on a monotonic clock; 0: no limit.
            on_progress: Called in this thread with each value that the function passes to `report_progress`.

        Raises:
            ProcessDied: the process died twice.
            TimeLimitExceeded: the time limit is over; the process was killed.
            UserError: no process can be started.
            Exception: whatever the function or the initializer raised.
        """
        try:
            result, error = self._call(function, arguments, time_limit, on_progress)
        except ProcessDied:
            result, error = self._call(function, arguments, time_limit, on_progress)
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

    def _call(
        self, function: Callable, arguments: tuple, time_limit: float, on_progress: Callable[[Any], None] | None
    ) -> tuple[Any, Exception | None]:
        if self._process is None or self._process.poll() is not None:
            self._start()
        outcome = self._send(function, arguments, time_limit, on_progress)
        self._end_if_large()
        return outcome

    def _send(
        self,
        function: Callable,
        arguments: tuple = (),
        time_limit: float = 0,
        on_progress: Callable[[Any], None] | None = None,
    ) -> tuple[Any, Exception | None]:
        """Send a call to the process and wait. Returns (result, None) or (None, the exception it raised)."""
        deadline = time.monotonic() + time_limit if 0 < time_limit < MAX_TIME_LIMIT else math.inf
        try:
            self._exchange(lambda: self._connection.send_bytes(pickle.dumps((function, arguments))))
            while True:
                is_result, content = self._exchange(lambda: self._receive(deadline))
                if is_result:
                    return content
                if on_progress is not None:
                    on_progress(content)
        except BaseException:  # also Ctrl-C: the answer to this call must not be taken for that of the next one
            self._end()
            raise

    def _receive(self, deadline: float) -> tuple[bool, Any]:
        remaining = None if deadline == math.inf else max(0, deadline - time.monotonic())
        if not self._connection.poll(remaining):
            raise TimeLimitExceeded
        return pickle.loads(self._connection.recv_bytes())

    def _exchange(self, transfer: Callable[[], Any]) -> Any:
        try:
            return transfer()
        except (EOFError, OSError):
            process = self._process
            with suppress(subprocess.TimeoutExpired):  # the pipe closes a moment before the process is dead
                process.wait(timeout=1)
            raise ProcessDied(_cause_of_death(process.returncode)) from None

    def _start(self) -> None:
        for _ in range(MAX_START_FAILURES):
            self._end()
            if self._stopped:
                raise ProcessDied("stopped")
            self._scratch = tempfile.mkdtemp(dir=self._scratch_parent)
            self._connection, child_end = Pipe()
            with child_end:
                self._process = _start_in_lasting_thread(
                    [sys.executable, "-X", "utf8", "-c", _program(self._idle_timeout)],
                    stdin=child_end.fileno(),
                    stdout=subprocess.DEVNULL,
                    # Where the owner was started without stderr, its second file descriptor may be any file by now.
                    stderr=subprocess.DEVNULL if sys.__stderr__ is None else None,
                    env={**os.environ, "TMPDIR": self._scratch},
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
        if self._connection is not None:
            self._connection.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._forget()

    def _end_if_large(self) -> None:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(self._process.pid).memory_info().rss > self._max_memory_mb * 2**20:
                self._end()


@contextmanager
def map_isolated(function: Callable, items: Sequence, workers: int) -> Iterator[Iterator[Any]]:
    """Yield an iterator of function(item) for each item, in order, computed in up to `workers` subprocesses.

    The result of an item that twice killed its subprocess is the ProcessDied. What the function raises is raised by the
    iterator. function and items must be picklable.
    """

    def call(item: Any) -> Any:
        try:
            return thread_process().call(function, item)
        except ProcessDied as death:
            return death

    with isolated_thread_pool(max(1, min(workers, len(items)))) as executor:
        yield executor.map(call, items)


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


def report_progress(value: Any) -> None:
    """Send a picklable value to `on_progress` of the call in progress. Does nothing outside of a subprocess."""
    if _owner is not None:
        _owner.send_bytes(pickle.dumps((False, value)))


_owner: Connection | None = None
"""In a subprocess, the pipe to its owner."""


def main(idle_timeout: float) -> None:
    """Run the calls that arrive through a pipe, which is the standard input."""
    global _owner
    libc = ctypes.CDLL(None)
    pr_set_pdeathsig = 1  # the kernel kills this process when the thread that started it ends
    libc.prctl(pr_set_pdeathsig, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A cluster sends these to all processes of a job. If this one ended first, its video would be blamed.
        signal.signal(number, signal.SIG_IGN)
    _owner = Connection(os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)  # nothing that the function calls may read from the pipe
    os.close(null)
    with _owner, suppress(EOFError, OSError):  # the owner is gone
        while _owner.poll(idle_timeout):
            _owner.send_bytes(_run(_owner.recv_bytes()))
            libc.malloc_trim(0)  # glibc keeps what threads freed: with MediaPipe, 100 MB more after 50 videos


def _run(request: bytes) -> bytes:
    try:
        function, arguments = pickle.loads(request)
        return pickle.dumps((True, (function(*arguments), None)))
    except Exception as error:  # noqa: BLE001 - the owner raises it again
        return pickle.dumps((True, (None, error)))


def _program(idle_timeout: float) -> str:
    """The program of a subprocess, with the sys.path of this process, less the working directory ("")."""
    path = [os.path.abspath(entry) for entry in sys.path if entry]
    return PROGRAM.format(path=path, package=str(PACKAGE), idle_timeout=idle_timeout)


def _cause_of_death(returncode: int | None) -> str:
    """The name of the signal that killed a process, or its exit status."""
    if returncode is not None and -returncode in set(signal.Signals):
        return signal.Signals(-returncode).name
    return f"exit status {returncode}"


class _Starter:
    """Starts processes in a thread that lives as long as this process.

    The kernel kills a subprocess when the *thread* that started it ends (PR_SET_PDEATHSIG). The threads of a web server
    come and go; their subprocesses stay for others.
    """

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[tuple[Future, list[str], dict]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def __call__(self, command: list[str], **options: Any) -> subprocess.Popen:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lipinc-starter", daemon=True)
                self._thread.start()
        future: Future = Future()
        self._requests.put((future, command, options))
        return future.result()

    def _work(self) -> None:
        while True:
            future, command, options = self._requests.get()
            try:
                future.set_result(subprocess.Popen(command, **options))
            except Exception as error:  # noqa: BLE001 - raised in the thread that asked
                future.set_exception(error)


_start_in_lasting_thread = _Starter()
_instances: weakref.WeakSet[IsolatedProcess] = weakref.WeakSet()


def _close_all() -> None:
    for process in list(_instances):
        process.close()


def _disown_all() -> None:
    """After a fork, in the new process: the subprocesses and their files belong to the old one, and so does the thread
    that starts them."""
    global _start_in_lasting_thread, _instances
    for process in list(_instances):
        process._forget()
    _start_in_lasting_thread = _Starter()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_disown_all)
