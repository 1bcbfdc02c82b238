"""Versions of installed packages, as runs, caches and verdicts record them."""

from collections.abc import Iterable
from importlib import metadata

SAME_PACKAGE = {"opencv-python": ("opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless")}
"""Distributions that provide the same module under another name."""


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Name -> version of each distribution, "none" where it is not installed.

    A machine that only trains on a finished cache needs no MediaPipe.
    """
    return {name: _version(name) for name in names}


def _version(name: str) -> str:
    for candidate in (name, *SAME_PACKAGE.get(name, ())):
        try:
            return metadata.version(candidate)
        except metadata.PackageNotFoundError:
            continue
    return "none"
