"""The main job on a small cache: what it prints, and what it leaves in the run folder."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.experiment import evaluate_on_test_split, run_experiment
from tests.tiny import tiny_config


@pytest.fixture
def config(tmp_path):
    config = tiny_config(tmp_path)
    config = replace(config, data=replace(config.data, note="made-up clips"))
    make_cache(config, people=10)
    return config


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
    assert printed.splitlines()[-1].startswith(f"AUC {result.metrics['auc'].value:.4f}  AP ")


def test_predictions_are_those_of_the_test_people_alone(config):
    result = run_experiment(config)
    folder = Path(config.output, "tiny")
    with (folder / "splits.csv").open(newline="") as file:
        splits = {row["path"]: row["split"] for row in csv.DictReader(file)}
    predictions = saved_predictions(folder)
    assert {row["key"] for row in predictions} == {key for key, split in splits.items() if split == "test"}
    np.testing.assert_array_equal([float(row["score"]) for row in predictions], result.predictions.score)


def test_evaluation_on_the_test_split_repeats_the_numbers_of_the_run_and_leaves_it_alone(config):
    first = run_experiment(config)
    folder = Path(config.output, "tiny")
    before = (folder / "metrics.json").read_bytes()
    again = evaluate_on_test_split(folder / "checkpoints" / "best.safetensors", config)
    np.testing.assert_array_equal(again.predictions.score, first.predictions.score)
    assert again.calibration == first.calibration
    assert (folder / "metrics.json").read_bytes() == before
    assert (folder / "test_only" / "metrics.json").exists()


def test_evaluation_on_the_test_split_with_another_split_is_refused(config):
    run_experiment(config)
    other = replace(config, split=replace(config.split, seed=3))
    with pytest.raises(UserError, match="people in the test split"):
        evaluate_on_test_split(Path(config.output, "tiny", "checkpoints", "best.safetensors"), other)


def test_a_saved_split_is_the_same_run(config):
    first = run_experiment(config)
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
