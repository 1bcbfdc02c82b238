"""Pooled predictions, and predictions under several conditions."""

import json
import warnings
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from lipinc.config import EvaluateConfig
from lipinc.demo.synthetic_cache import make_cache
from lipinc.evaluation import plots
from lipinc.evaluation.metrics import auc
from lipinc.evaluation.predictions import Predictions
from lipinc.evaluation.results import Evaluation, evaluate_predictions, pool, write_evaluation
from lipinc.experiment import run_experiment
from lipinc.models.calibration import Calibration
from tests.predicted import predictions
from tests.tiny import tiny_config


@pytest.fixture
def config(tmp_path):
    config = tiny_config(tmp_path)
    config = replace(config, data=replace(config.data, note="made-up clips"))
    make_cache(config, people=10)
    return config


def test_pooled_scores_are_calibrated_fold_by_fold(config):
    result = run_experiment(config)
    calibration = result.calibration
    stretched = Calibration(3 * calibration.threshold + 100, 3 * calibration.temperature)
    moved = replace(result.predictions, score=3 * result.predictions.score + 100)
    pooled = pool([result, replace(result, predictions=moved, calibration=stretched)])
    half = len(result.predictions)
    np.testing.assert_allclose(pooled.score[:half], pooled.score[half:])
    assert auc(pooled.label, pooled.score) == auc(result.predictions.label, result.predictions.score)


def test_conditions_are_evaluated_separately(config):
    result = run_experiment(config)
    count = len(result.predictions)
    records, label = result.predictions.records, result.predictions.label
    both = Predictions(
        [replace(record, condition=condition) for condition in ("crf28", "raw") for record in records],
        score=np.concatenate([-label, label]).astype(float),
        windows=[1] * (2 * count),
    )
    evaluated = evaluate_predictions(both, Calibration(threshold=0.5), config.evaluate)
    assert [(row["group"], row["auc"]) for row in evaluated.break_downs["condition"]] == [("raw", 1.0), ("crf28", 0.0)]
    assert evaluated.condition == "raw" and evaluated.metrics["auc"].value == 1.0
    assert evaluated.conditions["crf28"]["auc"].value == 0.0
    assert {row["auc"] for row in evaluated.break_downs["generator, raw"]} == {1.0}
    assert {row["auc"] for row in evaluated.break_downs["generator, crf28"]} == {0.0}
    assert "generator, crf28" in str(evaluated)


def evaluation(labels: list[int], people: int) -> Evaluation:
    """Videos of some people, whose score is their label."""
    videos = predictions(
        labels, [float(label) for label in labels], identity=[f"id{i % people}" for i in range(len(labels))]
    )
    return evaluate_predictions(videos, Calibration(threshold=0.5), EvaluateConfig(bootstrap=20))


def test_a_headline_of_few_people_says_that_it_means_nothing(tmp_path):
    few, enough = evaluation([0] * 9 + [1] * 9, 9), evaluation([0] * 10 + [1] * 10, 10)
    assert enough.caveat == "" and enough.headline == "AUC 1.0000  AP 1.0000  accuracy 1.0000"
    assert few.headline.startswith(
        "(means nothing: people tested: 9 with real videos and 9 with fake videos, fewer than 10; "
    )
    assert few.headline.endswith(
        "; lipinc crossval tests everybody in a data set) AUC 1.0000  AP 1.0000  accuracy 1.0000"
    )
    titles = []
    for name, result in (("few", few), ("enough", enough)):
        with patch.object(plots, "save_figure", lambda figure, path, title, note: titles.append(title)):
            write_evaluation(result, tmp_path / name, title="t", about={})
    saved = {name: json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("few", "enough")}
    assert saved["few"]["caveat"] == few.caveat and saved["enough"]["caveat"] == ""
    assert saved["few"]["people_tested"] == {"real": 9, "fake": 9}
    assert (
        titles
        == ["t - means nothing: people tested: 9 with real videos and 9 with fake videos, fewer than 10"] * 4
        + ["t"] * 4
    )


def test_videos_of_one_class_have_no_auc_but_a_rate(tmp_path):
    reals, fakes = evaluation([0] * 12, 12), evaluation([1] * 12, 3)
    assert reals.headline == "real people accused 0.0000 [0.000, 0.000]; no fake videos, so no AUC"
    assert fakes.headline.endswith("fakes detected 1.0000 [1.000, 1.000]; no real videos, so no AUC")
    assert fakes.headline.startswith(
        "(means nothing: people tested: 3 with fake videos, fewer than 10; test more people) "
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_evaluation(reals, tmp_path, title="t", about={})
    assert json.loads((tmp_path / "metrics.json").read_text())["metrics"]["auc"]["value"] is None


def test_refused_videos_are_counted_under_their_condition_and_kind(tmp_path):
    """Those of data.other_kinds count in the table of their own."""
    labels, generators = [0] * 12 + [1] * 12 + [1] * 12, [""] * 12 + ["alpha"] * 12 + ["photo"] * 12
    scored = predictions(labels, [2.0 * label for label in labels], generator=generators)
    left_out = predictions(
        [0, 1, 1, 1],
        [0.0] * 4,
        key=["r.mp4", "a.mp4", "p.mp4", "a.mp4@crf28"],
        condition=["raw", "raw", "raw", "crf28"],
        generator=["", "alpha", "photo", "alpha"],
    ).records
    result = evaluate_predictions(scored, Calibration(1.0), EvaluateConfig(bootstrap=20), ("photo",), left_out)
    assert result.metrics["auc"].value == 1.0
    assert result.metrics["auc_with_refused"].value == (13 * 13 - 0.5) / 13**2  # the two refused ones tie
    [others] = result.break_downs["other kinds of forgery"]
    assert (others["refused"], others["auc_with_refused"]) == (2, (13 * 13 - 0.5) / 13**2)
    assert "\nrefused: 1 of 13 real and 1 of 13 fake videos (the manifest says why)\n" in str(result)
    write_evaluation(result, tmp_path, title="t", about={})
    assert json.loads((tmp_path / "metrics.json").read_text())["refused"] == {"real": 1, "fake": 1}


def test_runs_without_refused_videos_say_nothing_of_them():
    result = evaluation([0] * 10 + [1] * 10, 10)
    assert "auc_with_refused" not in result.metrics and "refused" not in str(result)
