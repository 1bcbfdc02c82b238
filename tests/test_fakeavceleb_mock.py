"""FakeAVCeleb from its folder to its tables, on a mock with its layout, its index and its flaws."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from lipinc.cache.manifest import read_manifest
from lipinc.commands import crossval, extract, train
from lipinc.config import Config, EvaluateConfig, SamplingConfig, load_config
from lipinc.datasets.dataset import load_videos
from lipinc.datasets.records import Label
from lipinc.datasets.splits import SHIPPED
from lipinc.files.csv_table import read_table
from tests.mock_fakeavceleb import write_mock
from tests.test_experiment import saved_predictions
from tests.tiny import config_source, tiny_config

METHODS = ("faceswap-wav2lip", "fsgan-wav2lip", "wav2lip")


@pytest.fixture(scope="module")
def config(tmp_path_factory, clips_root: Path) -> Config:
    """The mock, and configs/leave_method_out.py with a model that takes seconds."""
    folder = tmp_path_factory.mktemp("mock")
    root = folder / "FakeAVCeleb_v1.2"
    write_mock(root, clips_root)
    sampling, evaluate = SamplingConfig(windows=2, fallback="nearest"), EvaluateConfig(bootstrap=10)
    tiny = tiny_config(folder, sampling=sampling, evaluate=evaluate)
    config = replace(tiny, data=replace(load_config("leave_method_out").data, root=str(root)))
    (folder / "experiment.py").write_text(config_source(config))
    return config


def run(command, config: Config, *words: str) -> None:
    command.main(["--config", str(Path(config.output).parent / "experiment.py"), *words], "lipinc")


def rows_by_group(metrics: dict, by: str) -> dict[str, dict]:
    return {row["group"]: row for row in metrics["break_downs"][by]}


@pytest.mark.slow
def test_the_mock_runs_from_its_folder_to_its_tables(config: Config, capsys) -> None:
    other_form = replace(config.data, index=str(Path(config.data.root, "other_form.csv")))
    assert load_videos(config.data) == load_videos(other_form)

    run(extract, config)
    manifest = {row.record.key: row for row in read_manifest(Path(config.cache.path, "manifest.csv"))}
    status = {Path(key).name: row.status for key, row in manifest.items()}
    assert len(manifest) == 62  # the file that is listed twice counts once
    assert (status["broken_wavtolip.mp4"], status["absent_wavtolip.mp4"]) == ("unreadable", "missing")
    in_both = [row for row in manifest.values() if row.record.method == "wav2lip" and row.clips_sha256]
    assert len({row.record.key.rpartition("/")[2] for row in in_both}) < len({row.clips_sha256 for row in in_both})

    words = ("--split.file", "fakeavceleb", "--name", "shipped", "--evaluate.frame-level", "True")
    run(train, config, *words)
    folder = Path(config.output, "shipped")
    listed = {row["identity"]: row["split_0"] for _, row in read_table(SHIPPED / "fakeavceleb.csv").rows}
    tested = [row for row in manifest.values() if listed[row.record.identity] == "test" and row.status != "missing"]
    assert len({row.record.identity for row in tested}) == 4
    scored = {row["key"] for row in saved_predictions(folder)}
    assert scored == {row.record.key for row in tested if row.status == "ok"}
    metrics = json.loads((folder / "metrics.json").read_text())
    refused = Counter(row.record.label for row in tested if row.status != "ok")
    assert metrics["refused"] == {"real": refused[Label.REAL], "fake": refused[Label.FAKE]}
    assert {"auc", "auc_with_refused", "frame_auc"} <= metrics["metrics"].keys()
    audio = rows_by_group(metrics, "audio")
    for group, category in (("RealAudio", "C"), ("FakeAudio", "D")):
        own = [row.status for row in tested if row.record.category == category]
        assert audio[group]["fake"] == own.count("ok")
        assert audio[group]["refused"] == len(own) - own.count("ok") + refused[Label.REAL]
    assert rows_by_group(metrics, "generator").keys() == set(METHODS)
    assert rows_by_group(metrics, "race").keys() == {"African", "Asian (East)"}
    assert rows_by_group(metrics, "gender").keys() == {"men", "women"}
    printed = capsys.readouterr().out
    assert "AUC, refused videos at 0.5" in printed
    assert f"and {refused[Label.FAKE]} of 17 fake videos (the manifest says why)" in printed
    run(train, config, *words, "--test-only", str(folder / "checkpoints" / "best.safetensors"))
    again = json.loads((folder / "test_only" / "metrics.json").read_text())
    assert (again["metrics"], again["break_downs"]) == (metrics["metrics"], metrics["break_downs"])


@pytest.mark.slow
def test_each_method_of_the_mock_is_left_out_once(config: Config, capsys) -> None:
    run(extract, config)
    run(crossval, config, "--split.folds", "3", "--leave-out", "each", "--train.epochs", "1")
    folder = Path(config.output, "tiny_folds")
    for method in METHODS:
        tested = saved_predictions(folder / method)
        assert {row["method"] for row in tested} == {"real", method}
        metrics = json.loads((folder / method / "metrics.json").read_text())
        reals = sum(row["label"] == "0" for row in tested)
        assert reals + metrics["refused"]["real"] == 12  # everybody
        fakes = 25 if method == "wav2lip" else 12  # with the unreadable one, without the missing one
        assert len(tested) - reals + metrics["refused"]["fake"] == fakes
        assert rows_by_group(metrics, "audio").keys() == {"FakeAudio", *(["RealAudio"] if method == "wav2lip" else [])}
    spread = json.loads((folder / "spread.json").read_text())["mean_fold_auc_of_each_seed"]
    assert spread.keys() == {*METHODS, "mean"}
    printed = capsys.readouterr().out
    assert "trained without fsgan-wav2lip" in printed and "audio" in printed
