"""Does the loader keep up with training, on a cache of many videos?"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.gpu.cases import experiment, quiet
from benchmarks.gpu.outcomes import Measurement
from benchmarks.gpu.speed import trainer
from benchmarks.linked_cache import fill
from lipinc import training
from lipinc.config import REPOSITORY, AugmentConfig, CacheConfig, Config, DataConfig, TrainConfig, load_config
from lipinc.data.cache import Cache, ManifestRow
from lipinc.data.dataset import ClipDataset, Draw, training_loader


def augmentations() -> dict[str, AugmentConfig]:
    """The cheapest in use, and that of the FakeAVCeleb experiment."""
    return {"flip": AugmentConfig(flip=0.5), "config.py": load_config(REPOSITORY / "config.py").augment}


def loader_rates(
    device: torch.device,
    folder: Path,
    *,
    videos: int = 10_000,
    workers: Sequence[int] = (0, 2, 4, 8, 16),
    batch: int = 64,
    seconds: float = 1.5,
    trained: dict[str, float] | None = None,
    networks: Sequence[str] = ("lipinc",),
    height: int = 64,
    width: int = 144,
    hidden: int = 0,
) -> Iterator[Measurement]:
    """Clips a second by number of processes and augmentation, and of an epoch that is fed by the fastest of them.

    Args:
        folder: the cache is made here, of hard links.
        trained: clips a second that training takes by case; the table has the ratio to the fastest of them.
        networks: those whose training is fed.
        height, width, hidden: of the mouths and the networks.
    """
    config = experiment("lipinc", height=height, width=width, train=TrainConfig(batch_size=batch))
    config = replace(config, data=DataConfig(kind="folder"), cache=CacheConfig(path=str(folder / "cache")))
    rows = fill(config, videos)
    cache = Cache.of(config)
    yield first_look(cache, rows)
    known = _look(cache, rows)
    fastest_training = max((trained or {}).values(), default=None)
    best: dict[str, tuple[float, int]] = {}
    for name, augmentation in augmentations().items():
        for count in workers:
            dataset = _dataset(cache, rows, augmentation, known)
            rate = clips_per_second(dataset, config, count, device, seconds)
            best[name] = max(best.get(name, (0.0, 0)), (rate, count))
            ratio = rate / fastest_training if fastest_training else None
            yield Measurement(
                f"loader, {videos} videos, augmentation {name}, {count} processes",
                {"clips/s": rate, "/ fastest training": ratio},
            )
    for network in networks:
        for name, (_, count) in best.items():
            dataset = _dataset(cache, rows, augmentations()[name], known)
            rate = fed_training(network, dataset, device, count, batch=batch, height=height, width=width, hidden=hidden)
            yield Measurement(
                f"{network}, bf16, batch {batch}, fed by {count} processes, augmentation {name}", {"clips/s": rate}
            )


def first_look(cache: Cache, rows: list[ManifestRow], clips: int = 200) -> Measurement:
    """Clips a second in this process while the checksum of each file is compared, once a process."""
    dataset = ClipDataset(cache, rows)
    some = [Draw(clip, ()) for clip in range(min(clips, len(dataset)))]
    started = time.perf_counter()
    dataset.frames(some)
    rate = len(some) / (time.perf_counter() - started)
    return Measurement("loader, first look at each file, in one process", {"clips/s": rate})


def _look(cache: Cache, rows: list[ManifestRow]) -> dict:
    """What a dataset knows after it has read every file once."""
    dataset = ClipDataset(cache, rows)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda clip: dataset.frames([Draw(clip, ())]), range(len(dataset))))
    return dataset._places


def _dataset(cache: Cache, rows: list[ManifestRow], augmentation: AugmentConfig, known: dict) -> ClipDataset:
    """One that has seen every file, as after some epochs; the loader's processes are forked with that."""
    dataset = ClipDataset(cache, rows, augmentation)
    dataset._places = known
    return dataset


def clips_per_second(dataset: ClipDataset, config: Config, workers: int, device: torch.device, seconds: float) -> float:
    """After as many batches as there are processes: the first ones start them."""
    settings = replace(config.train, loader_workers=workers)
    loader = training_loader(dataset, settings, pin=device.type == "cuda")
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


def fed_training(
    network: str, dataset: ClipDataset, device: torch.device, workers: int, *, batch: int, **size: int
) -> float:
    """Clips a second of `train_one_epoch` on the loader, with the inconsistency loss, in its second epoch.

    size: height, width and hidden of the network.
    """
    one = trainer(network, device, inconsistency=True, precision="bf16", **size)
    clips = min(len(dataset), 24 * batch)
    settings = replace(one.config.train, batch_size=batch, loader_workers=workers, clips_per_epoch=clips)
    config = replace(one.config, train=settings)
    loader = training_loader(dataset, settings, pin=device.type == "cuda")
    seconds = 0.0
    for epoch in (1, 2):
        loader.batch_sampler.set_epoch(epoch)
        started = time.perf_counter()
        with quiet():
            training.train_one_epoch(one.model, loader, one.optimizer, config, epoch=epoch, device=device)
        seconds = time.perf_counter() - started
    return len(loader.batch_sampler.sampler) / seconds
