"""LIPINC: lip-sync deepfakes found by the inconsistencies of the mouth.

>>> import lipinc
>>> verdict = lipinc.detect("video.mp4")
>>> print(verdict.decision.value, verdict.probability)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lipinc.detection.detector import Detector, detect
    from lipinc.detection.verdict import Verdict

__all__ = ["Detector", "Verdict", "detect"]


def __getattr__(name: str):
    # Importing the package for its config or its losses must not cost the seconds that torch takes.
    if name in ("Detector", "detect"):
        from lipinc.detection import detector

        return getattr(detector, name)
    if name == "Verdict":
        from lipinc.detection.verdict import Verdict

        return Verdict
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
