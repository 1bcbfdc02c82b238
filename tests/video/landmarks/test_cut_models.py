"""The models of the package are MediaPipe's."""

import importlib.util
from pathlib import Path

import pytest

from lipinc.video.landmarks.cut_models import make_models
from lipinc.video.landmarks.litert import MODELS


def test_the_cutter_makes_the_bytes_of_the_package(tmp_path) -> None:
    spec = importlib.util.find_spec("mediapipe")
    if spec is None:
        pytest.skip("mediapipe 0.10.21 exists for Python 3.10 to 3.12")
    made = make_models(Path(spec.origin).parent, tmp_path)
    assert {file.name for file in made} == {file.name for file in MODELS.glob("*.tflite")}
    for file in made:
        assert file.read_bytes() == (MODELS / file.name).read_bytes(), file.name


def test_the_licence_is_shipped_beside_them() -> None:
    assert "Apache License" in (MODELS / "LICENSE").read_text()
    page = (MODELS / "README.md").read_text()
    assert all(file.name in page for file in MODELS.glob("*.tflite"))
