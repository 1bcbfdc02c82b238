"""Loaders: which clips an epoch draws, and that batches depend on nothing else."""

import errno
import os
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing import active_children
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lipinc.batches import loaders
from lipinc.batches.clip_dataset import ClipDataset, Draw
from lipinc.batches.loaders import Pairs, TrainingSampler, training_loader
from lipinc.cache.store import Cache
from lipinc.commands.runner import run_command
from lipinc.errors import UserError


def test_batches_do_not_depend_on_the_number_of_loader_processes(config, rows):
    def load(workers: int) -> list:
        train = replace(config.train, loader_workers=workers)
        loader = training_loader(ClipDataset(Cache.of(config), rows, config.augment), train, pin=False)
        loader.batch_sampler.set_epoch(3)
        return list(loader)

    for alone, parallel in zip(load(0), load(2), strict=True):
        for name in ("frames", "residues", "labels", "videos"):
            assert torch.equal(getattr(alone, name), getattr(parallel, name))


def test_balanced_draws_of_few_reals_and_many_fakes():
    labels = np.array([0] * 5 + [1] * 95)
    sampler = TrainingSampler(labels, clips=100, balanced=True, seed=0)
    drawn = np.array([draw.clip for draw in sampler])
    assert (labels[drawn] == 0).sum() == (labels[drawn] == 1).sum() == 50
    assert np.bincount(drawn, minlength=100)[:5].tolist() == [10] * 5  # each real equally often
    assert np.bincount(drawn)[5:].max() == 1  # no fake twice before all have come
    assert len({draw.seed for draw in sampler}) == 100


def test_pseudo_fakes_are_drawn_as_often_as_other_fakes():
    groups = np.array([0] * 10 + [1] * 5 + [2] * 80)
    drawn = np.array([draw.clip for draw in TrainingSampler(groups, clips=81, balanced=True, seed=0)])
    assert np.bincount(groups[drawn]).tolist() == [41, 20, 20]
    groups = np.array([0] * 10 + [2] * 80)  # and alone where there are no others
    drawn = np.array([draw.clip for draw in TrainingSampler(groups, clips=20, balanced=True, seed=0)])
    assert np.bincount(groups[drawn], minlength=3).tolist() == [10, 0, 10]


def test_unbalanced_draws_are_a_permutation():
    sampler = TrainingSampler(np.array([0, 1, 1, 1]), clips=4, balanced=False, seed=0)
    assert sorted(draw.clip for draw in sampler) == [0, 1, 2, 3]


def test_fakes_are_drawn_with_their_own_reals_into_one_batch():
    groups = np.array([0] * 30 + [1] * 20)
    partners = {fake: [fake - 30, fake - 29] for fake in range(30, 48)}  # the last two fakes have none

    def halves(probability: float, clips: int = 40) -> list[tuple[np.ndarray, np.ndarray]]:
        pairs = Pairs(partners, probability, batch_size=8)
        sampler = TrainingSampler(groups, clips=clips, balanced=True, seed=0, pairs=pairs)
        assert len(list(sampler)) == clips and list(sampler) == list(sampler)
        drawn = np.array([draw.clip for draw in sampler])
        return [np.split(batch, [len(batch) // 2]) for batch in np.split(drawn, range(8, clips, 8))]

    for fakes, reals in halves(1.0):
        assert (groups[fakes] == 1).all() and (groups[reals] == 0).all()
        assert all(fake >= 48 or real in partners[fake] for fake, real in zip(fakes, reals, strict=True))
    drawn = [pair for fakes, reals in halves(0.5) for pair in zip(fakes, reals, strict=True)]
    matches = [real in partners.get(fake, ()) for fake, real in drawn]
    assert 4 <= sum(matches) <= 15
    every_fake = np.concatenate([fakes for fakes, _ in halves(1.0)])
    assert sorted(every_fake) == list(range(30, 50))
    assert len(halves(1.0, clips=21)[-1][1]) == 3  # an odd number, and a shorter last batch


def test_pairs_that_do_not_exist_are_asked_for(config, rows, caplog):
    dataset = ClipDataset(Cache.of(config), rows)
    assert dataset.partners() == {}
    assert len(list(training_loader(dataset, replace(config.train, pairs=0.7), pin=False))) == 3
    assert "name them in the column pair of the index" in caplog.text
    real = rows[0].record.key
    paired = [replace(row, record=replace(row.record, pair=real if row.record.label else "")) for row in rows[:2]]
    dataset = ClipDataset(Cache.of(config), paired)
    assert dataset.partners() == {3: [0, 1, 2], 4: [0, 1, 2], 5: [0, 1, 2]}
    batch = next(iter(training_loader(dataset, replace(config.train, pairs=1.0), pin=False)))
    assert batch.labels.tolist() == [1, 1, 1, 0, 0, 0]
    assert dataset.pairs_in(batch.videos, batch.labels).tolist() == [
        [fake, real] for fake in range(3) for real in (3, 4, 5)
    ]


def test_draws_depend_on_seed_and_epoch_alone():
    def draws(seed: int, epoch: int) -> list[Draw]:
        sampler = TrainingSampler(np.array([0, 1] * 50), clips=100, balanced=True, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draws(0, 1) == draws(0, 1)
    assert draws(0, 1) != draws(0, 2)
    assert draws(0, 1) != draws(1, 1)


def test_a_last_batch_of_one_clip_is_dropped(config, rows):
    train = replace(config.train, batch_size=8, clips_per_epoch=17)
    sizes = [len(batch.labels) for batch in training_loader(ClipDataset(Cache.of(config), rows), train, pin=False)]
    assert sizes == [8, 8]


def loaded(config, rows) -> list:
    train = replace(config.train, loader_workers=2)
    return list(training_loader(ClipDataset(Cache.of(config), rows), train, pin=False))


def test_without_room_in_shared_memory_batches_go_through_the_pipe(config, rows, monkeypatch):
    shared = loaded(config, rows)
    assert all(batch.frames.is_shared() for batch in shared)
    monkeypatch.setattr(loaders.shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * shared[0].nbytes))
    piped = loaded(config, rows)
    for one, other in zip(shared, piped, strict=True):
        assert not other.frames.is_shared()
        for name in ("frames", "residues", "labels", "videos"):
            assert torch.equal(getattr(one, name), getattr(other, name))


def test_a_loader_process_that_hangs_is_an_error_that_says_what_to_do(config, rows, monkeypatch, capsys):
    monkeypatch.setattr(loaders, "TIMEOUT", 1)
    monkeypatch.setattr(ClipDataset, "__getitems__", lambda *_: time.sleep(600))
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: loaded(config, rows))
    assert caught.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: DataLoader timed out after 1 seconds") and "--train.loader-workers 0" in last


def test_a_loader_process_obeys_the_sigterm_of_the_training_process_alone(config, rows):
    train = replace(config.train, loader_workers=1, batch_size=2)
    batches = iter(training_loader(ClipDataset(Cache.of(config), rows), train, pin=False))
    next(batches)
    [process] = active_children()
    another = f"import os, signal; os.kill({process.pid}, signal.SIGTERM)"
    subprocess.run([sys.executable, "-c", another], check=True)
    assert len(list(batches)) > 1
    assert process.is_alive()
    process.terminate()
    process.join(30)
    assert process.exitcode == 0


def test_no_room_for_a_lock_is_one_line(config, rows, monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(loaders.multiprocessing, "Lock", full)
    with pytest.raises(UserError, match=r"/dev/shm has no room for a lock \(No space left on device\)"):
        loaded(config, rows)
