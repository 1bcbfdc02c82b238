"""Versions of this package and of the libraries that results may depend on."""

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

__version__ = "0.2.0"

LANDMARK_LIBRARIES = {
    "litert": ("ai-edge-litert",),
    "mediapipe": ("mediapipe",),
    "dlib": ("dlib-bin", "face_recognition_models"),
}
"""Value of mouth.landmarks -> libraries that find the landmarks."""
MOUTH_LIBRARIES = ("opencv-python", "av", "numpy")
"""Libraries that influence the pixels of mouth crops, besides those of the landmarks."""
LIBRARIES = (
    *("torch", "torchvision", "numpy", "scikit-learn", "ai-edge-litert", "opencv-python", "av", "safetensors"),
    *LANDMARK_LIBRARIES["dlib"],
)
ALTERNATIVES = {
    "opencv-python": ("opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless"),
    "dlib-bin": ("dlib",),
}
"""Distributions that provide the same module under another name."""


def library_versions(names: tuple[str, ...] = LIBRARIES) -> dict[str, str]:
    """Return name -> installed version of each library; "none" if it is missing (training does not need LiteRT)."""
    return {name: _version(name) for name in names}


def mouth_versions(mouth: Mapping[str, Any]) -> dict[str, str]:
    """Return the versions of the libraries that influence the pixels of mouth crops.

    Args:
        mouth: the mouth settings of a cache, which may be older than the choice of landmarks.
    """
    return library_versions((*LANDMARK_LIBRARIES[mouth.get("landmarks", "litert")], *MOUTH_LIBRARIES))


def program_versions() -> dict[str, str]:
    """Return the versions of lipinc, of Python and of all libraries."""
    return {"lipinc": __version__, "python": platform.python_version(), **library_versions()}


def _version(name: str) -> str:
    for candidate in (name, *ALTERNATIVES.get(name, ())):
        try:
            return metadata.version(candidate)
        except metadata.PackageNotFoundError:
            continue
    return "none"
