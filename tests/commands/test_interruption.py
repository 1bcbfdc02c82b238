"""A run that is killed, over and over at random moments, ends as if it had never been."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lipinc.config import Config
from lipinc.demo.synthetic_cache import make_cache
from lipinc.experiment import run_experiment
from tests.processes import heed_interrupts, start
from tests.tiny import config_source, tiny_config

KILLS = 20


def experiment(config: Config) -> None:
    run_experiment(config, resume=True)


def outcome(config: Config) -> tuple[bytes, dict, list[list[str]], bytes]:
    """What a run leaves, but for how long it took."""
    folder = Path(config.output, config.name)
    rows = [row[:-2] for row in csv.reader((folder / "results.csv").open())]
    metrics = json.loads((folder / "metrics.json").read_text())
    best = (folder / "checkpoints" / "best.safetensors").read_bytes()
    return best, metrics, rows, (folder / "predictions.csv").read_bytes()


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_as_one_that_was_not(tmp_path):
    config = tiny_config(tmp_path)
    config = replace(
        config,
        model=config.model.replace(hidden=16),
        train=replace(config.train, epochs=12, patience=12),
        evaluate=replace(config.evaluate, bootstrap=10),
    )
    make_cache(config, people=10)
    start(os.getpid).join()  # the first one waits for all that is imported
    began = time.monotonic()
    start(experiment, config).join()
    seconds = time.monotonic() - began
    undisturbed = outcome(config)
    Path(config.output).rename(tmp_path / "undisturbed")

    draw = random.Random(0)
    results = Path(config.output, config.name, "results.csv")

    def epochs() -> int:
        return len(results.read_text().splitlines()) - 1 if results.exists() else 0

    killed_at = []
    for _ in range(KILLS):
        wanted = epochs() + draw.choice((0, 0, 1))  # some die before they come to anything, some after an epoch
        process = start(experiment, config)
        while epochs() < wanted and process.is_alive():
            time.sleep(0.001)
        process.join(draw.uniform(0, seconds / config.train.epochs))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            killed_at.append(epochs())
    start(experiment, config).join()
    assert outcome(config) == undisturbed
    assert len(set(killed_at)) > 3  # in several epochs
    assert not list(Path(config.output).rglob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "message"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")]
)
def test_ctrl_c_or_sigterm_in_the_middle_of_an_epoch_ends_the_run_which_goes_on(tmp_path, number, status, message):
    config = tiny_config(tmp_path)
    config = replace(config, train=replace(config.train, epochs=99, patience=99, clips_per_epoch=400, loader_workers=2))
    make_cache(config, people=10)
    (tmp_path / "config.py").write_text(config_source(config))
    running = subprocess.Popen(
        [sys.executable, "train_pipeline.py", "--config", str(tmp_path / "config.py")],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal tells all processes of the command, and so does a cluster
        preexec_fn=heed_interrupts,
    )
    results = Path(config.output, config.name, "results.csv")
    try:
        deadline = time.monotonic() + 120
        while not results.exists() and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        os.killpg(running.pid, number)
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == status, errors[-3000:]
    # The last line, unless a loader process was just handing over a batch: multiprocessing prints that it broke off.
    assert errors.count(f"\n{message}; the same command continues") == 1
    epochs = len(results.read_text().splitlines()) - 1
    config = replace(config, train=replace(config.train, epochs=epochs + 1, loader_workers=0))
    assert run_experiment(config, resume=True) is not None
    assert len(results.read_text().splitlines()) == epochs + 2
