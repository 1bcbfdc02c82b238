"""Value ranges of settings, declared next to each field, and the function that checks all of them.

A field declares its range in its annotation:

    dropout: Annotated[float, Range(0, 1)] = 0.5
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints


@dataclass(frozen=True)
class Range:
    """A closed interval [low, high], or an open one. A tuple is in range if every item is."""

    low: float
    high: float = math.inf
    open: bool = False
    """Exclude both ends."""

    def problem(self, value: Any) -> str:
        """Describe why a value is out of range, as the end of a sentence; "" if it is in range."""
        values = value if isinstance(value, tuple) else (value,)
        if all(self.low < v < self.high if self.open else self.low <= v <= self.high for v in values):
            return ""  # nan fails every comparison, so it is out of range
        if math.isfinite(self.high):
            return f"must {'lie' if self.open else 'be'} between {self.low} and {self.high}, not {value}"
        return f"must be {'above' if self.open else 'at least'} {self.low}, not {value}"


@dataclass(frozen=True)
class Increasing:
    """Two positive numbers, the smaller one first."""

    def problem(self, value: Any) -> str:
        """As `Range.problem`."""
        return "" if 0 < value[0] <= value[1] else f"must be two positive numbers, the smaller first, not {value}"


UnitInterval = Annotated[float, Range(0, 1)]
"""A number in [0, 1]: a probability or a fraction."""


def range_problems(settings: Any, prefix: str = "") -> Iterator[str]:
    """Yield one message per out-of-range value of a settings dataclass and of its nested dataclasses."""
    hints = get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from range_problems(value, f"{prefix}{field.name}.")
            continue
        for constraint in getattr(hints[field.name], "__metadata__", ()):
            if isinstance(constraint, Range | Increasing) and (problem := constraint.problem(value)):
                yield f"{prefix}{field.name} {problem}"
