"""Cross-validation on a small cache: every video once, held-out generators, several seeds."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lipinc.cache.manifest import read_manifest, write_manifest
from lipinc.cache.store import Cache
from lipinc.commands.release import read_calibration
from lipinc.cross_validation import _spread, calibrate_out_of_fold, cross_validate
from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.evaluation.predictions import DECISIONS
from lipinc.evaluation.results import Evaluation
from lipinc.models.calibration import Calibration, calibrate
from tests.predicted import predictions
from tests.test_experiment import saved_predictions
from tests.tiny import tiny_config

SCORED = {"label": int, "score": float, "condition": str}


@pytest.fixture
def config(tmp_path):
    config = tiny_config(tmp_path)
    config = replace(config, data=replace(config.data, note="made-up clips"))
    make_cache(config, people=10)
    return config


@pytest.mark.slow
def test_cross_validation_tests_every_video_once(config, capsys):
    config = replace(config, split=replace(config.split, folds=3), train=replace(config.train, epochs=1))
    cross_validate(config, "nothing", seeds=())
    keys = [row["key"] for row in saved_predictions(Path(config.output, "tiny_folds"))]
    assert len(keys) == len(set(keys)) == 20
    saved = json.loads(Path(config.output, "tiny_folds", "metrics.json").read_text())
    assert len(saved["fold_auc"]["raw"]) == saved["folds"] == 3
    assert saved["threshold"] == 0
    states = {path: path.stat().st_mtime_ns for path in Path(config.output).rglob("last.pt")}
    cross_validate(config, "nothing", seeds=())  # continued: nothing is trained again
    assert states == {path: path.stat().st_mtime_ns for path in Path(config.output).rglob("last.pt")}
    printed = capsys.readouterr().out
    assert "mean of the folds' AUC" in printed and "\npooled: AUC " in printed  # ten people: no caveat
    assert printed.count("(means nothing: people tested: ") == 2 * 3  # the folds alone


@pytest.mark.slow
def test_generators_are_left_out_one_by_one_for_each_seed(config, capsys, without_plots):
    config = replace(config, split=replace(config.split, folds=3), train=replace(config.train, epochs=1))
    cross_validate(config, "each", seeds=(0, 1))
    folder = Path(config.output, "tiny_folds")
    for generator, other in (("alpha", "beta"), ("beta", "alpha")):
        tested = saved_predictions(folder / generator)
        assert {row["generator"] for row in tested} == {"", generator}
        run = Path(config.output, f"tiny_without_{generator}_seed1_fold2")
        assert json.loads((run / "config.json").read_text())["split"]["unseen"] == [generator]
        assert {row["generator"] for row in saved_predictions(run)} <= {"", generator} - {other}
    spread = json.loads((folder / "spread.json").read_text())["mean_fold_auc_of_each_seed"]
    assert {name: len(areas["raw"]) for name, areas in spread.items()} == {"alpha": 2, "beta": 2, "mean": 2}
    assert spread["mean"]["raw"][0] == pytest.approx((spread["alpha"]["raw"][0] + spread["beta"]["raw"][0]) / 2)
    assert "+-" in capsys.readouterr().out.splitlines()[-4]


@pytest.mark.slow
def test_a_fold_without_a_fake_of_the_generator_is_left_out(config, caplog, without_plots):
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
    cross_validate(config, "each", seeds=(), calibration="out-of-fold")
    assert sum("no fakes by gamma" in record.message for record in caplog.records) == 2
    saved = json.loads(Path(config.output, "tiny_folds", "gamma", "metrics.json").read_text())
    assert len(saved["fold_auc"]["raw"]) == 1
    # The one fold is decided by all others of the other generators.
    (run,) = Path(config.output).glob("tiny_without_gamma_fold*/predictions.csv")
    fold = run.parent.name[-1]
    others = [
        row
        for path in Path(config.output).glob("tiny_without_*_fold*/predictions.csv")
        if path.parent.name[-1] != fold
        for row in saved_predictions(path.parent)
    ]
    fitted = calibrate(*(np.array([kind(row[name]) for row in others]) for name, kind in SCORED.items()))
    own = saved_predictions(run.parent)
    expected = fitted.decide(np.array([float(row["score"]) for row in own]))
    pooled = saved_predictions(Path(config.output, "tiny_folds", "gamma"))
    assert [row["decision"] for row in pooled] == [DECISIONS[decision] for decision in expected.tolist()]


@pytest.mark.slow
def test_folds_are_decided_by_the_scores_of_the_others(config, capsys, without_plots):
    config = replace(config, split=replace(config.split, folds=3), train=replace(config.train, epochs=1))
    cross_validate(config, "nothing", seeds=(), calibration="out-of-fold")
    folder = Path(config.output, "tiny_folds")
    folds = [saved_predictions(Path(config.output, f"tiny_fold{fold}")) for fold in range(3)]
    decisions = {row["key"]: row["decision"] for row in saved_predictions(folder)}
    for fold, own in enumerate(folds):
        others = [row for number, rows in enumerate(folds) if number != fold for row in rows]
        fitted = calibrate(*(np.array([kind(row[name]) for row in others]) for name, kind in SCORED.items()))
        expected = fitted.decide(np.array([float(row["score"]) for row in own]))
        assert [decisions[row["key"]] for row in own] == [DECISIONS[decision] for decision in expected.tolist()]
    by_all = calibrate(*(np.array([kind(row[n]) for rows in folds for row in rows]) for n, kind in SCORED.items()))
    saved = read_calibration(folder / "calibration.json")
    assert replace(saved, rates=()) == by_all
    pooled = saved_predictions(folder)
    assert sum(one.reals + one.fakes for one in saved.rates) == len(pooled)
    accused = sum(row["decision"] == "fake" and row["label"] == "0" for row in pooled)
    assert round(sum(one.reals_accused * one.reals for one in saved.rates)) == accused
    assert "wrong among decided" in capsys.readouterr().out


def test_the_mean_over_generators_ignores_those_without_an_auc():
    """Fakes of another kind are no part of the metrics, so that a turn without others has no AUC."""

    def tested(label, score):
        return {0: Evaluation(predictions(label, score), Calibration(), {"raw": {}}, {})}

    by_seed = [
        {"alpha": tested([0, 1], [0.0, 1.0]), "beta": tested([0, 0, 1], [0.0, 2.0, 1.0]), "photo": tested([0], [0.0])},
        {"beta": tested([0, 1], [1.0, 0.0])},
    ]
    spread = _spread(by_seed)
    assert spread["alpha"]["raw"] == pytest.approx([1, np.nan], nan_ok=True)
    assert spread["beta"]["raw"] == [0.5, 0]
    assert np.isnan(spread["photo"]["raw"]).all()
    assert spread["mean"]["raw"] == [0.75, 0]


def test_a_fold_that_no_other_can_decide_is_said():
    alone = Evaluation(predictions([0, 0, 1], [0.0, 1.0, 2.0]), Calibration(), {}, {})
    with pytest.raises(UserError, match="the folds other than 2 test no reals or no fakes"):
        calibrate_out_of_fold({2: alone}, {2: [alone]})


@pytest.mark.parametrize("name", ["../../elsewhere", "/elsewhere", "..", "a/b"])
def test_a_generator_whose_name_is_a_path_leads_nowhere(config, name):
    manifest = Cache.of(config).manifest_file
    rows = [
        replace(row, record=replace(row.record, generator=name)) if row.record.label else row
        for row in read_manifest(manifest)
    ]
    write_manifest(manifest, rows)
    with pytest.raises(UserError, match="is not a valid folder name"):
        cross_validate(replace(config, split=replace(config.split, folds=3)), "each", seeds=())


@pytest.mark.slow
def test_generators_are_left_out_without_a_validation_split(config, without_plots):
    """As in configs/mouth_noise.py."""
    split = replace(config.split, folds=3, validation=0.0)
    cross_validate(replace(config, split=split, train=replace(config.train, epochs=1, select="last")), "each", seeds=())
    saved = json.loads(Path(config.output, "tiny_folds", "spread.json").read_text())
    assert set(saved["mean_fold_auc_of_each_seed"]) == {"alpha", "beta", "mean"}
