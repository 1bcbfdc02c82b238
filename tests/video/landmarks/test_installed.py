"""What finds landmarks, and is not installed: a line that says what to do, before any video is read."""

import sys

import pytest

from lipinc.errors import UserError
from lipinc.video.landmarks import installed, require_landmarks


def test_a_missing_mediapipe_is_one_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(UserError, match=r"pip install mediapipe==0\.10\.21.*not installed.*litert gives the same"):
        require_landmarks("mediapipe")


def test_another_mediapipe_is_refused(monkeypatch) -> None:
    """Later versions have no FaceMesh; earlier ones may have other models."""
    monkeypatch.setattr(installed, "find_spec", lambda name: name)
    monkeypatch.setattr(installed, "version", lambda name: "0.10.30")
    with pytest.raises(UserError, match=r"mediapipe==0\.10\.21.*\(0\.10\.30 is installed\)"):
        require_landmarks("mediapipe")


def test_a_missing_runtime_is_a_broken_installation(monkeypatch) -> None:
    """The command line says so, as of every package that lipinc cannot do without."""
    require_landmarks("litert")
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ModuleNotFoundError, match="ai_edge_litert"):
        require_landmarks("litert")
