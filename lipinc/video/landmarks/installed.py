"""Whether what finds landmarks is installed: checked before the work, so that no video is rejected for its absence."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

from lipinc.errors import UserError

DLIB_PACKAGES = {"dlib": "dlib-bin", "face_recognition_models": "face_recognition_models"}
"""Modules that are needed, and the packages that contain them; the second one brings the 68-point model."""
MEDIAPIPE = "0.10.21"
"""The last version with the models of this package."""


def require_landmarks(name: Literal["litert", "mediapipe", "dlib"]) -> None:
    """Check that the packages of `mouth.landmarks` are installed, without importing them.

    Raises:
        UserError: an optional package is missing, or has another version.
        ModuleNotFoundError: LiteRT is missing, which lipinc cannot do without.
    """
    if name == "dlib":
        missing = [package for module, package in DLIB_PACKAGES.items() if find_spec(module) is None]
        if missing:
            raise UserError(
                f"mouth.landmarks dlib needs packages that are not installed: python -m pip install {' '.join(missing)}"
            )
    elif name == "mediapipe":
        found = _mediapipe_version()
        if found != MEDIAPIPE:
            state = f"{found} is installed" if found else "it is not installed"
            raise UserError(
                f"mouth.landmarks mediapipe needs `pip install mediapipe=={MEDIAPIPE}`, which exists for Python 3.10 "
                f"to 3.12 ({state}); mouth.landmarks litert gives the same landmarks"
            )
    elif find_spec("ai_edge_litert") is None:
        raise ModuleNotFoundError("No module named 'ai_edge_litert'", name="ai_edge_litert")


def _mediapipe_version() -> str:
    try:
        return version("mediapipe") if find_spec("mediapipe") else ""
    except PackageNotFoundError:
        return ""
