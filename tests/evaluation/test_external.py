"""Checkpoints on videos that they do not know: made like theirs, under conditions, people apart."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lipinc.commands import evaluate
from lipinc.config import Config, ModelConfig, SamplingConfig
from lipinc.datasets import CsvIndex
from lipinc.demo.videos import render_video
from lipinc.errors import UserError
from lipinc.evaluation.external import evaluate_externally
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import identity_digest, load_checkpoint, save_checkpoint
from lipinc.models.registry import build_model
from tests.tiny import tiny_config


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """A real and a fake video of each of three people; the fakes are the reals, shorter: no test depends on it."""
    root = tmp_path_factory.mktemp("videos")
    rows = ["path,label,identity,generator,pair,family,audio"]
    for number, person in enumerate(("ann", "bob", "cid")):
        for label, frames in (("real", 56), ("fake", 50)):
            render_video(root / label / f"{person}.mp4", number=number, frames=frames)
            rows.append(
                f"{label}/{person}.mp4,{label},{person},{',' if label == 'real' else f'alpha,{person}'},demo,same"
            )
    (root / "index.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def config(tmp_path) -> Config:
    return tiny_config(tmp_path, sampling=SamplingConfig(windows=2, fallback="nearest"))


def checkpoint(config: Config, file: Path, *known: str, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    trained_on = tuple(identity_digest(person) for person in known)
    calibration = Calibration(0.1, 0.5, (0.0, 0.2))
    save_checkpoint(file, build_model(config), config, epoch=1, calibration=calibration, trained_on=trained_on)
    return file


def run(config: Config, videos: Path, *files: Path, conditions: tuple[str, ...] = ("crf40", "blur5")) -> None:
    data = CsvIndex(root=str(videos), conditions=conditions)
    # The config's own mouths and model do not matter: the checkpoints decide.
    other = replace(config, data=data, mouth=replace(config.mouth, width=32), model=ModelConfig("lipinc_v2"))
    evaluate_externally(files, other)


def saved_predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_people_not_trained_on_are_evaluated_under_each_condition(config, videos, tmp_path, capsys) -> None:
    knows_ann = checkpoint(config, tmp_path / "a" / "checkpoints" / "best.safetensors", "ann")
    knows_nobody = checkpoint(config, tmp_path / "b" / "checkpoints" / "best.safetensors", seed=1)
    run(config, videos, knows_ann, knows_nobody)
    printed = capsys.readouterr().out
    assert "2 people, without 1 that it was trained on" in printed and "3 people, without 0" in printed
    assert "pooled" not in printed  # two verdicts on one video are not one
    folder = Path(config.output, config.name, "evaluate")
    saved = {name: json.loads((folder / f"{name}_best" / "metrics.json").read_text()) for name in "ab"}
    assert (saved["a"]["people"], saved["a"]["people_left_out"], saved["a"]["condition"]) == (2, 1, "raw")
    assert set(saved["b"]["conditions"]) == {"raw", "crf40", "blur5"}
    assert {"generator, raw", "audio, raw", "family, raw", "condition"} <= set(saved["b"]["break_downs"])
    assert "within_pairs" in saved["b"]["conditions"]["blur5"]
    assert (folder / "b_best" / "plots" / "conditions.png").exists()
    predictions = saved_predictions(folder / "a_best")
    assert sorted({row["identity"] for row in predictions}) == ["bob", "cid"]
    assert len(predictions) == 2 * 2 * 3
    # The condition reaches the pixels: the same video scores otherwise under it.
    assert len({row["score"] for row in predictions if row["key"].startswith("real/bob.mp4")}) == 3
    loaded = load_checkpoint(knows_ann, torch.device("cpu"))
    assert saved["a"]["threshold"] == loaded.calibration.threshold
    keys = {row["key"] for row in predictions}
    for row in predictions:  # every fake has its real video under the same condition, and no real has one
        condition = "" if row["condition"] == "raw" else f"@{row['condition']}"
        assert (row["pair"] != "" and row["pair"] + condition in keys) == (row["label"] == "1")


@pytest.mark.slow
def test_real_videos_alone_give_the_rate_of_people_accused(config, videos, tmp_path, capsys) -> None:
    rows = [row for row in (videos / "index.csv").read_text().splitlines() if ",fake," not in row]
    rows += [f"broken{person}.mp4,real,{person},,,demo,same" for person in ("ann", "dan", "eve")]
    for row in rows[-3:]:
        (videos / row.partition(",")[0]).write_bytes(b"no video")
    (tmp_path / "reals.csv").write_text("\n".join(rows))
    data = CsvIndex(root=str(videos), index=str(tmp_path / "reals.csv"), conditions=("crf40",))
    evaluate_externally([checkpoint(config, tmp_path / "a.safetensors", "eve")], replace(config, data=data))
    folder = Path(config.output, config.name, "evaluate", "a")
    judged = [row["prediction"] == "1" for row in saved_predictions(folder) if row["condition"] == "raw"]
    saved = json.loads((folder / "metrics.json").read_text())
    metrics = saved["metrics"]
    assert len(judged) == 3 and metrics["reals_accused"]["value"] == sum(judged) / 3
    assert saved["refused"] == {"real": 2, "fake": 0}  # eve is known to the checkpoint
    assert metrics["auc"]["value"] is None
    printed = capsys.readouterr().out
    assert f"real people accused {sum(judged) / 3:.4f}" in printed and "no fake videos, so no AUC" in printed
    assert "labels: 6 real (for example real/ann.mp4), 0 fake" in printed


@pytest.mark.slow
def test_folds_are_pooled(config, videos, tmp_path, capsys, without_plots) -> None:
    people = ("ann", "bob", "cid")
    folds = [
        checkpoint(
            config, tmp_path / f"fold{i}" / "checkpoints" / "best.safetensors", *(set(people) - {person}), seed=i
        )
        for i, person in enumerate(people)
    ]
    run(config, videos, *folds, conditions=("crf40",))
    folder = Path(config.output, config.name, "evaluate")
    pooled = saved_predictions(folder / "pooled")
    assert sorted({row["identity"] for row in pooled}) == list(people) and len(pooled) == 2 * 3 * 2
    first = saved_predictions(folder / "fold0_best")
    assert {row["identity"] for row in first} == {"ann"}
    scores, of_first = (np.array([float(row["score"]) for row in rows]) for rows in (pooled, first))
    np.testing.assert_allclose(scores[: len(first)], (of_first - 0.1) / 0.5)  # counted from its threshold
    assert "3 folds pooled" in capsys.readouterr().out


def test_a_checkpoint_that_knows_everybody_is_refused(config, videos, tmp_path) -> None:
    file = checkpoint(config, tmp_path / "a.safetensors", "ann", "bob", "cid")
    with pytest.raises(UserError, match="no real video.*trained on 3"):
        run(config, videos, file, conditions=("crf40",))


@pytest.mark.slow
def test_checkpoints_of_other_clips_have_caches_of_their_own(config, videos, tmp_path) -> None:
    first = checkpoint(config, tmp_path / "a.safetensors")
    second = checkpoint(replace(config, mouth=replace(config.mouth, margin=0.2)), tmp_path / "b.safetensors")
    run(config, videos, first, second, conditions=("raw",))
    folder = Path(config.output, config.name, "evaluate")
    assert [len(saved_predictions(folder / name)) for name in "ab"] == [6, 6]
    assert len(list(tmp_path.glob("cache_evaluate_*"))) == 2


@pytest.mark.slow
def test_data_sets_are_evaluated_in_one_table(config, videos, tmp_path) -> None:
    """Refused videos and two data sets, by the command, on files."""
    file = checkpoint(config, tmp_path / "a.safetensors")
    names = ("one", "two")
    for name in names:
        shutil.copytree(videos, tmp_path / name)
        (tmp_path / f"{name}.py").write_text(
            "from lipinc.config import CacheConfig, Config\nfrom lipinc.datasets import CsvIndex\n"
            f"config = Config(name={name!r}, output={config.output!r}, data=CsvIndex(root={str(tmp_path / name)!r}), "
            f"cache=CacheConfig(path={str(tmp_path / 'cache' / name)!r}))\n"
        )
    (tmp_path / "two" / "real" / "ann.mp4").write_bytes(b"no video")
    configs = [str(tmp_path / f"{name}.py") for name in names]
    flags = ["--data.conditions", "raw", "--evaluate.bootstrap", "20", "--train.loader-workers", "0"]
    assert evaluate.main(["--checkpoints", str(file), "--config", *configs, *flags], "lipinc evaluate") == 0
    with Path(config.output, "one+two", "summary.csv").open(newline="") as stream:
        rows = {row["data_set"]: row for row in csv.DictReader(stream)}
    assert list(rows) == ["one", "two", "mean", "pooled"]
    assert (rows["two"]["real"], rows["two"]["refused_real"], rows["pooled"]["refused"]) == (
        "2",
        repr(1 / 3),
        repr(1 / 12),
    )
    assert [len(saved_predictions(Path(config.output, name, "evaluate", "a"))) for name in names] == [6, 5]
