"""Versions of packages as runs record them, also where one is not installed."""

from importlib import metadata

import numpy as np

from lipinc.versions import library_versions


def test_a_package_that_is_not_installed_is_none():
    found = library_versions(("numpy", "no-such-package"))
    assert found == {"numpy": np.__version__, "no-such-package": "none"}


def test_opencv_under_another_name(monkeypatch):
    def only_headless(name: str) -> str:
        if name != "opencv-python-headless":
            raise metadata.PackageNotFoundError(name)
        return "4.11"

    monkeypatch.setattr(metadata, "version", only_headless)
    assert library_versions(("opencv-python", "mediapipe")) == {"opencv-python": "4.11", "mediapipe": "none"}
