"""Does the loader keep a GPU fed? Clips a second that it reads from a warm cache.

    python -m benchmarks.loader

On a synthetic cache in a temporary folder: random clips, one a video. Random clips cost the JPEG round trip of the
augmentation more than real mouths do, and the rest the same.
"""

import tempfile
import time
from dataclasses import dataclass

import numpy as np
import torch
import tyro

from lipinc.batches.clip_dataset import ClipDataset
from lipinc.batches.loaders import training_loader
from lipinc.cache.clip_file import write_clips
from lipinc.cache.manifest import OK, ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import AugmentConfig, MouthConfig, SamplingConfig, TrainConfig
from lipinc.datasets.records import Label, VideoRecord
from lipinc.video.clips import Clips
from lipinc.video.mouth import residues

AUGMENTATIONS = {
    "none": None,
    "flip": AugmentConfig(),
    "all": AugmentConfig(brightness=0.2, contrast=0.2, compression=0.5, blur=0.5, rescale=0.5),
}


@dataclass(frozen=True)
class Arguments:
    videos: int = 320
    """In the synthetic cache, half of them real; 1 MB each."""
    batch: int = 64
    """Clips a batch."""
    workers: tuple[int, ...] = (0, 2)
    """Loader processes to try."""


def main(arguments: Arguments) -> None:
    """Print the table."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {arguments.batch}")
    print(f"{'augmentation':14s} {'processes':>9s} {'clips/s':>8s}")
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(folder, MouthConfig(), SamplingConfig())
        rows = fill(cache, arguments.videos)
        for name, augmentation in AUGMENTATIONS.items():
            for workers in arguments.workers:
                rate = clips_per_second(ClipDataset(cache, rows, augmentation), arguments.batch, workers)
                print(f"{name:14s} {workers:9d} {rate:8.0f}", flush=True)


def fill(cache: Cache, videos: int) -> list[ManifestRow]:
    """Write one random clip a video."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(videos):
        frames = random.integers(256, size=(1, 8, 64, 144, 3), dtype=np.uint8)
        clips = Clips(
            frames=frames,
            residues=residues(frames[0], "wrapped")[None],
            sizes=np.array([[64, 144]], np.int32),
            frame_ids=np.arange(8, dtype=np.int32)[None],
            times=np.arange(8)[None] / 25,
            pose_ratios=np.zeros((1, 8, 4), np.float32),
            nearest=np.zeros(1, np.uint8),
            faces=np.zeros(1, np.int32),
            video_frames=50,
            face_frames=50,
        )
        record = VideoRecord(f"{number}.mp4", Label(number % 2), identity=str(number))
        about = write_clips(cache.clips_file(record.key), clips, cache.settings, record.key, size=1)
        rows.append(ManifestRow(record, OK, **about))
    return rows


def clips_per_second(dataset: ClipDataset, batch: int, workers: int) -> float:
    """Of the second epoch: the first one starts the processes and warms the file cache."""
    loader = training_loader(dataset, TrainConfig(batch_size=batch, loader_workers=workers), pin=False)
    started, clips = 0.0, 0
    for epoch in (1, 2):
        loader.batch_sampler.set_epoch(epoch)
        started, clips = time.perf_counter(), 0
        for loaded in loader:
            clips += len(loaded.labels)
    return clips / (time.perf_counter() - started)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
