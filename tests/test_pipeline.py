"""The main job on a small cache: what it prints, what it leaves in the run folder."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lipinc import crossval
from lipinc.calibration import Calibration
from lipinc.crossval import pool
from lipinc.errors import UserError
from lipinc.evaluation import judge
from lipinc.metrics import Predictions, auc
from lipinc.pipeline import run_experiment, test_checkpoint
from tests.synthetic_cache import make_cache, tiny_config

test_checkpoint.__test__ = False  # a verb of the package, not a test


@pytest.fixture
def config(tmp_path):
    config = tiny_config(tmp_path)
    config = replace(config, data=replace(config.data, note="made-up clips"))
    make_cache(config, people=10)
    return config


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
    predictions = Predictions.read(folder / "predictions.csv")
    assert set(predictions.key) == {key for key, split in splits.items() if split == "test"}
    np.testing.assert_array_equal(predictions.score, result.predictions.score)


def test_test_only_repeats_the_numbers_of_the_run_and_leaves_it_alone(config):
    first = run_experiment(config)
    folder = Path(config.output, "tiny")
    before = (folder / "metrics.json").read_bytes()
    again = test_checkpoint(folder / "checkpoints" / "best.safetensors", config)
    np.testing.assert_array_equal(again.predictions.score, first.predictions.score)
    assert again.calibration == first.calibration
    assert (folder / "metrics.json").read_bytes() == before
    assert (folder / "test_only" / "metrics.json").exists()


def test_test_only_with_another_split_is_refused(config):
    run_experiment(config)
    other = replace(config, split=replace(config.split, seed=3))
    with pytest.raises(UserError, match="people it is to be tested on"):
        test_checkpoint(Path(config.output, "tiny", "checkpoints", "best.safetensors"), other)


def test_a_saved_split_is_the_same_run(config):
    first = run_experiment(config)
    given = replace(config.split, file=str(Path(config.output, "tiny", "splits.csv")), seed=99)
    second = run_experiment(replace(config, name="again", split=given))
    np.testing.assert_array_equal(first.predictions.score, second.predictions.score)


def test_cross_validation_tests_every_video_once(config, monkeypatch, capsys):
    config = replace(config, split=replace(config.split, folds=3), train=replace(config.train, epochs=1))
    monkeypatch.setattr(crossval, "parse_command_line", lambda _: config)
    crossval.main()
    pooled = Predictions.read(Path(config.output, "tiny_folds", "predictions.csv"))
    assert len(pooled.key) == len(set(pooled.key)) == 20
    saved = json.loads(Path(config.output, "tiny_folds", "metrics.json").read_text())
    assert len(saved["fold_auc"]["raw"]) == saved["folds"] == 3
    assert saved["threshold"] == 0
    crossval.main()  # continued: nothing is trained again
    assert "AUC of the folds" in capsys.readouterr().out


def test_pooled_scores_are_calibrated_fold_by_fold(config):
    result = run_experiment(config)
    calibration = result.calibration
    stretched = Calibration(3 * calibration.threshold + 100, 3 * calibration.temperature)
    moved = replace(result.predictions, score=3 * result.predictions.score + 100)
    pooled = pool([result, replace(result, predictions=moved, calibration=stretched)])
    half = len(result.predictions)
    np.testing.assert_allclose(pooled.score[:half], pooled.score[half:])
    assert auc(pooled.label, pooled.score) == auc(result.predictions.label, result.predictions.score)


def test_conditions_are_judged_apart(config):
    result = run_experiment(config)
    count = len(result.predictions)
    both = replace(
        result.predictions,
        **{name: np.tile(getattr(result.predictions, name), 2) for name in Predictions.__dataclass_fields__},
    )
    both = replace(
        both,
        key=[f"{i}.mp4" for i in range(2 * count)],
        score=np.concatenate([both.label[:count], -both.label[:count]]).astype(float),
        condition=["raw"] * count + ["crf28"] * count,
    )
    judged = judge(both, Calibration(threshold=0.5), config.evaluate)
    assert [(row["group"], row["auc"]) for row in judged.break_downs["condition"]] == [("crf28", 0.0), ("raw", 1.0)]
    assert {row["auc"] for row in judged.break_downs["generator, raw"]} == {1.0}
    assert {row["auc"] for row in judged.break_downs["generator, crf28"]} == {0.0}
    assert "generator, crf28" in str(judged)


def test_without_a_test_share_it_trains_and_judges_nothing(config, capsys):
    config = replace(config, split=replace(config.split, train=0.6, validation=0.4, test=0.0))
    assert run_experiment(config) is None
    folder = Path(config.output, "tiny")
    assert (folder / "checkpoints" / "best.safetensors").exists()
    assert not (folder / "metrics.json").exists()
    assert "no test split" in capsys.readouterr().out.splitlines()[-1]
