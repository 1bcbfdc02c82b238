"""What the tests of detection share: a talking face, and checkpoints whose weights are drawn or chosen."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lipinc.config import AugmentConfig, Config, LossConfig, ModelConfig, MouthConfig, SamplingConfig, TrainConfig
from lipinc.demo.videos import talking_frames
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import save_checkpoint
from lipinc.models.registry import build_model
from lipinc.video.error_rates import ErrorRates

OPTIONS = {"lipinc": {"input_scale": 1 / 255}, "lipinc_v2": {"input_scale": 1 / 255}, "noise_features": {"levels": 3}}
"""Of the models of the checkpoints."""


@pytest.fixture(scope="session")
def talking() -> list[np.ndarray]:
    """40 frames of somebody who talks without a pause: [224, 224, 3] uint8 BGR each."""
    return list(talking_frames(number=0, frames=40))


@pytest.fixture(scope="session")
def talk(tmp_path_factory, write_video, talking) -> Path:
    """The same as a video."""
    return write_video(tmp_path_factory.mktemp("talk") / "talk.mp4", talking)


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory) -> Callable[..., Path]:
    """make_checkpoint(calibration=None, score=None, half=False, name="lipinc_v2", mouth=None, sampling=None): its
    file.

    score: what it says of every clip; None: random weights, whose scores differ from clip to clip.
    """

    def make(
        calibration: Calibration | None = None,
        score: float | None = None,
        half: bool = False,
        name: str = "lipinc_v2",
        mouth: MouthConfig | None = None,
        sampling: SamplingConfig | None = None,
    ) -> Path:
        file = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
        network = ModelConfig(name, hidden=16, **OPTIONS[name])
        config = Config(
            mouth=mouth or MouthConfig(),
            sampling=sampling or SamplingConfig(),
            model=network,
            loss=LossConfig(inconsistency=0.0),
            augment=AugmentConfig(flip=0.0),
            train=TrainConfig(device="cpu"),
        )
        torch.manual_seed(0)
        model = build_model(config)
        if name == "lipinc_v2":
            last = model.head.dense[-1]
            with torch.no_grad():
                last.weight *= 300 if score is None else 0
                last.bias.copy_(torch.tensor([0.0, score or 0.0]))
        save_checkpoint(
            file, model, config, epoch=1, calibration=calibration or Calibration(), trained_on=(), half=half
        )
        return file

    return make


@pytest.fixture(scope="session")
def checkpoint(make_checkpoint) -> Path:
    """Random weights."""
    rates = (ErrorRates((0.0, float("inf")), reals=40, fakes=30, reals_accused=0.05, fakes_missed=0.1, decided=0.5),)
    return make_checkpoint(Calibration(threshold=-1.0, temperature=2.0, uncertain=(-1.0, -1.0), rates=rates))


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """An empty folder of somebody who is not root: files without permission are closed to them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() != 0:
            yield folder
            return
        nobody = 65534
        os.chown(folder, nobody, nobody)
        os.seteuid(nobody)
        try:
            yield folder
        finally:
            os.seteuid(0)
