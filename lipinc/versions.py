"""Versions of this package and of the libraries that results may depend on."""

import platform
from importlib import metadata

__version__ = "0.2.0"

LIBRARIES = ("torch", "torchvision", "numpy", "scikit-learn", "ai-edge-litert", "opencv-python", "av", "safetensors")
MOUTH_LIBRARIES = ("ai-edge-litert", "opencv-python", "av", "numpy")
"""Libraries that influence the pixels of mouth crops."""
ALTERNATIVES = {"opencv-python": ("opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")}
"""Distributions that provide the same module under another name."""


def library_versions(names: tuple[str, ...] = LIBRARIES) -> dict[str, str]:
    """Return name -> installed version of each library; "none" if it is missing (training does not need LiteRT)."""
    return {name: _version(name) for name in names}


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
