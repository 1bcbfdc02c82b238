"""Data loaders and samplers: the clips drawn in an epoch, and their distribution over processes."""

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
    """Sampler of training clips. Call `set_epoch` before each epoch: the draws depend only on the seed and the epoch.

    Each group is sampled in shuffled passes, so that no clip is drawn twice before all clips have been drawn once.
    """

    def __init__(self, groups: np.ndarray, *, clips: int, balanced: bool, seed: int):
        """Create the sampler.

        Args:
            groups: (clips of the dataset,) int: 0 real, 1 fake, 2 pseudo-fake.
            clips: number of clips per epoch.
            balanced: draw reals and fakes equally often, and among the fakes, pseudo-fakes and others equally often.
            seed: random seed.
        """
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
                for group, count in self._group_counts()
                if count
            ]
        )
        for place, clip in enumerate(random.permutation(order)):
            yield Draw(int(clip), (self.seed, self.epoch, place))

    def _group_counts(self) -> list[tuple[np.ndarray, int]]:
        """Return the clips of each group, and the number of clips to draw from it."""
        if not self.balanced:
            return [(np.arange(len(self.groups)), self.clips)]
        reals, fakes, pseudo = (np.flatnonzero(self.groups == group) for group in range(3))
        fake_count = self.clips // 2
        pseudo_count = 0 if not len(pseudo) else fake_count if not len(fakes) else fake_count // 2
        return [(reals, self.clips - fake_count), (fakes, fake_count - pseudo_count), (pseudo, pseudo_count)]


class ShardedBatchSampler(BatchSampler):
    """Batches of a TrainingSampler, each reduced to the shard of this process."""

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[Draw]]:
        yield from map(shard, super().__iter__())


def training_loader(dataset: ClipDataset | FeatureDataset, config: TrainConfig, *, pin: bool) -> DataLoader:
    """Create the training loader. Call `loader.batch_sampler.set_epoch` before each epoch.

    The last batch is dropped if it has a single clip, which batch normalisation cannot process, or if it leaves a
    process without a clip.

    Args:
        dataset: the training clips or features.
        config: the training settings.
        pin: whether to pin the memory of batches.

    Raises:
        UserError: the batch size is smaller than the number of processes.
    """
    if config.batch_size < world_size():
        raise UserError(
            f"train.batch_size {config.batch_size} is smaller than the number of processes, {world_size()}: increase it"
        )
    clips = config.clips_per_epoch or len(dataset)
    remainder = clips % config.batch_size
    clips -= remainder if remainder < max(2, world_size()) else 0
    sampler = TrainingSampler(dataset.groups, clips=clips, balanced=config.balanced, seed=config.seed)
    batches = ShardedBatchSampler(sampler, config.batch_size, drop_last=False)
    return _loader(dataset, config, pin, batch_sampler=batches, persistent_workers=config.loader_workers > 0)


def evaluation_loader(dataset: ClipDataset | FeatureDataset, config: TrainConfig, *, pin: bool) -> DataLoader:
    """Create the evaluation loader: every clip once, in order.

    Whole batches are assigned to processes, so batch composition does not depend on the world size.
    """
    draws = [Draw(clip, ()) for clip in range(len(dataset))]
    return _loader(dataset, config, pin, batch_sampler=shard(list(BatchSampler(draws, config.batch_size, False))))


def _loader(dataset: Dataset, config: TrainConfig, pin: bool, **options) -> DataLoader:
    return DataLoader(
        dataset,
        num_workers=config.loader_workers,
        pin_memory=pin,
        collate_fn=_identity,
        worker_init_fn=_ignore_interrupts,
        generator=torch.Generator(),  # a separate generator: data loading must not change dropout
        **options,
    )


def _identity(batch: Batch) -> Batch:
    """Return the batch: `__getitems__` has collated it already."""
    return batch


def _ignore_interrupts(_: int) -> None:
    """Leave Ctrl-C to the training process: a loader process that exits first would be reported as crashed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
