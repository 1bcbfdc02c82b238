"""Cached clips as batches: uint8 until they are on the device."""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from lipinc.batches.augment import augment, changes_pixels
from lipinc.cache.clip_file import Frames, read_window
from lipinc.cache.store import Cache, ManifestRow, check_clips, read_clips
from lipinc.config import AugmentConfig, TrainConfig
from lipinc.ddp import shard, world_size
from lipinc.errors import UserError
from lipinc.video.mouth import residues


@dataclass(frozen=True)
class Batch:
    """B clips."""

    frames: torch.Tensor
    """[B, N, H, W, 3] uint8 BGR."""
    residues: torch.Tensor
    """[B, N - 1, H, W, 3] uint8."""
    labels: torch.Tensor
    """[B] int64, 1 = fake."""
    videos: torch.Tensor
    """[B] int64: position of the clip's video in the dataset's rows."""

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device, copied without waiting where its memory is pinned."""
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in Batch.__dataclass_fields__))

    def pin_memory(self) -> "Batch":
        """Called by the DataLoader."""
        return Batch(*(getattr(self, name).pin_memory() for name in Batch.__dataclass_fields__))


@dataclass(frozen=True)
class Draw:
    """One clip to load, and the seed of its augmentation."""

    clip: int
    seed: tuple[int, ...]


class ClipDataset(Dataset):
    """The clips of some videos of a cache, read a batch at a time. They are asked for by a `Draw`, so that augmentation
    depends on neither the loader's processes nor their order."""

    def __init__(self, cache: Cache, rows: Sequence[ManifestRow], augmentation: AugmentConfig | None = None):
        self.rows = list(rows)
        self.clips = [(video, window) for video, row in enumerate(self.rows) for window in range(row.windows)]
        self.labels = np.array([self.rows[video].record.label for video, _ in self.clips], dtype=np.int64)
        self.groups = self.labels + np.array([self.rows[video].record.forgery is not None for video, _ in self.clips])
        mouth, sampling = cache.settings["mouth"], cache.settings["sampling"]
        self._shape = (sampling["local_frames"] + sampling["global_frames"], mouth["height"], mouth["width"], 3)
        self._residue_mode = mouth["residue"]
        self._files = [cache.clips_file(row.record.key) for row in self.rows]
        self._places: dict[int, Frames] = {}
        self._augmentation = augmentation if augmentation is not None and changes_pixels(augmentation) else None

    def __len__(self) -> int:
        return len(self.clips)

    def __getitems__(self, draws: Sequence[Draw]) -> Batch:
        """Raises UserError, naming the file, if one is damaged."""
        frames = self.frames(draws)
        # Formed here also where nothing is augmented: to read what the cache has of them would take longer.
        residue = torch.from_numpy(residues(frames.numpy(), self._residue_mode))
        clips = [draw.clip for draw in draws]
        videos = torch.tensor([self.clips[clip][0] for clip in clips])
        return Batch(frames, residue, torch.from_numpy(self.labels[clips]), videos)

    def frames(self, draws: Sequence[Draw]) -> torch.Tensor:
        """The frames of some clips alone: [B, N, H, W, 3] uint8. Raises UserError as above."""
        frames = torch.empty((len(draws), *self._shape), dtype=torch.uint8)
        for draw, into in zip(draws, frames, strict=True):
            video, window = self.clips[draw.clip]
            file, known = self._files[video], self._places.get(video)
            if known is None:
                check_clips(file, self.rows[video])  # once: it reads all of the file
            self._places[video] = read_window(file, window, into.numpy(), known)
            if self._augmentation is not None:
                into.copy_(augment(into, self._augmentation, np.random.default_rng(draw.seed)))
        return frames

    def of_video(self, video: int) -> list[torch.Tensor]:
        """The frames of each window of a video, in order and at its own size: [N, h, w, 3] uint8. Raises UserError as
        above."""
        check_clips(self._files[video], self.rows[video])
        clips = read_clips(self._files[video])
        return [torch.from_numpy(clips.window(number)[0]) for number in range(len(clips.frames))]


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


def training_loader(dataset: ClipDataset, config: TrainConfig, *, pin: bool) -> DataLoader:
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


def evaluation_loader(dataset: ClipDataset, config: TrainConfig, *, pin: bool) -> DataLoader:
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
