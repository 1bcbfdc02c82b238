"""The loop: what is learnt, what is saved, and that going on is the same as never having stopped."""

import csv
import logging
import math
import os
import re
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lipinc.batches.clip_dataset import ClipDataset, Draw
from lipinc.cache.manifest import ManifestRow, read_manifest
from lipinc.cache.selection import select
from lipinc.cache.store import Cache
from lipinc.commands.runner import run_command
from lipinc.config import Config, LossConfig
from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.evaluation.scoring import predict
from lipinc.models.checkpoint import load_checkpoint, load_state, save_state
from lipinc.models.registry import build_model
from lipinc.training import loop as training
from lipinc.training.loop import best_epoch, fit
from lipinc.training.optimization import learning_rate, seed_torch
from lipinc.training.run_folder import Run
from tests.tiny import tiny_config

CPU = torch.device("cpu")


def run_training(config: Config, *, resume: bool = False) -> list[dict]:
    rows, run = rows_of(config), Run.open(config, resume=resume)
    seed_torch(config.train, epoch=0)
    model = build_model(config)
    return fit(model, config, Cache.of(config), rows, run, CPU)


def rows_of(config: Config) -> dict[str, list[ManifestRow]]:
    """The videos of each split."""
    return select(Cache.of(config), config.data, config.split).rows


def numbers(history: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if k not in ("seconds", "clips_per_second")} for row in history]


@pytest.fixture
def config(tmp_path):
    config = tiny_config(tmp_path)
    make_cache(config, people=10)
    return config


def with_train(config: Config, name: str, **changes) -> Config:
    return replace(config, name=name, train=replace(config.train, **changes))


def test_fakes_are_ranked_above_the_real_videos_that_they_were_made_from(config):
    config = replace(config, loss=LossConfig(inconsistency=0.0, ranking=1.0))
    config = with_train(config, "pairs", pairs=1.0, learning_rate=1e-3, epochs=4)
    (unknown, *_) = run_training(with_train(config, "unknown", epochs=1))
    assert unknown["train_ranking"] == 0
    cache = Cache.of(config)
    rows = [
        replace(
            row, record=replace(row.record, pair=row.record.key.replace("fake", "real") if row.record.label else "")
        )
        for row in read_manifest(cache.manifest_file)
    ]
    cache.finish(rows, config.data)
    history = run_training(config)
    assert 0 < history[-1]["train_ranking"] < history[0]["train_ranking"] / 2


@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_is_the_same_as_uninterrupted(config, monkeypatch, workers):
    config = replace(config, train=replace(config.train, loader_workers=workers))
    whole = run_training(with_train(config, "whole", epochs=4))
    run_training(with_train(config, "parts", epochs=2))

    # Killed in the middle of epoch 3, then started again.
    step, calls = training.total_loss, []

    def dies_in_the_second_step(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(training, "total_loss", dies_in_the_second_step)
    with pytest.raises(KeyboardInterrupt):
        run_training(with_train(config, "parts", epochs=4), resume=True)
    monkeypatch.setattr(training, "total_loss", step)
    torch.manual_seed(12345)
    parts = run_training(with_train(config, "parts", epochs=4), resume=True)

    assert numbers(parts) == numbers(whole)
    folders = [Path(config.output, name) for name in ("whole", "parts")]
    weights = [load_checkpoint(Run(folder).best, CPU).model.state_dict() for folder in folders]
    assert all(torch.equal(a, b) for a, b in zip(weights[0].values(), weights[1].values(), strict=True))
    results = [[row[:-2] for row in csv.reader((folder / "results.csv").open())] for folder in folders]
    assert results[0] == results[1]
    assert len(results[0]) == 5


def test_it_learns_the_flicker_of_the_fakes(config):
    history = run_training(with_train(config, "learns", epochs=12, learning_rate=1e-3))
    assert history[-1]["train_classification"] < 0.3 < history[0]["train_classification"]
    assert max(row["validation_auc"] for row in history) == 1.0
    checkpoint = load_checkpoint(Path(config.output, "learns", "checkpoints", "best.safetensors"), CPU)
    assert checkpoint.epoch == best_epoch(history)
    dataset = ClipDataset(Cache.of(config), rows_of(config)["test"])
    predictions, _ = predict(checkpoint.model, dataset, config.train, CPU, description="test")
    assert predictions.score[predictions.label == 1].min() > predictions.score[predictions.label == 0].max()


def test_a_score_is_the_mean_margin_of_a_videos_windows(config):
    dataset = ClipDataset(Cache.of(config), rows_of(config)["validation"])
    model = build_model(config).eval()
    predictions, _ = predict(model, dataset, replace(config.train, batch_size=2), CPU, description="")
    with torch.inference_mode():
        for video, row in enumerate(dataset.rows):
            clips = ClipDataset(Cache.of(config), [row]).__getitems__([Draw(w, ()) for w in range(row.windows)])
            logits = model(clips.frames, clips.residues)
            margin = (logits[:, 1] - logits[:, 0]).mean().item()
            assert predictions.score[video] == pytest.approx(margin, abs=1e-4)
    assert predictions.windows.tolist() == [3] * len(dataset.rows)


def test_train_mode_in_every_epoch_after_predicting_in_eval_mode(config, monkeypatch):
    modes = []
    forward = training._forward

    def watch(model, *rest):
        modes.append(model.training)
        return forward(model, *rest)

    monkeypatch.setattr(training, "_forward", watch)
    run_training(with_train(config, "modes", epochs=3))
    assert len(modes) == 3 * math.ceil(36 / 8)
    assert all(modes)


def test_early_stopping_keeps_the_best_epoch(config, monkeypatch):
    scripted = iter([0.5, 0.9, 0.8, 0.7, 0.9, 0.9])
    monkeypatch.setattr(training, "auc", lambda *_: next(scripted))
    monkeypatch.setattr(training, "predict", _constant_loss(training.predict))
    history = run_training(with_train(config, "stops", epochs=20, patience=3))
    assert len(history) == 5
    assert best_epoch(history) == 2
    best = load_checkpoint(Path(config.output, "stops", "checkpoints", "best.safetensors"), CPU)
    assert best.epoch == 2


def _constant_loss(original):
    return lambda *arguments, **options: (original(*arguments, **options)[0], 0.5)


def test_a_loss_that_is_not_finite_ends_the_run_names_the_videos_and_keeps_what_there_is(config, monkeypatch):
    run_training(with_train(config, "nan", epochs=1))
    before = Run(Path(config.output, "nan")).last.read_bytes()
    rows = rows_of(config)["train"]
    forward, batches = training._forward, []

    load, videos = ClipDataset.__getitems__, []

    def note_videos(dataset, draws):
        batch = load(dataset, draws)
        videos.append(batch.videos)
        return batch

    def breaks_on_the_third_video(model, inputs, *rest):
        logits, features = forward(model, inputs, *rest)
        batches.append([rows[video].record.key for video in videos[-1]])
        return logits * (float("inf") if 3 in videos[-1] else 1), features

    monkeypatch.setattr(ClipDataset, "__getitems__", note_videos)
    monkeypatch.setattr(training, "_forward", breaks_on_the_third_video)
    with pytest.raises(UserError, match="the loss of epoch 2 is not finite at a step on ") as caught:
        run_training(with_train(config, "nan", epochs=3), resume=True)
    named = {row.record.key for row in rows if row.record.key in str(caught.value)}
    assert named == set(next(keys for keys in batches if rows[3].record.key in keys))
    assert Run(Path(config.output, "nan")).last.read_bytes() == before


def test_weights_that_score_nothing_are_not_kept(config, monkeypatch):
    run_training(with_train(config, "nan", epochs=1))
    before = Run(Path(config.output, "nan")).last.read_bytes()
    step = training.train_one_epoch

    def breaks_in_its_last_step(model, *rest, **options):
        loss = step(model, *rest, **options)
        next(model.parameters()).data.fill_(float("nan"))
        return loss

    monkeypatch.setattr(training, "train_one_epoch", breaks_in_its_last_step)
    with pytest.raises(UserError, match="the weights after epoch 2 give scores that are not finite"):
        run_training(with_train(config, "nan", epochs=3), resume=True)
    assert Run(Path(config.output, "nan")).last.read_bytes() == before


def test_a_disk_that_fills_up_while_a_checkpoint_is_written_costs_that_epoch_alone(config, monkeypatch):
    """The limit of a file's size stands in for the disk's."""
    config = with_train(config, "full", select="last")
    run_training(with_train(config, "full", epochs=1))
    run = Run(Path(config.output, "full"))
    files = [path for path in run.folder.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files if path.name not in ("config.json", "environment.txt")}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            run_training(with_train(config, "full", epochs=2), resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in before} == before
    assert set(files) == {path for path in run.folder.rglob("*") if path.is_file()}
    assert len(run_training(with_train(config, "full", epochs=2), resume=True)) == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_a_cache_that_vanishes_ends_the_run_which_goes_on_when_it_is_back(config, monkeypatch, workers):
    config = with_train(config, "vanished", loader_workers=workers)
    save = training.save_checkpoint

    def cache_goes(*arguments, **options):
        save(*arguments, **options)
        Path(config.cache.path).rename(tmp)

    tmp = Path(config.output).parent / "elsewhere"
    monkeypatch.setattr(training, "save_checkpoint", cache_goes)
    with pytest.raises(UserError, match="is damaged or missing"):
        run_training(config)
    monkeypatch.setattr(training, "save_checkpoint", save)
    with pytest.raises(UserError, match="no cache in"):
        run_training(config, resume=True)
    tmp.rename(config.cache.path)
    assert len(run_training(config, resume=True)) == 2


def ends(config: Config, capsys) -> tuple[int, str]:
    """Status and last line of a training that fails."""
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: run_training(config))
    return caught.value.code, capsys.readouterr().err.splitlines()[-1]


def test_a_loader_process_that_is_killed_ends_the_run_in_one_line(config, monkeypatch, capsys):
    monkeypatch.setattr(ClipDataset, "__getitems__", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    status, line = ends(with_train(config, "killed", loader_workers=1), capsys)
    assert status == 2
    assert line.startswith("error: DataLoader worker") and line.endswith("Lower --train.loader-workers")


def test_an_output_folder_that_cannot_be_written_is_named(config, capsys):
    """In /proc nobody can, not even root."""
    assert ends(replace(config, output="/proc/outputs"), capsys) == (
        2,
        "error: /proc/outputs: No such file or directory; progress is saved",
    )


def test_a_run_whose_files_are_damaged_is_not_continued_by_guessing(config):
    run_training(with_train(config, "damaged", epochs=1))
    run, again = Run(Path(config.output, "damaged")), with_train(config, "damaged", epochs=2)
    last, best = run.last.read_bytes(), run.best.read_bytes()
    run.last.write_bytes(last[:-100])
    with pytest.raises(UserError, match="last.pt cannot be read; delete it to start over"):
        run_training(again, resume=True)
    state = load_state_of(last, run.last)
    for key, value in (("model", {}), ("optimizer", {}), ("history", [])):
        save_state(run.last, {**state, key: value})
        with pytest.raises(UserError, match="last.pt does not match this network; delete it"):
            run_training(again, resume=True)
    run.last.write_bytes(last)
    run.best.write_bytes(best[:-100])
    with pytest.raises(UserError, match="best.safetensors is not a .safetensors checkpoint"):
        run_training(again, resume=True)
    run.best.write_bytes(best)
    (run.folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="config.json cannot be read"):
        run_training(again, resume=True)


def load_state_of(content: bytes, file: Path) -> dict:
    file.write_bytes(content)
    return load_state(file)


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_numbers_and_a_plain_checkpoint(config, monkeypatch):
    monkeypatch.setattr(training, "COMPILER", "eager")  # traced, but not translated, which takes minutes
    plain = run_training(with_train(config, "plain", epochs=1))
    compiled = run_training(with_train(config, "compiled", epochs=1, compile=True))
    assert compiled[0]["train_loss"] == pytest.approx(plain[0]["train_loss"], rel=1e-4)
    load_checkpoint(Path(config.output, "compiled", "checkpoints", "best.safetensors"), CPU)


@pytest.mark.slow
def test_the_log_has_the_learning_rate_and_the_time_left(config, caplog):
    """Of the last step of each epoch; the time is left out after the last epoch."""
    caplog.set_level(logging.INFO, logger="lipinc")
    config = with_train(config, "rates", epochs=2, schedule="cosine", warmup=1.0)
    history = run_training(config)
    with Path(config.output, "rates", "results.csv").open() as file:
        saved = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    steps = -(-36 // config.train.batch_size)  # of an epoch: 3 windows of 12 videos
    assert saved == [row["learning_rate"] for row in history]
    assert saved == [learning_rate(config.train, epoch * steps - 1, steps) for epoch in (1, 2)]
    assert saved[0] == config.train.learning_rate and 0 < saved[1] < saved[0] / 5
    first, second = (record.message for record in caplog.records if record.message.startswith("epoch "))
    assert re.search(r"  up to \d\d:\d\d left$", first) and "left" not in second


def test_without_a_compiler_the_network_runs_uncompiled(config, monkeypatch, caplog):
    def fails(*_):
        raise RuntimeError("No working C++ compiler found\nand a long story")

    monkeypatch.setattr(torch._dynamo, "lookup_backend", lambda _: fails)
    torch.compiler.reset()  # forget what other tests compiled
    assert len(run_training(with_train(config, "uncompiled", epochs=1, compile=True))) == 1
    assert "the network runs uncompiled (No working C++ compiler found)" in caplog.text
