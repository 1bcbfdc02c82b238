"""Runs the sections of the GPU check: each isolated, each within its time, all of them before a deadline."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.gpu.outcomes import Check, Outcome
from lipinc.errors import named

LEAST_SECONDS = 3.0
"""A section does not start with less time than this."""


class OutOfTime(BaseException):
    """Not an Exception: what handles errors on the way must not swallow it."""


@dataclass(frozen=True)
class Section:
    """One question to the device."""

    name: str
    run: Callable[[], Iterator[Outcome]]
    seconds: float
    """Its budget."""
    correctness: bool
    """Whether an error of it makes the whole check fail."""
    blocked: str = ""
    """Why it cannot run here; empty: it can."""


@dataclass
class Result:
    """What became of a section."""

    section: str
    correctness: bool
    status: str = "running"
    """done, skipped: REASON, cut: REASON or failed: ERROR."""
    seconds: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether it shows something wrong with the results: a section that was cut or skipped does not."""
        wrong = any(isinstance(outcome, Check) and not outcome.passed for outcome in self.outcomes)
        return wrong or (self.correctness and self.status.startswith("failed"))

    @property
    def complete(self) -> bool:
        return self.status == "done"


def run_sections(sections: list[Section], *, seconds: float, keep: Callable[[list[Result]], Any]) -> list[Result]:
    """Run the sections in order. What each finds is kept, even if it fails or is cut later on.

    Args:
        seconds: of all together.
        keep: called with all results before and after each section.
    """
    deadline = time.monotonic() + seconds
    results: list[Result] = []
    for section in sections:
        result = Result(section.name, section.correctness)
        results.append(result)
        keep(results)
        left = deadline - time.monotonic()
        if section.blocked:
            result.status = f"skipped: {section.blocked}"
        elif left < LEAST_SECONDS:
            result.status = f"skipped: the {seconds:.0f} s of the whole check are used up"
        else:
            _run(section, result, min(section.seconds, left))
        keep(results)
        print(f"{section.name}: {result.status}, {result.seconds:.1f} s", file=sys.stderr, flush=True)
    return results


def _run(section: Section, result: Result, seconds: float) -> None:
    started = time.monotonic()
    try:
        with _at_most(seconds):
            for outcome in section.run():
                result.outcomes.append(outcome)
        result.status = "done"
    except OutOfTime:
        result.status = f"cut: its {seconds:.0f} s are used up"
    except Exception as error:  # noqa: BLE001 - whatever it is, the other sections go on
        result.status = f"failed: {named(error)[:500]}"
    result.seconds = time.monotonic() - started


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises OutOfTime in the block after some seconds."""

    def end(*_: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
