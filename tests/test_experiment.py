"""The main job on a small cache: what it prints, and what it leaves in the run folder."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lipinc.cache.manifest import write_manifest
from lipinc.cache.store import Cache
from lipinc.config import AugmentConfig, Config, ModelConfig, SamplingConfig
from lipinc.datasets import Label
from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.evaluation.results import Evaluation
from lipinc.experiment import evaluate_on_test_split, run_experiment
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import load_checkpoint
from tests.tiny import tiny_config


def prepare(folder: Path) -> Config:
    config = tiny_config(folder)
    config = replace(config, data=replace(config.data, note="made-up clips"))
    make_cache(config, people=10)
    return config


@pytest.fixture
def config(tmp_path) -> Config:
    return prepare(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Config, Evaluation]:
    """A run that has ended, and its result, for tests that leave them alone."""
    config = prepare(tmp_path_factory.mktemp("finished"))
    return config, run_experiment(config)


def saved_predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_run_folder_holds_everything(config, capsys):
    result = run_experiment(config)
    folder = Path(config.output, "tiny")
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "environment.txt", "splits.csv", "results.csv", "checkpoints"),
        *("metrics.json", "predictions.csv", "plots"),
    }
    plots = {path.stem for path in (folder / "plots").glob("*.png")}
    assert plots == {"roc", "precision_recall", "scores", "confusion", "learning_curves"}
    saved = json.loads((folder / "metrics.json").read_text())
    assert saved["metrics"]["auc"]["value"] == result.metrics["auc"].value
    assert saved["note"] == "made-up clips"
    printed = capsys.readouterr().out
    for word in ("train 6 people", "AUC", "AP", "accuracy", "balanced accuracy", "EER", "95 % interval"):
        assert word in printed
    assert "alpha" in printed  # the break-down by generator
    assert "note: made-up clips" in printed
    assert "labels: 10 real (for example real/" in printed
    last = printed.splitlines()[-1]
    assert last.startswith("(means nothing: people tested: 2 with real videos and 2 with fake videos, fewer than 10; ")
    assert f") AUC {result.metrics['auc'].value:.4f}  AP " in last
    megabytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
    assert last.endswith(f"({folder}, {megabytes:.1f}MB)")


def test_predictions_are_those_of_the_test_people_alone(finished):
    config, result = finished
    folder = Path(config.output, "tiny")
    with (folder / "splits.csv").open(newline="") as file:
        splits = {row["path"]: row["split"] for row in csv.DictReader(file)}
    predictions = saved_predictions(folder)
    assert {row["key"] for row in predictions} == {key for key, split in splits.items() if split == "test"}
    np.testing.assert_array_equal([float(row["score"]) for row in predictions], result.predictions.score)


def test_evaluation_on_the_test_split_repeats_the_numbers_of_the_run_and_leaves_it_alone(finished):
    config, first = finished
    folder = Path(config.output, "tiny")
    before = (folder / "metrics.json").read_bytes()
    again = evaluate_on_test_split(folder / "checkpoints" / "best.safetensors", config)
    np.testing.assert_array_equal(again.predictions.score, first.predictions.score)
    assert again.calibration == first.calibration
    assert (folder / "metrics.json").read_bytes() == before
    assert (folder / "test_only" / "metrics.json").exists()


def test_real_videos_alone_are_evaluated_and_not_trained_on(finished, capsys):
    config, _ = finished
    file = Path(config.output, "tiny", "checkpoints", "best.safetensors")
    reals = replace(
        config,
        name="reals",
        cache=replace(config.cache, path=config.cache.path + "_reals"),
        split=replace(config.split, train=0.0, validation=0.0, test=1.0),
    )
    others = [
        replace(row, record=replace(row.record, identity=f"other {row.record.identity}"))
        for row in make_cache(reals, people=12)
        if row.record.label is Label.REAL
    ]
    write_manifest(Cache.of(reals).manifest_file, others)
    result = evaluate_on_test_split(file, reals)
    accused = float(np.mean(result.predictions.score >= result.calibration.threshold))
    assert len(result.predictions) == 12 and result.metrics["reals_accused"].value == accused
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"real people accused {accused:.4f} [") and "; no fake videos, so no AUC" in last
    with pytest.raises(
        UserError, match="the data set has no fake video: a detector is trained on real and fake videos"
    ):
        run_experiment(replace(reals, split=config.split))


def test_evaluation_on_the_test_split_with_another_split_is_refused(finished):
    config, _ = finished
    other = replace(config, split=replace(config.split, seed=3))
    with pytest.raises(UserError, match="people in the test split"):
        evaluate_on_test_split(Path(config.output, "tiny", "checkpoints", "best.safetensors"), other)


def test_a_saved_split_is_the_same_run(finished, without_plots):
    config, first = finished
    given = replace(config.split, file=str(Path(config.output, "tiny", "splits.csv")), seed=99)
    second = run_experiment(replace(config, name="again", split=given))
    np.testing.assert_array_equal(first.predictions.score, second.predictions.score)


def test_without_a_test_share_it_trains_and_evaluates_nothing(config, capsys):
    config = replace(config, split=replace(config.split, train=0.6, validation=0.4, test=0.0))
    assert run_experiment(config) is None
    folder = Path(config.output, "tiny")
    assert (folder / "checkpoints" / "best.safetensors").exists()
    assert not (folder / "metrics.json").exists()
    assert "no test split" in capsys.readouterr().out.splitlines()[-1]


def closed_form(config):
    """The recipe of a model that is solved at once, without validation videos."""
    return replace(
        config,
        mouth=replace(config.mouth, height=32, width=48),
        cache=replace(config.cache, path=config.cache.path + "_wide"),
        model=ModelConfig("noise_discriminant"),
        loss=replace(config.loss, inconsistency=0.0),
        augment=AugmentConfig(flip=0.0),
        split=replace(config.split, train=0.6, validation=0.0, test=0.4),
        train=replace(config.train, epochs=1, select="last"),
    )


def test_a_model_with_a_closed_form_is_solved_at_once_and_needs_no_validation(config, capsys, without_plots):
    config = closed_form(config)
    make_cache(config, people=30)
    result = run_experiment(config)
    assert result.metrics["auc"].value > 0.9  # the fakes flicker
    assert "without validation videos, the threshold is a score of 0" in capsys.readouterr().out
    folder = Path(config.output, "tiny")
    [row] = csv.DictReader((folder / "results.csv").open())
    assert float(row["train_loss"]) > 0 and row["validation_auc"] in ("", "nan")
    checkpoint = load_checkpoint(folder / "checkpoints" / "best.safetensors", torch.device("cpu"))
    assert checkpoint.calibration == Calibration()  # none is fitted without validation videos
    again = run_experiment(replace(config, name="again", train=replace(config.train, seed=7)))
    np.testing.assert_array_equal(result.predictions.score, again.predictions.score)  # nothing is drawn
    resumed = run_experiment(config, resume=True)
    np.testing.assert_array_equal(result.predictions.score, resumed.predictions.score)


def test_without_validation_no_epoch_can_be_selected(config):
    with pytest.raises(UserError, match="without a validation split .* use --train.select last"):
        replace(config, split=replace(config.split, train=0.8, validation=0.0)).check()


def test_fakes_of_another_kind_stand_apart(config, without_plots):
    config = replace(config, data=replace(config.data, other_kinds=("beta",)))
    result = run_experiment(config)
    tested = result.predictions.column("generator")
    assert {"alpha", "beta"} <= set(tested.tolist())
    assert "beta" not in result.shown.column("generator").tolist()
    [row] = result.break_downs["other kinds of forgery"]
    assert row["fake"] == np.sum(tested == "beta") and row["real"] == np.sum(result.predictions.label == 0)
    assert "beta" not in {row["group"] for row in result.break_downs["generator"]}


def test_published_sampling_without_dlib_is_mentioned(tmp_path, caplog):
    config = tiny_config(tmp_path, sampling=SamplingConfig(published_quirks=True))
    with pytest.raises(UserError, match="no cache"):
        run_experiment(config)
    assert "tiny: mouths are found by MediaPipe's models, not by dlib" in caplog.text
