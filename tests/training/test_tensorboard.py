"""The TensorBoard log of a run: what it holds, also of a run that is resumed."""

import builtins
import math
from dataclasses import replace
from pathlib import Path

import pytest

from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.experiment import run_experiment
from lipinc.training.run_folder import Run
from tests.tiny import tiny_config
from tests.training.test_loop import run_training, with_train


@pytest.fixture
def config(tmp_path):
    config = tiny_config(tmp_path)
    make_cache(config, people=10)
    return config


def events_of(run: Path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    found.Reload()
    return found


def scalars(found, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in found.Scalars(tag)]


@pytest.mark.slow
def test_the_log_has_the_numbers_of_results_csv_once_also_after_resuming(config):
    pytest.importorskip("tensorboard")
    run_training(with_train(config, "seen", epochs=1, tensorboard=True))
    run_training(with_train(config, "seen", epochs=2), resume=True)  # an epoch without the log
    history = run_training(with_train(config, "seen", epochs=3, tensorboard=True), resume=True)
    found = events_of(Path(config.output, "seen"))
    tags = {
        "loss/train": "train_loss",
        "loss/train_classification": "train_classification",
        "loss/validation": "validation_loss",
        "validation/auc": "validation_auc",
        "learning_rate": "learning_rate",
    }
    for tag, column in tags.items():
        expected = [(row["epoch"], pytest.approx(row[column], rel=1e-6)) for row in history]
        assert scalars(found, tag) == expected and len(expected) == 3


@pytest.mark.slow
def test_the_log_shows_mouth_strips_of_both_classes(config):
    pytest.importorskip("tensorboard")
    run_training(with_train(config, "strips", epochs=1, tensorboard=True))
    found = events_of(Path(config.output, "strips"))
    images = found.Tags()["images"]
    assert {tag.partition("/")[0] for tag in images} == {"real", "fake"}
    first = found.Images(images[0])[0]
    assert first.height == 2 * config.mouth.height + 3 and first.width > 8 * config.mouth.width


def test_without_the_setting_there_is_no_log(config):
    run_training(with_train(config, "plain", epochs=1))
    assert not Path(config.output, "plain", "tensorboard").exists()


def test_without_the_package_nothing_is_trained(config, monkeypatch):
    real_import = builtins.__import__

    def no_tensorboard(name, *rest):
        if name.startswith(("tensorboard", "torch.utils.tensorboard")):
            raise ModuleNotFoundError("No module named 'tensorboard'", name="tensorboard")
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_tensorboard)
    config = replace(config, train=replace(config.train, tensorboard=True))
    with pytest.raises(UserError, match=r"needs the package tensorboard .*pip install 'lipinc\[tensorboard\]'"):
        run_experiment(config)
    assert not Run(Path(config.output, config.name)).folder.exists()


def test_values_that_are_not_finite_are_left_out(tmp_path):
    pytest.importorskip("tensorboard")
    from lipinc.training.tensorboard import EventLog

    log = EventLog(tmp_path, [{"epoch": 1, "train_loss": 0.5, "validation_auc": math.nan, "seconds": 3.0}])
    log.close()
    assert events_of(tmp_path).Tags()["scalars"] == ["loss/train"]
