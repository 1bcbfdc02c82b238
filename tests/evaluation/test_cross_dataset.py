"""Several data sets in one table: their rows, the mean and the pooled videos, and data sets that fail."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from lipinc.cache.manifest import ManifestRow
from lipinc.config import CacheConfig, Config, EvaluateConfig
from lipinc.errors import UserError
from lipinc.evaluation import cross_dataset
from lipinc.evaluation.cross_dataset import evaluate_across, summary_rows
from lipinc.evaluation.external import ExternalResult
from lipinc.evaluation.results import evaluate_predictions
from lipinc.models.calibration import Calibration
from lipinc.video.quality import QUALITY_NAMES
from tests.predicted import predictions

QUICK = EvaluateConfig(bootstrap=20)


def external(label, score, refused=(), checkpoint="alpha", **columns) -> ExternalResult:
    """A result with a band of uncertainty from 0 to 1; refused: labels of videos without clips."""
    videos = predictions(label, score, **columns)
    videos = replace(videos, quality=np.full((len(videos), len(QUALITY_NAMES)), np.nan))
    rows = [ManifestRow(record, "ok") for record in videos.records]
    rows += [ManifestRow(replace(rows[0].record, label=type(rows[0].record.label)(one)), "no_face") for one in refused]
    return ExternalResult(checkpoint, evaluate_predictions(videos, Calibration(0.5, 1.0, (0.0, 1.0)), QUICK), rows)


def test_each_data_set_has_a_row_and_all_have_a_mean_and_a_pooled_one():
    """Within each data set the order is right; the scores of the second are 10 higher, so pooled it is not."""
    people = [f"id{i}" for i in range(4)]
    first = external([0, 0, 1, 1], [-1, -2, 2, 3], refused=[0, 1, 1, 1], identity=people)
    second = external([0, 0, 1, 1], [9, 8, 12, 13], identity=people)
    rows = {row["data_set"]: row for row in summary_rows({"one": [first], "two": [second]}, QUICK)}
    assert list(rows) == ["one", "two", "mean", "pooled"]
    assert [rows[name]["auc"] for name in rows] == [1.0, 1.0, 1.0, 0.75]
    assert [rows[name]["reals_accused"] for name in rows] == [0.0, 1.0, 0.5, 0.5]
    assert (rows["pooled"]["real"], rows["pooled"]["fake"], rows["pooled"]["real_people"]) == (4, 4, 2)
    assert [rows[name]["refused"] for name in rows] == [0.5, 0.0, 0.25, 4 / 12]
    assert (rows["one"]["refused_real"], rows["one"]["refused_fake"]) == (1 / 3, 3 / 5)
    assert rows["one"]["auc_low"] <= 1.0 and np.isnan(rows["mean"]["auc_low"])


def test_data_sets_with_equal_paths_keep_their_own_pairs():
    """The pooled share of fakes above their own real video is right only if pairs do not cross data sets."""
    pair = ["", "0.mp4"]
    parts = {"one": [external([0, 1], [0, 1], pair=pair)], "two": [external([0, 1], [10, 11], pair=pair)]}
    assert summary_rows(parts, QUICK)[-1]["within_pairs"] == 1.0


def test_a_data_set_of_reals_alone_has_no_part_in_the_mean_auc():
    parts = {"one": [external([0, 1], [0, 1])], "reals": [external([0, 0], [-1, 3])]}
    rows = {row["data_set"]: row for row in summary_rows(parts, QUICK)}
    assert np.isnan(rows["reals"]["auc"]) and rows["mean"]["auc"] == 1.0
    assert rows["mean"]["reals_accused"] == 0.25


def test_conditions_and_checkpoints_have_rows_of_their_own():
    both = {"key": ["a", "b", "a@crf28", "b@crf28"], "condition": ["raw", "raw", "crf28", "crf28"]}
    of = {name: external([0, 1, 0, 1], [0, 1, 1, 0], checkpoint=name, **both) for name in ("alpha", "beta")}
    rows = summary_rows({"one": list(of.values())}, QUICK)
    assert [(row["condition"], row["checkpoint"], row["auc"]) for row in rows] == [
        *(("raw", "alpha", 1.0), ("raw", "beta", 1.0), ("crf28", "alpha", 0.0), ("crf28", "beta", 0.0)),
    ]


def named(folder, *names: str) -> list[Config]:
    return [
        Config(name=name, output=str(folder), cache=CacheConfig(path=f"cache/{name}"), evaluate=QUICK) for name in names
    ]


def test_a_data_set_that_fails_has_its_reason_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    def evaluate(files, config):
        if config.name == "two":
            raise UserError("nowhere is not TWO: set data.root")
        return [external([0, 1], [0, 1]), external([0, 1], [1, 0], checkpoint="beta")]

    monkeypatch.setattr(cross_dataset, "evaluate_externally", evaluate)
    assert not evaluate_across(["mouth_noise"], named(tmp_path, "one", "two", "six"))
    folder = tmp_path / "one+two+six"
    assert (folder / "summary.png").stat().st_size > 10_000
    with (folder / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["data_set"], row["checkpoint"], row["auc"]) for row in rows] == [
        *(("one", "alpha", "1.0"), ("six", "alpha", "1.0"), ("mean", "alpha", "1.0"), ("pooled", "alpha", "1.0")),
        *(("one", "beta", "0.0"), ("six", "beta", "0.0"), ("mean", "beta", "0.0"), ("pooled", "beta", "0.0")),
        ("two", "", ""),
    ]
    assert rows[-1]["problem"] == "nowhere is not TWO: set data.root" and rows[2]["auc_low"] == ""
    printed = capsys.readouterr().out
    assert "two: not evaluated: nowhere is not TWO: set data.root" in printed
    assert "one *" in printed and "* fewer than 10 people of a class: means nothing" in printed
    assert evaluate_across(["mouth_noise"], named(tmp_path, "one", "six"))


def test_data_sets_that_would_overwrite_each_other_and_absent_checkpoints_are_refused_at_once(tmp_path):
    one, two = named(tmp_path, "one", "two")
    with pytest.raises(UserError, match="several configs have the name 'one'"):
        evaluate_across(["mouth_noise"], [one, replace(two, name="one")])
    with pytest.raises(UserError, match="several configs have the cache 'cache/one'"):
        evaluate_across(["mouth_noise"], [one, replace(two, cache=one.cache)])
    with pytest.raises(UserError, match="no checkpoint absent.safetensors"):
        evaluate_across(["absent.safetensors"], [one, two])
