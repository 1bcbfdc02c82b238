"""Run folders: what they hold, and which runs may be continued."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.experiment import run_experiment
from lipinc.training.run_folder import Run
from tests.tiny import tiny_config
from tests.training.test_loop import numbers, run_training, with_train


@pytest.fixture
def config(tmp_path):
    config = tiny_config(tmp_path)
    make_cache(config, people=10)
    return config


def test_results_are_made_whole_and_leftovers_go_when_a_run_is_continued(config):
    run_training(with_train(config, "left", epochs=2))
    run = Run(Path(config.output, "left"))
    whole = (run.folder / "results.csv").read_text()
    (run.folder / "results.csv").write_text(whole[: len(whole) // 2])
    (run.folder / "checkpoints" / "best.safetensors.123.tmp").write_bytes(b"half")
    run_training(with_train(config, "left", epochs=2), resume=True)
    assert (run.folder / "results.csv").read_text() == whole
    assert not list(run.folder.rglob("*.tmp"))


def test_a_run_is_neither_overwritten_nor_mixed(config):
    run_training(with_train(config, "mine", epochs=1))
    with pytest.raises(UserError, match="already contains a run: resume it with --resume auto"):
        run_training(with_train(config, "mine", epochs=1))
    with pytest.raises(UserError, match="train.seed was 0 and is 1"):
        run_training(with_train(config, "mine", epochs=2, seed=1), resume=True)
    cosine = with_train(config, "cosine", epochs=2, schedule="cosine")
    run_training(cosine)
    with pytest.raises(UserError, match="train.epochs was 2 and is 3"):
        run_training(with_train(cosine, "cosine", epochs=3), resume=True)


def test_a_run_is_not_continued_on_other_people(config):
    make_split = Path(config.output).parent / "split.csv"

    def write(test_person: int) -> None:
        names = {0: "validation", test_person: "test"}
        lines = [f"id{person:02d},{names.get(person, 'train')}" for person in range(10)]
        make_split.write_text("identity,split\n" + "\n".join(lines) + "\n")

    write(test_person=5)
    config = replace(config, split=replace(config.split, file=str(make_split)))
    run_training(with_train(config, "people", epochs=1))
    write(test_person=6)
    with pytest.raises(UserError, match="training people may now be in the test split"):
        run_training(with_train(config, "people", epochs=2), resume=True)


def test_a_finished_run_resumed_trains_no_more(config):
    first = run_training(with_train(config, "done", epochs=2))
    before = Run(Path(config.output, "done")).best.read_bytes()
    assert run_training(with_train(config, "done", epochs=2), resume=True) == first
    assert Run(Path(config.output, "done")).best.read_bytes() == before


def test_a_finished_run_may_drop_its_training_state(config):
    small = with_train(config, "small", epochs=1, keep_last=False)
    first = run_experiment(small)
    run = Run(Path(config.output, "small"))
    assert run.last.stat().st_size < 10_000 < run.best.stat().st_size
    again = run_experiment(small, resume=True)  # is evaluated again, not trained
    np.testing.assert_array_equal(again.predictions.score, first.predictions.score)
    with pytest.raises(UserError, match="already contains a run: resume it with --resume auto"):
        run_experiment(small)
    with pytest.raises(UserError, match="keep_last False: without its training state it cannot be continued for more"):
        run_experiment(with_train(config, "small", epochs=2), resume=True)


def test_an_interrupted_run_keeps_its_training_state(config):
    whole = run_training(with_train(config, "whole", epochs=2))
    run_training(with_train(config, "parts", epochs=1, keep_last=False))  # without the evaluation at the end
    assert numbers(run_training(with_train(config, "parts", epochs=2), resume=True)) == numbers(whole)


def test_the_run_folder_tells_what_was_decided(config):
    run_training(with_train(config, "folder", epochs=1))
    folder = Path(config.output, "folder")
    assert {path.name for path in folder.iterdir()} == {"config.json", "environment.txt", "results.csv", "checkpoints"}
    assert "torch: " in (folder / "environment.txt").read_text()
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.safetensors", "last.pt"}


def test_a_run_of_version_1_is_continued(config):
    """Its config.json had the options of all models in one section, those of the loss's maps in another, and no
    version."""
    whole = run_training(with_train(config, "whole", epochs=3))
    run_training(with_train(config, "old", epochs=2))
    file = Path(config.output, "old", "config.json")
    values = json.loads(file.read_text())
    del values["version"]
    values["loss"]["features"] = values["model"].pop("loss_features")
    values["model"] |= {"attention": "published", "noise": 0.3, "input_dropout": 0.3, "levels": 4}
    values["data"] |= {"columns": []}
    for section in ("model", "data", "loss", "cache", "train", "evaluate", "split", "mouth"):
        values[section] = {name: values[section][name] for name in old_form()[section]}
    file.write_text(json.dumps(values))
    assert numbers(run_training(with_train(config, "old", epochs=3), resume=True)) == numbers(whole)
    assert json.loads(file.read_text())["version"] == 2
    file.write_text(json.dumps({**values, "train": {**values["train"], "seed": 7}}))
    with pytest.raises(UserError, match="train.seed was 7 and is 0"):
        run_training(with_train(config, "old", epochs=4), resume=True)


def old_form() -> dict:
    """A config.json that version 1 wrote."""
    return json.loads((Path(__file__).parents[1] / "config" / "version_1" / "demo.json").read_text())
