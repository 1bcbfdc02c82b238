"""Types and value ranges of settings, declared with each field, and the functions that check all of them.

A field declares its range in its annotation:

    dropout: Annotated[float, Range(0, 1)] = 0.5
"""

import dataclasses
import math
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints


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


TYPE_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "True or False", tuple: "a tuple"}


def has_type(value: Any, kind: Any) -> bool:
    """Return whether a value has the annotated type of its field. Lists count as tuples, whole numbers as numbers."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return has_type(value, inner[0])
    if origin is Literal:
        return isinstance(value, str | int) and value in inner
    if origin in (Union, types.UnionType):
        return any(has_type(value, one) for one in inner)
    if origin is tuple:
        kinds = inner[:1] * len(value) if isinstance(value, tuple | list) and inner[-1] is Ellipsis else inner
        return isinstance(value, tuple | list) and len(value) == len(kinds) and all(map(has_type, value, kinds))
    return kind is Any or isinstance(value, int | float if kind is float else origin or kind)


def type_problems(settings: Any, prefix: str = "") -> Iterator[str]:
    """Yield one message per value of a wrong type, of a settings dataclass and of its nested dataclasses."""
    hints = get_type_hints(type(settings), include_extras=True)
    for field in dataclasses.fields(settings):
        value, kind = getattr(settings, field.name), hints[field.name]
        if not has_type(value, kind):
            yield f"{prefix}{field.name} must be {_type_name(kind)}, not {value!r}"
        elif dataclasses.is_dataclass(value):
            yield from type_problems(value, f"{prefix}{field.name}.")


def _type_name(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type_name(inner[0])
    if origin is Literal:
        return "one of " + ", ".join(map(str, inner))
    if origin in (Union, types.UnionType):
        return " or ".join(map(_type_name, inner))
    return TYPE_NAMES.get(origin or kind, f"a {getattr(kind, '__name__', kind)}")


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
