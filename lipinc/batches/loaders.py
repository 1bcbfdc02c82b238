"""Data loaders and samplers: the clips drawn in an epoch, and their distribution over processes."""

import dataclasses
import logging
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler, get_worker_info

from lipinc.batches.batch import Batch
from lipinc.batches.clip_dataset import MIXED, ClipDataset, Draw
from lipinc.batches.feature_dataset import FeatureDataset
from lipinc.config import TrainConfig
from lipinc.ddp import shard, world_size
from lipinc.errors import UserError

log = logging.getLogger(__name__)

TIMEOUT = 300
"""Maximum time to wait for a batch of a loader process, in s. Less than the timeout of lipinc/ddp.py, so that the
process that waits for its loader is the one that reports it."""
SHARED_MEMORY = "/dev/shm"
"""Where Linux keeps shared memory. Docker gives a container 64 MB of it by default."""


class TrainingSampler(Sampler):
    """Sampler of training clips. Call `set_epoch` before each epoch: the draws depend only on the seed and the epoch.

    Each group is sampled in shuffled passes, so that no clip is drawn twice before all clips have been drawn once.
    """

    def __init__(self, groups: np.ndarray, *, clips: int, balanced: bool, seed: int, pairs: "Pairs | None" = None):
        """Create the sampler.

        Args:
            groups: (clips of the dataset,) int: 0 real, 1 fake, 2 pseudo-fake; MIXED clips are not drawn.
            clips: number of clips per epoch.
            balanced: draw reals and fakes equally often, and among the fakes, pseudo-fakes and others equally often.
            seed: random seed.
            pairs: which reals are drawn with which fakes; needs `balanced`.
        """
        self.groups, self.clips, self.balanced, self.seed, self.pairs = groups, clips, balanced, seed, pairs
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.clips

    def __iter__(self) -> Iterator[Draw]:
        random = np.random.default_rng((self.seed, self.epoch))
        drawn = [
            np.concatenate([random.permutation(group) for _ in range(-(-count // len(group)))])[:count]
            for group, count in self._group_counts()
            if count
        ]
        order = random.permutation(np.concatenate(drawn)) if self.pairs is None else self.pairs.order(drawn, random)
        for place, clip in enumerate(order):
            yield Draw(int(clip), (self.seed, self.epoch, place))

    def _group_counts(self) -> list[tuple[np.ndarray, int]]:
        """Return the clips of each group, and the number of clips to draw from it."""
        if not self.balanced:
            return [(np.flatnonzero(self.groups != MIXED), self.clips)]
        reals, fakes, pseudo = (np.flatnonzero(self.groups == group) for group in range(3))
        fake_count = self.clips // 2
        pseudo_count = 0 if not len(pseudo) else fake_count if not len(fakes) else fake_count // 2
        return [(reals, self.clips - fake_count), (fakes, fake_count - pseudo_count), (pseudo, pseudo_count)]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Reals that are drawn in the same batch as the fakes made from them."""

    partners: Mapping[int, Sequence[int]]
    """Fake clip -> the clips of its own real video."""
    probability: float
    """Probability that a fake that has partners is drawn with one of them."""
    batch_size: int
    """An odd one separates some pairs."""

    def order(self, drawn: Sequence[np.ndarray], random: np.random.Generator) -> np.ndarray:
        """Order the clips of an epoch: in each batch first the fakes, then as many reals.

        Both halves have the same order, so that the shards of several processes have whole pairs, too.

        Args:
            drawn: the reals, then the groups of fakes.
            random: draws the order and the partners, which take the places of some reals.
        """
        reals, fakes = random.permutation(drawn[0]), random.permutation(np.concatenate(drawn[1:]))
        for place, fake in enumerate(fakes):
            partners = self.partners.get(int(fake), ())
            if len(partners) and random.random() < self.probability:
                reals[place] = partners[random.integers(len(partners))]
        half = self.batch_size // 2
        return np.concatenate(
            [part[start : start + half] for start in range(0, len(reals), half) for part in (fakes, reals)]
        )


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
    partners = dataset.partners() if config.pairs else {}
    if config.pairs and not partners:
        log.warning(
            "train.pairs: no training fake is known to be made from a training video, so all are drawn with any real "
            "one; detectors of other sources need such pairs: name them in the column pair of the index"
        )
    if config.batch_size < world_size():
        raise UserError(
            f"train.batch_size {config.batch_size} is smaller than the number of processes, {world_size()}: increase it"
        )
    clips = config.clips_per_epoch or int(np.sum(dataset.groups != MIXED))
    remainder = clips % config.batch_size
    clips -= remainder if remainder < max(2, world_size()) else 0
    pairs = Pairs(partners, config.pairs, config.batch_size) if config.pairs else None
    sampler = TrainingSampler(dataset.groups, clips=clips, balanced=config.balanced, seed=config.seed, pairs=pairs)
    batches = ShardedBatchSampler(sampler, config.batch_size, drop_last=False)
    return _loader(dataset, config, pin, batch_sampler=batches, persistent_workers=config.loader_workers > 0)


def evaluation_loader(dataset: ClipDataset | FeatureDataset, config: TrainConfig, *, pin: bool) -> DataLoader:
    """Create the evaluation loader: every clip once, in order.

    Whole batches are assigned to processes, so batch composition does not depend on the world size.
    """
    draws = [Draw(clip, ()) for clip in range(len(dataset))]
    return _loader(dataset, config, pin, batch_sampler=shard(list(BatchSampler(draws, config.batch_size, False))))


def _loader(dataset: Dataset, config: TrainConfig, pin: bool, **options) -> DataLoader:
    if config.loader_workers:
        try:
            multiprocessing.Lock()  # as their queues have
        except OSError as error:
            raise UserError(
                f"loader processes cannot be started: {SHARED_MEMORY} has no room for a lock ({error.strerror}); make "
                "it larger (docker run --shm-size 1g), or load in the training process: --train.loader-workers 0"
            ) from error
    return DataLoader(
        dataset,
        num_workers=config.loader_workers,
        pin_memory=pin,
        collate_fn=_hand_over,
        worker_init_fn=_ignore_signals,
        timeout=TIMEOUT if config.loader_workers else 0,
        generator=torch.Generator(),  # a separate generator: data loading must not change dropout
        **options,
    )


def _hand_over(batch: Batch) -> "Batch | _Piped":
    """Return the batch, which `__getitems__` has collated already, in the form that goes to the training process.

    torch sends tensors through shared memory. If that is full, the thread that sends them drops the batch, for which
    training would wait for ever, or SIGBUS kills the loader process. A batch may go through the pipe instead.
    """
    loader = get_worker_info()
    if loader is None:  # in the training process
        return batch
    # Each loader process of this machine may be about to write a batch; twice that, since validation has its own ones.
    needed = 2 * batch.nbytes * loader.num_workers * int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return batch if _free_shared_memory() > needed else _Piped(batch)


def _free_shared_memory() -> int:
    """In bytes."""
    try:
        return shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        return 0


@dataclasses.dataclass(frozen=True)
class _Piped:
    """A batch that is pickled as arrays, which need no shared memory. Unpickled, it is the batch."""

    batch: Batch

    def __reduce__(self) -> tuple[Callable, tuple]:
        fields = dataclasses.fields(self.batch)
        return _from_arrays, (
            type(self.batch),
            {field.name: getattr(self.batch, field.name).numpy() for field in fields},
        )


def _from_arrays(kind: type[Batch], arrays: dict[str, np.ndarray]) -> Batch:
    return kind(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def _ignore_signals(_: int) -> None:
    """Leave Ctrl-C and SIGTERM, which a cluster sends to all processes of a job, to the training process: a loader
    process that exits first would be reported as crashed.

    The SIGTERM of the training process itself is obeyed. It is how torch and multiprocessing end a loader process whose
    loader was lost, for example with the traceback of an error; then they wait for its end, without a time limit.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # a handler would not know the sender
    threading.Thread(target=_obey_training_process, daemon=True).start()


def _obey_training_process() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
