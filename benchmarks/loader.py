"""Cache reading: clips per second that the data loader reads from a warm cache, by augmentation and processes.

    python -m benchmarks.loader

The cache is synthetic, one clip of noise per video, in a temporary folder. Noise makes the JPEG round trip of the
augmentation slower than real mouths do; everything else costs the same. Measured in the second epoch: the first one
starts the processes and fills the file cache.
"""

import tempfile
import time
from dataclasses import dataclass

import torch

from benchmarks.command import run_benchmark
from lipinc.batches.clip_dataset import ClipDataset
from lipinc.batches.loaders import training_loader
from lipinc.cache.store import Cache
from lipinc.config import AugmentConfig, CacheConfig, Config, TrainConfig
from lipinc.datasets import Folder
from lipinc.demo.synthetic_cache import fill_cache, make_noise_clips

AUGMENTATIONS = {
    "none": None,
    "flip": AugmentConfig(),
    "all": AugmentConfig(brightness=0.2, contrast=0.2, compression=0.5, blur=0.5, rescale=0.5),
}


@dataclass(frozen=True)
class Arguments:
    """Clips per second of the data loader."""

    videos: int = 320
    """Videos in the synthetic cache, half of them real; 0.4 MB each."""
    batch: int = 64
    """Clips per batch."""
    workers: tuple[int, ...] = (0, 2)
    """Numbers of loader processes to try; 0: in the training process."""


def main(arguments: Arguments) -> None:
    """Print the table."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {arguments.batch}")
    print(f"{'augmentation':14s} {'processes':>9s} {'clips/s':>8s}")
    with tempfile.TemporaryDirectory() as folder:
        config = Config(data=Folder(), cache=CacheConfig(path=folder))
        rows = fill_cache(config, arguments.videos, make=make_noise_clips)
        for name, augmentation in AUGMENTATIONS.items():
            for workers in arguments.workers:
                dataset = ClipDataset(Cache.of(config), rows, augmentation)
                rate = clips_per_second(dataset, arguments.batch, workers)
                print(f"{name:14s} {workers:9d} {rate:8.0f}", flush=True)


def clips_per_second(dataset: ClipDataset, batch: int, workers: int) -> float:
    """Clips per second of the second epoch."""
    loader = training_loader(dataset, TrainConfig(batch_size=batch, loader_workers=workers), pin=False)
    started, clips = 0.0, 0
    for epoch in (1, 2):
        loader.batch_sampler.set_epoch(epoch)
        started, clips = time.perf_counter(), 0
        for loaded in loader:
            clips += len(loaded.labels)
    return clips / (time.perf_counter() - started)


if __name__ == "__main__":
    run_benchmark(main, Arguments, __spec__.name, __doc__)
