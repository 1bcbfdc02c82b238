"""Error rates of a detector. Apart from its calibration, because a verdict carries them to programs without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ErrorRates:
    """How often a detector erred on videos of people and sources that it was not trained on, by size of the face."""

    face_height: tuple[float, float]
    """Range of the face height in px; the upper bound is exclusive."""
    reals: int
    """Number of real videos; a video counts once under each condition."""
    fakes: int
    reals_accused: float
    """Fraction of the real videos that were called fake."""
    fakes_missed: float
    """Fraction of the fakes that were called real."""
    decided: float
    """Fraction of all videos that were called either."""

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "ErrorRates":
        """Read JSON values; null is an upper bound of infinity."""
        low, high = values["face_height"]
        return cls(**{**values, "face_height": (float(low), float("inf") if high is None else float(high))})
