"""Loading: does the data loader keep up with training, on a cache of many videos?"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.gpu.cases import PUBLISHED, Size, network_config, quiet
from benchmarks.gpu.sections import Measurement
from benchmarks.gpu.speed import make_trainer
from lipinc.batches.clip_dataset import ClipDataset, Draw
from lipinc.batches.loaders import training_loader
from lipinc.cache.store import Cache
from lipinc.config import AugmentConfig, CacheConfig, Config, TrainConfig, load_config
from lipinc.datasets import Folder
from lipinc.demo.synthetic_cache import fill_cache
from lipinc.training import loop

CLIP_FILES = 100
"""Clip files with content of their own; all others are hard links to them."""


def augmentations() -> dict[str, AugmentConfig]:
    """The cheapest augmentation in use, and that of the FakeAVCeleb experiment."""
    return {"flip": AugmentConfig(flip=0.5), "config.py": load_config("fakeavceleb").augment}


def loader_rates(
    device: torch.device,
    folder: Path,
    size: Size = PUBLISHED,
    *,
    videos: int = 10_000,
    workers: Sequence[int] = (0, 2, 4, 8, 16),
    batch: int = 64,
    seconds: float = 1.5,
    trained: dict[str, float] | None = None,
    networks: Sequence[str] = ("lipinc",),
) -> Iterator[Measurement]:
    """Clips per second of the loader by augmentation and number of processes, and of training with the fastest.

    Args:
        folder: the cache is created here, of hard links.
        trained: clips per second of training by case; the loader is compared with the fastest case.
        networks: networks that are trained from the loader.
    """
    config = network_config("lipinc", size, train=TrainConfig(batch_size=batch))
    config = replace(config, data=Folder(), cache=CacheConfig(path=str(folder / "cache")))
    rows = fill_cache(config, videos, different=CLIP_FILES)
    yield first_read(ClipDataset(Cache.of(config), rows))
    fastest_training = max((trained or {}).values(), default=None)
    best: dict[str, tuple[float, int]] = {}
    datasets = {}
    for name, augmentation in augmentations().items():
        datasets[name] = dataset = ClipDataset(Cache.of(config), rows, augmentation)
        read_all(dataset)
        for count in workers:
            rate = clips_per_second(dataset, config, count, device, seconds)
            best[name] = max(best.get(name, (0.0, 0)), (rate, count))
            ratio = rate / fastest_training if fastest_training else None
            title = f"loader, {videos} videos, augmentation {name}, {count} processes"
            yield Measurement(title, {"clips/s": rate, "/ fastest training": ratio})
    for network in networks:
        for name, (_, count) in best.items():
            rate = rate_of_training(network, datasets[name], device, size, workers=count, batch=batch)
            title = f"{network}, bf16, batch {batch}, from {count} loader processes, augmentation {name}"
            yield Measurement(title, {"clips/s": rate})


def first_read(dataset: ClipDataset, clips: int = 200) -> Measurement:
    """Clips per second in this process when each file is read for the first time and its checksum is compared."""
    draws = [Draw(clip, ()) for clip in range(min(clips, len(dataset)))]
    started = time.perf_counter()
    dataset.__getitems__(draws)
    rate = len(draws) / (time.perf_counter() - started)
    return Measurement("loader, first read of each file, in one process", {"clips/s": rate})


def read_all(dataset: ClipDataset) -> None:
    """Read every clip once, as the first epoch does. The dataset remembers it, also in processes that are forked."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda clip: dataset.__getitems__([Draw(clip, (0, clip))]), range(len(dataset))))


def clips_per_second(dataset: ClipDataset, config: Config, workers: int, device: torch.device, seconds: float) -> float:
    """Clips per second of the loader, after the first batch of each process: these wait for its start."""
    train = replace(config.train, loader_workers=workers)
    loader = training_loader(dataset, train, pin=device.type == "cuda")
    loader.batch_sampler.set_epoch(1)
    started, clips = None, 0
    for position, batch in enumerate(loader):
        if position < max(1, workers) and position + 2 < len(loader):
            continue
        if started is None:
            started = time.perf_counter()
            continue
        clips += len(batch.labels)
        if time.perf_counter() - started > seconds:
            break
    return clips / (time.perf_counter() - (started or time.perf_counter()))


def rate_of_training(
    network: str, dataset: ClipDataset, device: torch.device, size: Size, *, workers: int, batch: int
) -> float:
    """Clips per second of training from the loader, with the inconsistency loss, in the second epoch."""
    trainer = make_trainer(network, device, size, inconsistency=True, precision="bf16")
    clips = min(len(dataset), 24 * batch)
    train = replace(trainer.config.train, batch_size=batch, loader_workers=workers, clips_per_epoch=clips)
    loader = training_loader(dataset, train, pin=device.type == "cuda")
    seconds = 0.0
    for epoch in (1, 2):
        loader.batch_sampler.set_epoch(epoch)
        started = time.perf_counter()
        with quiet():
            loop.train_one_epoch(
                trainer.model, loader, trainer.optimizer, train, trainer.config.loss, epoch=epoch, device=device
            )
        seconds = time.perf_counter() - started
    return len(loader.batch_sampler.sampler) / seconds
