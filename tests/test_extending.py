"""docs/extending.md: its code is run as it stands there, in a folder of its own."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lipinc.config import Config, LossConfig, ModelConfig
from lipinc.config.loading import PACKAGE
from lipinc.config.registry import DATASETS, MODELS
from lipinc.demo.videos import talking_frames
from lipinc.errors import UserError
from lipinc.models.registry import build_model, check_shapes

PAGE = (PACKAGE.parent / "docs" / "extending.md").read_text()
FILES = {block.split("\n", 1)[0]: f"# {block}" for block in re.findall(r"```python\n# (.*?)```", PAGE, re.DOTALL)}
COMMANDS = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()


def run(folder: Path, line: str) -> subprocess.CompletedProcess:
    words = line.replace("lipinc ", "-m lipinc ", 1).split()
    return subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(PACKAGE.parent)}
    )


@pytest.mark.slow
def test_the_page_trains_evaluates_and_detects_with_a_model_a_data_set_and_a_loss_term(tmp_path, write_video):
    """Everything from files outside the package."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "videos").mkdir()
    for person in range(4):
        frames = list(talking_frames(number=person % 2, frames=45))
        write_video(tmp_path / "videos" / f"ann{person}_real.mp4", frames)
        write_video(
            tmp_path / "videos" / f"ann{person}_toygan.mp4", [(0.7 * frame).astype(np.uint8) for frame in frames]
        )
    shutil.copy(tmp_path / "videos" / "ann0_real.mp4", tmp_path / "VIDEO")
    extract, train, detect = COMMANDS

    done = run(tmp_path, extract)
    assert done.returncode == 0, done.stderr
    done = run(tmp_path, train)
    assert done.returncode == 0, done.stderr
    assert " AUC " in done.stdout.splitlines()[-1] and "toygan" in done.stdout
    header = (tmp_path / "outputs" / "toy" / "results.csv").read_text().splitlines()[0].split(",")
    assert "train_logit_size" in header and "train_inconsistency" not in header

    done = run(tmp_path, detect)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(("lip-sync found", "no trace of lip-sync found", "uncertain")), done.stdout
    without = run(tmp_path, detect.partition(" --plugin")[0])
    assert without.returncode == 2
    assert without.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "'toy_model.py': give this file with --plugin" in without.stderr and "Traceback" not in without.stderr


def register(text: str) -> None:
    exec(compile(text, "<plugin>", "exec"), {"__name__": "plugin_of_a_test"})


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("toy_model.py", "def forward", "def backward", r"must define forward\(self, frames, residues\) -> logits"),
        ("toy_model.py", '"clips"', '"pixels"', "input_kind must be 'clips' or 'features', not 'pixels'"),
        ("toy_model.py", '"clips"', '"features"', r"must define extract_features\(self, frames, residues\)"),
        ("toy_model.py", "Toy(MouthModel)", "Toy(nn.Module)", "must derive from lipinc.models.MouthModel"),
        ("toy_model.py", "Options = ToyOptions", "Options = dict", "must define Options, a frozen dataclass"),
        ("toy_dataset.py", "def load", "def read", r"must define load\(self\) -> list\[VideoRecord\]"),
        (
            "toy_dataset.py",
            "@dataclass(frozen=True)\nclass ToyDataset(Dataset)",
            "class ToyDataset",
            "must be a dataclass",
        ),
    ],
)
def test_a_wrong_plug_in_is_refused_with_what_is_expected(name, old, new, message):
    assert old in FILES[name]
    with pytest.raises(UserError, match=message):
        register(FILES[name].replace(old, new))
    assert "toy" not in [*MODELS.names(), *DATASETS.names()]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "options.hidden, 2)",
            "options.hidden, 1)",
            r"forward\(frames, residues\) must return logits \(B, 2\); .* \(2, 1\)",
        ),
        ("clip.frames - 1,", "clip.frames,", "model toy fails on two clips .* RuntimeError: mat1 and mat2 shapes"),
    ],
)
def test_wrong_shapes_are_refused_before_training(monkeypatch, old, new, message):
    for registry in (MODELS, DATASETS):
        registry.names()
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))
    assert old in FILES["toy_model.py"]
    register(FILES["toy_model.py"].replace(old, new))
    config = Config(model=ModelConfig("toy"), loss=LossConfig(inconsistency=0.0))
    with pytest.raises(UserError, match=message):
        check_shapes(build_model(config), config)
