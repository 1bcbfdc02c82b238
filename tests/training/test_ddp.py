"""Several processes train as one does: the same batches, statistics, gradients, scores and checkpoints."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lipinc.batches.clip_dataset import ClipDataset
from lipinc.batches.feature_dataset import dataset_for
from lipinc.batches.loaders import training_loader
from lipinc.cache.store import Cache
from lipinc.commands.runner import run_command
from lipinc.config import AugmentConfig, Config, LossConfig, ModelConfig, MouthConfig, TrainConfig
from lipinc.ddp import is_main, shard, world_size, wrap_ddp
from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.evaluation.scoring import predict
from lipinc.losses.total import LossInputs, total_loss
from lipinc.models.checkpoint import load_checkpoint
from lipinc.models.registry import build_model
from lipinc.training import loop as training
from lipinc.training.run_folder import Run
from lipinc.video.subprocesses import IsolatedProcess
from tests.processes import in_processes
from tests.tiny import config_source, tiny_config
from tests.training.termination import fail_and_be_terminated
from tests.training.test_loop import numbers, rows_of, run_training, with_train

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


@pytest.fixture
def config(tmp_path) -> Config:
    """Noise features without dropout and noise, which each process draws for itself: all else is the same."""
    config = replace(
        tiny_config(tmp_path),
        mouth=MouthConfig(height=32, width=48),
        model=ModelConfig(
            "noise_features", hidden=16, batch_norm_momentum=0.1, dropout=0.0, input_dropout=0.0, input_noise=0.0
        ),
        loss=LossConfig(inconsistency=0.0),
        augment=AugmentConfig(flip=0.0),
    )
    make_cache(config, people=10)
    return config


def normalise(seed: int) -> tuple[np.ndarray, ...]:
    """A batch normalised, and the gradients: of this process's share."""
    random = torch.Generator().manual_seed(seed)
    clips, pull = (torch.randn(7, 3, 4, 5, generator=random, dtype=torch.float64) for _ in range(2))
    model = nn.Sequential(nn.BatchNorm2d(3, momentum=0.1), nn.BatchNorm2d(3, momentum=0.3, affine=False)).double()
    parallel, mine = wrap_ddp(model), shard(3 * clips + 5).requires_grad_()
    (world_size() * (parallel(mine) * shard(pull)).sum()).backward()
    kept = [mine.grad / world_size(), model[0].weight.grad, model[0].bias.grad, *model.buffers()]
    with torch.no_grad():
        kept.append(model.eval()(mine))
    return tuple(tensor.numpy() for tensor in kept)


@pytest.mark.slow
def test_batch_statistics_are_those_of_the_whole_batch():
    one, two = normalise(0), in_processes(2, normalise, 0)
    for place, whole in enumerate(one):
        parts = [result[place] for result in two]
        if whole.shape[:1] == (7,):  # of each clip
            whole, parts = whole[[0, 2, 4, 6, 1, 3, 5]], [np.concatenate(parts)]
        for part in parts:
            np.testing.assert_allclose(part, whole, rtol=1e-10, atol=1e-12)


def gradient(config: Config) -> np.ndarray:
    """Of one step on seven clips."""
    torch.manual_seed(0)
    model = build_model(config).train()
    parallel = wrap_ddp(model)
    random = torch.Generator().manual_seed(1)
    size = (7, 8, config.mouth.height, config.mouth.width, 3)
    frames = torch.randint(120, 140, size, generator=random) + 20 * torch.arange(7).view(7, 1, 1, 1, 1)
    frames, labels = shard(frames.to(torch.uint8)), shard(torch.tensor([0, 1, 0, 1, 1, 0, 1]))
    logits, features = parallel(frames, frames[:, 1:] - frames[:, :-1], loss_features=True)
    loss = total_loss(LossInputs(logits, features, labels, config.loss))["total"]
    (loss * world_size() * len(labels) / 7).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()]).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lipinc", "lipinc_v2"])
def test_gradients_are_those_of_the_whole_batch(tmp_path, name):
    model = ModelConfig(name, hidden=32, input_scale=1 / 255)
    model = model.replace(dropout=0.0) if name == "lipinc" else model
    config = tiny_config(tmp_path, mouth=MouthConfig(height=56, width=56), model=model, loss=LossConfig())
    one, two = gradient(config), in_processes(2, gradient, config)
    np.testing.assert_array_equal(*two)
    assert np.linalg.norm(one - two[0]) < 1e-3 * np.linalg.norm(one)


def curve(history: list[dict]) -> np.ndarray:
    return np.array([[row[name] for name in ("train_loss", "validation_loss")] for row in history])


@pytest.mark.slow
def test_the_losses_of_several_processes_are_those_of_one_and_either_goes_on_with_the_others_run(config):
    """The last batch of an epoch, of five clips, falls to two processes unevenly."""

    def named(name: str, epochs: int = 3) -> Config:
        # With an epsilon of 1e-8, Adam makes whole steps of gradients that are rounding errors, whose sign is chance.
        return with_train(config, name, epochs=epochs, clips_per_epoch=37, select="last", adam_epsilon=1e-4)

    one = curve(run_training(named("one")))
    two, other = in_processes(2, run_training, named("two"))
    assert numbers(two) == numbers(other)
    np.testing.assert_allclose(curve(two), one, rtol=1e-4)

    in_processes(2, run_training, named("narrowed", epochs=1))
    np.testing.assert_allclose(curve(run_training(named("narrowed"), resume=True)), one, rtol=1e-4)
    run_training(named("widened", epochs=1))
    np.testing.assert_allclose(
        curve(in_processes(2, partial(run_training, resume=True), named("widened"))[0]), one, rtol=1e-4
    )
    for name in ("one", "two", "narrowed", "widened"):
        checkpoint = load_checkpoint(Run(Path(config.output, name)).best, CPU)
        assert checkpoint.epoch == 3


def scores_of_training_videos(config: Config) -> list:
    rows = rows_of(config)["train"]
    model = load_checkpoint(Run(Path(config.output, config.name)).best, CPU).model
    dataset = dataset_for(model, Cache.of(config), rows, CPU)
    predictions, loss = predict(model, dataset, config.train, CPU, description="")
    return [predictions.column("key").tolist(), predictions.windows.tolist(), predictions.score.tolist(), loss]


@pytest.mark.slow
def test_every_clip_is_scored_once_and_to_the_same_bits(config):
    config = with_train(config, "scores", epochs=1, batch_size=7)  # 36 clips: six batches, the last one of one clip
    run_training(config)
    one = scores_of_training_videos(config)
    assert one[1] == [3.0] * 12
    for count in (2, 4):
        assert in_processes(count, scores_of_training_videos, config) == [one] * count


def train_poisoned(config: Config) -> str:
    """The message that a process ends with if the loss is not finite on the other one's first share."""
    if not is_main():
        names = ("total", "classification")
        training.total_loss = lambda inputs: dict.fromkeys(names, inputs.logits.sum() * float("nan"))
    try:
        run_training(config)
    except UserError as error:
        return str(error)
    return "trained"


@pytest.mark.slow
def test_a_loss_that_is_not_finite_in_one_process_ends_all_with_its_videos(config):
    config = with_train(config, "poisoned", epochs=1, balanced=False, batch_size=2)
    messages = in_processes(2, train_poisoned, config)
    assert messages[0] == messages[1]
    assert messages[0].count("video.mp4") == 1  # of the two clips of the batch


@pytest.mark.slow
def test_a_batch_too_small_for_all_processes_is_left_out(config):
    config = with_train(config, "small", epochs=1, clips_per_epoch=18)
    assert len(in_processes(3, run_training, config)[0]) == 1


def test_a_batch_is_no_smaller_than_the_processes(config, monkeypatch):
    monkeypatch.setattr("lipinc.batches.loaders.world_size", lambda: 3)
    rows = rows_of(config)["train"]
    with pytest.raises(UserError, match="train.batch_size 2 is smaller than the number of processes, 3"):
        training_loader(ClipDataset(Cache.of(config), rows), TrainConfig(batch_size=2), pin=False)


def test_commands_that_cannot_share_their_work_refuse_torchrun(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: pytest.fail("it ran"))
    assert caught.value.code == 2
    assert "only train_pipeline.py supports torchrun" in capsys.readouterr().err


def torchrun(config: Config, *flags: str) -> subprocess.Popen:
    """`torchrun train_pipeline.py` of the config in two processes."""
    file = Path(config.output).parent / "config.py"
    file.write_text(config_source(config))
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"),
            *("train_pipeline.py", "--config", str(file), *flags),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def processes_of(parent: subprocess.Popen) -> dict[str, int]:
    """Process ids by rank."""
    found = {}
    for child in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split():
        environment = Path(f"/proc/{child}/environ").read_bytes().decode().split("\0")
        ranks = [entry.partition("=")[2] for entry in environment if entry.startswith("RANK=")]
        found |= {rank: int(child) for rank in ranks}
    return found


@pytest.mark.slow
def test_torchrun_prints_once_and_leaves_the_folder_of_one_process(config):
    done = torchrun(config)
    out, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors[-3000:]
    assert out.count("test split, per video") == out.count("AUC 0.") + out.count("AUC 1.0000") == 1
    assert errors.count("epoch   1  loss") == 1
    folder = Path(config.output, "tiny")
    assert not list(folder.rglob("*.tmp"))
    assert "in each of 2 processes" in (folder / "environment.txt").read_text()
    assert {"metrics.json", "predictions.csv", "results.csv", "splits.csv"} <= {path.name for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_killed_process_ends_the_run_and_what_is_done_is_kept(config, rank):
    running = torchrun(with_train(config, "killed", epochs=100000, patience=100000))
    results = Path(config.output, "killed", "results.csv")
    try:
        deadline = time.monotonic() + 120
        while not results.exists() and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(processes_of(running)[rank], signal.SIGKILL)
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode not in (0, None)
    assert errors.count("error: a process of this run died") == 1, errors[-3000:]
    epochs = len(results.read_text().splitlines()) - 1
    history = run_training(with_train(config, "killed", epochs=epochs + 2, patience=100000), resume=True)
    assert len(history) == epochs + 2


def test_sigterm_does_not_stop_the_message_of_an_error(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for name, value in (("RANK", 0), ("WORLD_SIZE", 1), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", port)):
        monkeypatch.setenv(name, str(value))
    with IsolatedProcess() as process:
        assert process.call(fail_and_be_terminated) == "printed"


@pytest.mark.slow
def test_the_error_of_one_process_is_printed_once(config):
    config = replace(config, model=ModelConfig("lipinc", hidden=16, loss_features="pooled"), loss=LossConfig())
    rows = rows_of(config)["train"]
    file = Cache.of(config).clips_file(rows[0].record.key)
    file.write_bytes(file.read_bytes()[:100])
    done = torchrun(config)
    _, errors = done.communicate(timeout=120)
    assert done.returncode != 0
    assert errors.count("error: ") == 1 and f"error: {file} is damaged or missing" in errors, errors[-3000:]
