"""Discards what native libraries write to stderr."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator


class _StderrSwitch:
    """Redirects file descriptor 2 to /dev/null while at least one thread wants it, and restores it after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._saved: int | None = None

    def off(self) -> None:
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            with contextlib.suppress(OSError, AttributeError, ValueError):  # None or closed
                sys.stderr.flush()
            with contextlib.suppress(OSError):  # nothing to redirect: the program was started without stderr
                self._saved = os.dup(2)
                devnull = os.open(os.devnull, os.O_WRONLY)
                os.dup2(devnull, 2)
                os.close(devnull)

    def on(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self.restore()

    def restore(self) -> None:
        if self._saved is not None:
            os.dup2(self._saved, 2)
            os.close(self._saved)
            self._saved = None


_stderr = _StderrSwitch()


def _restore_stderr_after_fork() -> None:
    """In the new process, the threads that redirected stderr do not exist."""
    global _stderr
    _stderr.restore()
    _stderr = _StderrSwitch()


os.register_at_fork(after_in_child=_restore_stderr_after_fork)


@contextlib.contextmanager
def quiet_native_logs() -> Iterator[None]:
    """Discard what is written to stderr (file descriptor 2) in the block: FFmpeg, LiteRT and MediaPipe flood it.

    Threads may be in such blocks at the same time; until the last one leaves, nothing of this process reaches stderr.
    """
    switch = _stderr
    switch.off()
    try:
        yield
    finally:
        switch.on()
