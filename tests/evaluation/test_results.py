"""Pooled predictions, and predictions under several conditions."""

from dataclasses import replace

import numpy as np
import pytest

from lipinc.demo.synthetic_cache import make_cache
from lipinc.evaluation.metrics import auc
from lipinc.evaluation.predictions import Predictions
from lipinc.evaluation.results import evaluate_predictions, pool
from lipinc.experiment import run_experiment
from lipinc.models.calibration import Calibration
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
