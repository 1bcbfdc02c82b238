"""Versions of the libraries that results may depend on."""

from importlib import metadata

LIBRARIES = ("torch", "torchvision", "numpy", "scikit-learn", "mediapipe", "opencv-python", "safetensors")
MOUTH_LIBRARIES = ("mediapipe", "opencv-python", "numpy")
"""Libraries that influence the pixels of mouth crops."""


def library_versions(names: tuple[str, ...] = LIBRARIES) -> dict[str, str]:
    """Return name -> installed version of each library; "none" if it is not installed."""
    return {name: _version(name) for name in names}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
