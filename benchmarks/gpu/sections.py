"""Sections of the GPU check: what one finds, and how they run, each isolated and all of them before a deadline."""

import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lipinc.errors import one_line

MIN_SECONDS = 3.0
"""A section does not start with less time than this."""

Figure = float | int | str | bool | None


@dataclass(frozen=True)
class Check:
    """A correctness check: an error and its tolerance."""

    name: str
    error: float
    tolerance: float
    note: str = ""
    figures: dict[str, Figure] = field(default_factory=dict)
    """Further values for the JSON file, such as the error of each gradient."""

    @property
    def passed(self) -> bool:
        """NaN fails."""
        return self.error <= self.tolerance

    @property
    def status(self) -> str:
        """The first column of the table."""
        return "ok" if self.passed else "FAILED"

    def text(self) -> str:
        """The last column of the table."""
        return f"error {self.error:.1e}, tolerance {self.tolerance:g}" + (f"; {self.note}" if self.note else "")


@dataclass(frozen=True)
class Measurement:
    """Measured values by name; the name contains the unit."""

    name: str
    figures: dict[str, Figure]
    note: str = ""

    @property
    def status(self) -> str:
        """The first column of the table."""
        return "measured"

    def text(self) -> str:
        """The last column of the table."""
        figures = ", ".join(f"{name} {_rounded(value)}" for name, value in self.figures.items() if value is not None)
        return figures + (f"; {self.note}" if self.note else "")


Outcome = Check | Measurement


def exact(name: str, correct: bool, note: str = "") -> Check:
    """A check that is right or wrong, without a tolerance."""
    return Check(name, 0.0 if correct else math.inf, 0.0, note)


class OutOfTime(BaseException):
    """The time of a section is used up. Not an Exception, so that error handlers on the way do not catch it."""


@dataclass(frozen=True)
class Section:
    """A group of checks and measurements."""

    name: str
    run: Callable[[], Iterator[Outcome]]
    seconds: float
    """Time limit."""
    correctness: bool = False
    """Whether an error in this section makes the whole check fail."""
    blocked: str = ""
    """Why it cannot run here; empty: it can."""


@dataclass
class Result:
    """What a section found."""

    section: str
    correctness: bool
    status: str = "running"
    """done, skipped: REASON, stopped: REASON or failed: ERROR."""
    seconds: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether results are wrong. A section that was stopped or skipped shows nothing wrong."""
        wrong = any(isinstance(outcome, Check) and not outcome.passed for outcome in self.outcomes)
        return wrong or (self.correctness and self.status.startswith("failed"))

    @property
    def complete(self) -> bool:
        """Whether it ran to its end."""
        return self.status == "done"


def run_sections(sections: list[Section], *, seconds: float, save: Callable[[list[Result]], Any]) -> list[Result]:
    """Run the sections in order. The outcomes of a section are kept even if it fails or is stopped later.

    Args:
        seconds: time limit of all sections together.
        save: called with all results before and after each section.
    """
    deadline = time.monotonic() + seconds
    results: list[Result] = []
    for section in sections:
        result = Result(section.name, section.correctness)
        results.append(result)
        save(results)
        left = deadline - time.monotonic()
        if section.blocked:
            result.status = f"skipped: {section.blocked}"
        elif left < MIN_SECONDS:
            result.status = f"skipped: the {seconds:.0f} s of the whole check are used up"
        else:
            _run(section, result, min(section.seconds, left))
        save(results)
        print(f"{section.name}: {result.status}, {result.seconds:.1f} s", file=sys.stderr, flush=True)
    return results


def _run(section: Section, result: Result, seconds: float) -> None:
    started = time.monotonic()
    try:
        with _time_limit(seconds):
            for outcome in section.run():
                result.outcomes.append(outcome)
        result.status = "done"
    except OutOfTime:
        result.status = f"stopped: its {seconds:.0f} s are used up"
    except Exception as error:  # noqa: BLE001 - whatever it is, the other sections go on
        result.status = f"failed: {one_line(error)[:500]}"
    result.seconds = time.monotonic() - started


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the block after some seconds."""

    def stop(*_: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _rounded(value: Figure) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
