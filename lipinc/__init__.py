"""LIPINC: detection of lip-sync deepfakes by inconsistencies of the mouth.

>>> import lipinc
>>> verdict = lipinc.detect("video.mp4")
>>> print(verdict.decision.words, verdict.probability)
"""

import importlib
from typing import TYPE_CHECKING

from lipinc.versions import __version__

if TYPE_CHECKING:
    from lipinc.config import Config
    from lipinc.detection.detector import Detector
    from lipinc.detection.service import detect
    from lipinc.detection.verdict import Verdict
    from lipinc.models import build_model
    from lipinc.models.checkpoint import load_checkpoint

_MODULES = {
    "Config": "lipinc.config",
    "Detector": "lipinc.detection.detector",
    "Verdict": "lipinc.detection.verdict",
    "build_model": "lipinc.models",
    "detect": "lipinc.detection.service",
    "load_checkpoint": "lipinc.models.checkpoint",
}
__all__ = ["Config", "Detector", "Verdict", "__version__", "build_model", "detect", "load_checkpoint"]


def __getattr__(name):
    # Lazy imports: importing the package for its config must not take the seconds that torch takes.
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
