"""The models of the package are MediaPipe's."""

import importlib.util
import sys
from pathlib import Path

import pytest

from lipinc.video.landmarks import cut_models
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


def test_another_folder_is_one_line_and_changes_no_model(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["cut_models", "--wheel", str(tmp_path)])
    monkeypatch.setattr(cut_models, "MODELS", tmp_path / "models")
    with pytest.raises(SystemExit) as ended:
        cut_models.main()
    assert ended.value.code == 2 and "give the folder of the installed package" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()
