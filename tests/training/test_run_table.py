"""The table of runs: what differs, metrics, order, and folders that cannot be read."""

import csv
import json
from pathlib import Path

import pytest

from lipinc.commands.runs import main
from lipinc.errors import UserError
from lipinc.training.run_table import differing_settings, find_runs, sort_runs


def write_run(folder: Path, area: float | None, people: int = 20, **train) -> None:
    folder.mkdir(parents=True)
    config = {"version": 2, "name": folder.name, "data": {"kind": "csv", "other_kinds": ["a", "b"]}, "train": train}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "results.csv").write_text("epoch,validation_auc\n1,0.6\n2,0.8\n3,0.7\n")
    if area is not None:
        metrics = {name: {"value": 0.25, "low": None, "high": None} for name in ("ap", "accuracy", "eer")}
        metrics |= {"auc": {"value": area, "low": area - 0.1, "high": area + 0.1}}
        values = {"metrics": metrics, "people_tested": {"real": people, "fake": 20}}
        (folder / "metrics.json").write_text(json.dumps(values))


@pytest.fixture
def outputs(tmp_path) -> Path:
    folder = tmp_path / "outputs"
    write_run(folder / "one", 0.7, seed=0, epochs=3)
    write_run(folder / "deep" / "two", 0.9, people=3, seed=1, epochs=3, amp=True)
    write_run(folder / "unfinished", None, seed=0, epochs=3)
    return folder


def test_rows_have_metrics_and_settings(outputs):
    rows = {row["run"]: row for row in find_runs(outputs)}
    assert set(rows) == {"one", "deep/two", "unfinished"}
    one = rows["one"]
    assert (one["auc"], one["epochs"], one["validation_auc"], one["real_people"]) == (0.7, 3, 0.8, 20)
    assert (one["reals_accused"], one["data.other_kinds"], one["train.seed"]) == ("", "a b", 0)
    assert rows["unfinished"]["problem"] == "no test metrics" and rows["unfinished"]["auc"] == ""
    assert differing_settings(list(rows.values())) == ["train.seed", "train.amp"]


def test_links_are_followed_and_a_run_is_listed_once(outputs, tmp_path):
    write_run(tmp_path / "elsewhere" / "far", 0.6)
    (outputs / "disk").symlink_to(tmp_path / "elsewhere")
    (outputs / "latest").symlink_to("one")
    (outputs / "deep" / "up").symlink_to("..")
    (outputs / "top").symlink_to(tmp_path)
    (outputs / "gone").symlink_to("nowhere")
    assert [row["run"] for row in find_runs(outputs)] == ["deep/two", "disk/far", "one", "unfinished"]


def test_order(outputs):
    rows = find_runs(outputs)
    assert [row["run"] for row in sort_runs(rows, "auc", True)] == ["deep/two", "one", "unfinished"]
    assert [row["run"] for row in sort_runs(rows, "train.seed")][-1] == "deep/two"
    with pytest.raises(UserError, match="--sort acu: did you mean auc"):
        sort_runs(rows, "acu")


@pytest.mark.parametrize("file", ["config.json", "results.csv", "metrics.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"metrics": {"auc": 3}}', "\0"])
def test_what_cannot_be_read_is_named_and_the_others_are_shown(outputs, capsys, file, content):
    (outputs / "one" / file).write_text(content)
    main([str(outputs)], "lipinc runs")
    printed = capsys.readouterr().out
    if not (file == "config.json" and "metrics" in content):  # a config of unknown settings
        assert f"{file} cannot be read" in printed
    assert "deep/two" in printed and "0.900*  [0.800, 1.000]" in printed and "means nothing" in printed


def test_the_csv_has_every_setting_that_differs(outputs, tmp_path, capsys):
    main([str(outputs), "--sort", "auc", "--csv", str(tmp_path / "runs.csv")], "lipinc runs")
    with (tmp_path / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ["one", "deep/two", "unfinished"]
    assert [row["train.seed"] for row in rows] == ["0", "1", "0"]
    assert capsys.readouterr().out.splitlines()[-1].startswith("3 runs, 2 settings that differ; written to ")


def test_folders_without_runs(tmp_path):
    with pytest.raises(UserError, match="no folder .*nowhere"):
        find_runs(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no run"):
        find_runs(tmp_path)
