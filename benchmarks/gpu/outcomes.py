"""What a section of the GPU check finds: checks that pass or fail, and measurements."""

import math
from dataclasses import dataclass, field

Figure = float | int | str | bool | None


@dataclass(frozen=True)
class Check:
    """A correctness check: an error against its tolerance."""

    name: str
    error: float
    tolerance: float
    note: str = ""
    figures: dict[str, Figure] = field(default_factory=dict)
    """What else goes to the JSON file, such as the error of each gradient."""

    @property
    def passed(self) -> bool:
        """A NaN fails."""
        return self.error <= self.tolerance

    @property
    def status(self) -> str:
        return "ok" if self.passed else "FAILED"

    def text(self) -> str:
        """The error and its tolerance, as the table shows them."""
        return f"error {self.error:.1e}, tolerance {self.tolerance:g}" + (f"; {self.note}" if self.note else "")


@dataclass(frozen=True)
class Measurement:
    """Figures by name, with the unit in the name."""

    name: str
    figures: dict[str, Figure]
    note: str = ""

    @property
    def status(self) -> str:
        return "measured"

    def text(self) -> str:
        """The figures, as the table shows them."""
        figures = ", ".join(f"{name} {_short(value)}" for name, value in self.figures.items() if value is not None)
        return figures + (f"; {self.note}" if self.note else "")


Outcome = Check | Measurement


def exact(name: str, correct: bool, note: str = "") -> Check:
    """A check without a tolerance."""
    return Check(name, 0.0 if correct else math.inf, 0.0, note)


def _short(value: Figure) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
