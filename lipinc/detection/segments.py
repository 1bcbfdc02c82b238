"""Segments: suspicious stretches of a video."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Segment:
    """A suspicious stretch of a video."""

    start: float
    """In s."""
    end: float
    """In s."""
    probability: float
    """How sure, 0..1."""
