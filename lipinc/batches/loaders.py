"""Data loaders: which clips an epoch draws, and how they are shared out to processes."""

import signal
from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from lipinc.batches.batch import Batch
from lipinc.batches.clip_dataset import ClipDataset, Draw
from lipinc.batches.feature_dataset import FeatureDataset
from lipinc.config import TrainConfig
from lipinc.ddp import shard, world_size
from lipinc.errors import UserError


class TrainingSampler(Sampler):
    """Draws of one epoch. Call `set_epoch` before each: epoch and seed decide everything.

    balanced: reals and fakes equally often, and of the fakes, pseudo-fakes and others equally often. Each group is gone
    through in shuffled rounds, so that no clip of it comes twice before all have come once.
    """

    def __init__(self, groups: np.ndarray, *, clips: int, balanced: bool, seed: int):
        """groups: [clips] int, 0 real, 1 fake, 2 pseudo-fake; clips: how many are drawn an epoch."""
        self.groups, self.clips, self.balanced, self.seed = groups, clips, balanced, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.clips

    def __iter__(self) -> Iterator[Draw]:
        random = np.random.default_rng((self.seed, self.epoch))
        order = np.concatenate(
            [
                np.concatenate([random.permutation(group) for _ in range(-(-count // len(group)))])[:count]
                for group, count in self._shares()
                if count
            ]
        )
        for place, clip in enumerate(random.permutation(order)):
            yield Draw(int(clip), (self.seed, self.epoch, place))

    def _shares(self) -> list[tuple[np.ndarray, int]]:
        """The clips of each group, and how many of them are drawn."""
        if not self.balanced:
            return [(np.arange(len(self.groups)), self.clips)]
        reals, fakes, pseudo = (np.flatnonzero(self.groups == group) for group in range(3))
        of_fakes = self.clips // 2
        of_pseudo = 0 if not len(pseudo) else of_fakes if not len(fakes) else of_fakes // 2
        return [(reals, self.clips - of_fakes), (fakes, of_fakes - of_pseudo), (pseudo, of_pseudo)]


class SharedBatches(BatchSampler):
    """The batches of a TrainingSampler, and of each what falls to this process."""

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[Draw]]:
        yield from map(shard, super().__iter__())


def training_loader(dataset: ClipDataset | FeatureDataset, config: TrainConfig, *, pin: bool) -> DataLoader:
    """Batches of one epoch; `loader.batch_sampler.set_epoch` before each.

    A last batch of one clip is dropped, since batch normalisation cannot take it, and so is one that leaves a process
    without a clip. Raises UserError if every batch would.
    """
    if config.batch_size < world_size():
        raise UserError(f"train.batch_size {config.batch_size} is shared by {world_size()} processes: enlarge it")
    clips = config.clips_per_epoch or len(dataset)
    rest = clips % config.batch_size
    clips -= rest if rest < max(2, world_size()) else 0
    sampler = TrainingSampler(dataset.groups, clips=clips, balanced=config.balanced, seed=config.seed)
    batches = SharedBatches(sampler, config.batch_size, drop_last=False)
    return _loader(dataset, config, pin, batch_sampler=batches, persistent_workers=config.loader_workers > 0)


def evaluation_loader(dataset: ClipDataset | FeatureDataset, config: TrainConfig, *, pin: bool) -> DataLoader:
    """Every clip once, in order; whole batches fall to each process, so that clips are scored in the same company."""
    draws = [Draw(clip, ()) for clip in range(len(dataset))]
    return _loader(dataset, config, pin, batch_sampler=shard(list(BatchSampler(draws, config.batch_size, False))))


def _loader(dataset: Dataset, config: TrainConfig, pin: bool, **options) -> DataLoader:
    return DataLoader(
        dataset,
        num_workers=config.loader_workers,
        pin_memory=pin,
        collate_fn=_as_it_is,
        worker_init_fn=_ignore_interrupts,
        generator=torch.Generator(),  # its own: loading must not change what dropout draws
        **options,
    )


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _ignore_interrupts(_: int) -> None:
    """Ctrl-C is for the process that trains: a loader process that ended first would look like one that died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
