"""The main job on a small cache: what it prints, what it leaves in the run folder."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lipinc import cross_validation as crossval
from lipinc.cache.manifest import read_manifest, write_manifest
from lipinc.cache.store import Cache
from lipinc.config import Config
from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.evaluation.metrics import auc
from lipinc.evaluation.predictions import Predictions
from lipinc.evaluation.results import evaluate_predictions, pool
from lipinc.experiment import evaluate_on_test_split, run_experiment
from lipinc.models.calibration import Calibration
from tests.tiny import tiny_config

evaluate_on_test_split.__test__ = False  # a verb of the package, not a test


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
    again = evaluate_on_test_split(folder / "checkpoints" / "best.safetensors", config)
    np.testing.assert_array_equal(again.predictions.score, first.predictions.score)
    assert again.calibration == first.calibration
    assert (folder / "metrics.json").read_bytes() == before
    assert (folder / "test_only" / "metrics.json").exists()


def test_test_only_with_another_split_is_refused(config):
    run_experiment(config)
    other = replace(config, split=replace(config.split, seed=3))
    with pytest.raises(UserError, match="people it is to be tested on"):
        evaluate_on_test_split(Path(config.output, "tiny", "checkpoints", "best.safetensors"), other)


def test_a_saved_split_is_the_same_run(config):
    first = run_experiment(config)
    given = replace(config.split, file=str(Path(config.output, "tiny", "splits.csv")), seed=99)
    second = run_experiment(replace(config, name="again", split=given))
    np.testing.assert_array_equal(first.predictions.score, second.predictions.score)


def cross_validate(monkeypatch, config, **options):
    values = {name: getattr(config, name) for name in Config.__dataclass_fields__}
    monkeypatch.setattr(crossval, "parse_command_line", lambda kind: kind(**values, **options))
    crossval.main()


@pytest.mark.slow
def test_cross_validation_tests_every_video_once(config, monkeypatch, capsys):
    config = replace(config, split=replace(config.split, folds=3), train=replace(config.train, epochs=1))
    cross_validate(monkeypatch, config)
    pooled = Predictions.read(Path(config.output, "tiny_folds", "predictions.csv"))
    assert len(pooled.key) == len(set(pooled.key)) == 20
    saved = json.loads(Path(config.output, "tiny_folds", "metrics.json").read_text())
    assert len(saved["fold_auc"]["raw"]) == saved["folds"] == 3
    assert saved["threshold"] == 0
    states = {path: path.stat().st_mtime_ns for path in Path(config.output).rglob("last.pt")}
    cross_validate(monkeypatch, config)  # continued: nothing is trained again
    assert states == {path: path.stat().st_mtime_ns for path in Path(config.output).rglob("last.pt")}
    assert "mean of the folds' AUC" in capsys.readouterr().out


@pytest.mark.slow
def test_generators_are_left_out_one_by_one_for_each_seed(config, monkeypatch, capsys):
    config = replace(config, split=replace(config.split, folds=3), train=replace(config.train, epochs=1))
    cross_validate(monkeypatch, config, leave_out="each", seeds=(0, 1))
    folder = Path(config.output, "tiny_folds")
    for generator, other in (("alpha", "beta"), ("beta", "alpha")):
        tested = Predictions.read(folder / generator / "predictions.csv")
        assert set(tested.generator) == {"-", generator}
        run = Path(config.output, f"tiny_without_{generator}_seed1_fold2")
        assert json.loads((run / "config.json").read_text())["split"]["unseen"] == [generator]
        assert set(Predictions.read(run / "predictions.csv").generator) <= {"-", generator} - {other}
    spread = json.loads((folder / "spread.json").read_text())["mean_fold_auc_of_each_seed"]
    assert {name: len(areas["raw"]) for name, areas in spread.items()} == {"alpha": 2, "beta": 2, "mean": 2}
    assert spread["mean"]["raw"][0] == pytest.approx((spread["alpha"]["raw"][0] + spread["beta"]["raw"][0]) / 2)
    assert "+-" in capsys.readouterr().out.splitlines()[-4]


@pytest.mark.slow
def test_a_fold_without_a_fake_of_the_generator_is_left_out(config, monkeypatch, caplog):
    config = replace(config, split=replace(config.split, folds=3), train=replace(config.train, epochs=1))
    manifest = Cache.of(config).manifest_file
    rows = read_manifest(manifest)  # one person alone was met by gamma
    rows = [
        replace(row, record=replace(row.record, generator="gamma"))
        if row.record.key == "fake/person 0/video.mp4"
        else row
        for row in rows
    ]
    write_manifest(manifest, rows)
    cross_validate(monkeypatch, config, leave_out="each")
    assert sum("no fake by gamma" in record.message for record in caplog.records) == 2
    saved = json.loads(Path(config.output, "tiny_folds", "gamma", "metrics.json").read_text())
    assert len(saved["fold_auc"]["raw"]) == 1


@pytest.mark.parametrize("name", ["../../elsewhere", "/elsewhere", "..", "a/b"])
def test_a_generator_whose_name_is_a_path_leads_nowhere(config, monkeypatch, name):
    manifest = Cache.of(config).manifest_file
    rows = [
        replace(row, record=replace(row.record, generator=name)) if row.record.label else row
        for row in read_manifest(manifest)
    ]
    write_manifest(manifest, rows)
    with pytest.raises(UserError, match="cannot name a folder"):
        cross_validate(monkeypatch, replace(config, split=replace(config.split, folds=3)), leave_out="each")


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
    names = Predictions.__dataclass_fields__
    both = Predictions(**{name: np.tile(getattr(result.predictions, name), 2) for name in names})
    both = replace(
        both,
        key=[f"{i}.mp4" for i in range(2 * count)],
        score=np.concatenate([-both.label[:count], both.label[:count]]).astype(float),
        condition=["crf28"] * count + ["raw"] * count,
    )
    judged = evaluate_predictions(both, Calibration(threshold=0.5), config.evaluate)
    assert [(row["group"], row["auc"]) for row in judged.break_downs["condition"]] == [("raw", 1.0), ("crf28", 0.0)]
    assert judged.condition == "raw" and judged.metrics["auc"].value == 1.0
    assert judged.conditions["crf28"]["auc"].value == 0.0
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
