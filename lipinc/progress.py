"""Progress bars: on a terminal tqdm's, in a log a full line now and then."""

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from tqdm import tqdm

LOG_INTERVAL = 30
"""Seconds between two lines in a log."""
LOG_LINE = "{desc}: {n_fmt} of {total_fmt} {unit}s [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


def progress_bar(iterable: Iterable | None = None, *, leave: bool = True, **options: Any) -> tqdm:
    """Create a progress bar on stderr.

    Where stderr is no terminal, it becomes a line every 30 s and, with `leave`, a first and a last one.

    Args:
        iterable: what to iterate over; None: call `update`.
        leave: whether the bar stays on the terminal when it ends.
        options: of tqdm, such as total, desc, unit and disable.
    """
    if sys.stderr is None:  # closed
        return tqdm(iterable, **{**options, "disable": True})
    if sys.stderr.isatty():
        return tqdm(iterable, leave=leave, **options)
    return tqdm(
        iterable,
        leave=leave,
        file=_Lines(sys.stderr),
        bar_format=LOG_LINE if options.get("desc") else LOG_LINE.removeprefix("{desc}: "),
        mininterval=LOG_INTERVAL,
        maxinterval=LOG_INTERVAL,
        delay=0 if leave else LOG_INTERVAL,
        **options,
    )


class _Lines:
    """A stream that turns what tqdm draws on a terminal into lines, and drops cursor movements."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> None:
        line = text.replace("\x1b[A", "").strip()
        if line:
            self._stream.write(f"{line}\n")

    def flush(self) -> None:
        self._stream.flush()
