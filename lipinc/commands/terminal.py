"""Standard streams that no terminal, pipe or locale can turn into a traceback.

This file imports the standard library only.
"""

import errno
import io
import os
import sys


class _Output(io.FileIO):
    """Standard output or standard error. What cannot be written, for example behind `| head`, is discarded."""

    failure = None
    """The OSError that ended it; None: it works."""

    def write(self, data):
        try:
            return super().write(data)
        except BlockingIOError:
            raise
        except OSError as error:
            self.failure = error
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())  # for native code and for subprocesses, too
            os.close(null)
            return len(data)


def prepare():
    """Prepare the standard streams of this process. Call it once, before anything else.

    Streams that the caller has closed are opened on /dev/null: the next file would get their file descriptors, and
    native code would write its logs into it. Characters that the encoding lacks are printed as escape sequences.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor, which is this one
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
    sys.stdout = _text_stream(1, sys.stdout)
    sys.stderr = _text_stream(2, sys.stderr)


def stdout_failure():
    """Return the OSError that ended the standard output, for example a BrokenPipeError; None: it works."""
    try:
        sys.stdout.flush()
        return sys.stdout.buffer.raw.failure
    except AttributeError:  # another stream, in a test
        return None


def is_reader_gone():
    """Whether the reader of the standard output, such as `head`, has ended."""
    failure = stdout_failure()
    return failure is not None and failure.errno == errno.EPIPE


def _text_stream(descriptor, stream):
    if stream is not None:
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(descriptor, "w", closefd=False)),
        encoding="utf-8" if stream is None else stream.encoding,
        errors="backslashreplace",
        line_buffering=descriptor == 2 or os.isatty(descriptor),
        write_through=descriptor == 2,
    )
