"""Do time and memory stay in hand as the data set grows? A training run on caches of 100, 1 000 and 10 000 videos.

    python -m benchmarks.steady_state
    python -m benchmarks.growth
    python -m benchmarks.growth --largest 1000 --network statistics

Writes growth.csv and growth.png under outputs/benchmarks/; preprocessing is drawn beside it from what
benchmarks.steady_state left there: when of its videos 100, 1 000 and 10 000 were done. Each size of training runs in a
process of its own: `start` is from the manifest to the first batch, without imports; `epoch` is one epoch of training
with its validation and checkpoints, and with the measuring before it that the statistics need; `peak` is the process's
largest resident memory. The caches are synthetic: a hundred different clips, of the published size, behind as many
names as there are videos (hard links), so that they need no more than 50 MB of disk.
"""

import csv
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from benchmarks.memory import peak_memory
from benchmarks.steady_state import LOOKS
from lipinc.batches.clip_dataset import ClipDataset
from lipinc.batches.loaders import training_loader
from lipinc.cache.clip_file import write_clips
from lipinc.cache.manifest import OK, ManifestRow
from lipinc.cache.selection import select
from lipinc.cache.store import Cache
from lipinc.config import CacheConfig, Config, LossConfig, ModelConfig, TrainConfig
from lipinc.datasets import Folder
from lipinc.datasets.records import Label, VideoRecord
from lipinc.evaluation import plots
from lipinc.training.loop import train
from lipinc.training.run_folder import Run
from tests.synthetic_cache import make_clips

SIZES = (100, 1_000, 10_000)
DIFFERENT = 100
"""Clips that are really there."""
PER_PERSON = 10
"""Videos of one person, half of them fake."""


@dataclass(frozen=True)
class Arguments:
    largest: int = SIZES[-1]
    """Videos of the largest cache tried."""
    network: Literal["statistics", "lipinc", "lipinc_v2"] = "statistics"
    """Trained without the inconsistency loss, whose cost `python -m benchmarks.loss` tells."""
    out: str = "outputs/benchmarks"
    """Where table and plot go."""


@dataclass(frozen=True)
class Measured:
    """Of one size."""

    videos: int
    start_s: float
    epoch_s: float
    clips_per_s: float
    """Of the epoch, trained on or validated on."""
    peak_mb: float


def main(arguments: Arguments) -> None:
    """Print the table, write it and plot it."""
    print(f"{'videos':>8s} {'start s':>8s} {'epoch s':>8s} {'clips/s':>8s} {'peak MB':>8s}")
    rows = []
    for videos in (size for size in SIZES if size <= arguments.largest):
        with (
            tempfile.TemporaryDirectory() as folder,
            ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as alone,
        ):
            row = alone.submit(measure, Path(folder), videos, arguments.network).result()
        rows.append(row)
        print(
            f"{videos:8d} {row.start_s:8.2f} {row.epoch_s:8.1f} {row.clips_per_s:8.0f} {row.peak_mb:8.0f}", flush=True
        )
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "growth.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([field.name for field in fields(Measured)])
        writer.writerows(astuple(row) for row in rows)
    videos = [row.videos for row in rows]
    seconds = {
        f"training epoch, {arguments.network}": (videos, [row.epoch_s for row in rows]),
        "start of training": (videos, [row.start_s for row in rows]),
    }
    megabytes = {"training": (videos, [row.peak_mb for row in rows])}
    counts, times, memory = preprocessing(out / LOOKS) if (out / LOOKS).exists() else ([], [], [])
    if counts:
        seconds["preprocessing"], megabytes["preprocessing, a worker"] = (counts, times), (counts, memory)
    plots.plot_growth(seconds, megabytes, out / "growth.png", title="Growth with the number of videos")


def preprocessing(looks: Path) -> tuple[list[int], list[float], list[float]]:
    """Of one run of preprocessing: numbers of videos, the seconds until so many were done, and the largest worker's
    memory in MB until then."""
    with looks.open(newline="") as stream:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
    counts = [size for size in SIZES if size <= rows[-1]["done"]]
    before = [[row for row in rows if row["done"] <= size] for size in counts]
    return counts, [some[-1]["seconds"] for some in before], [max(row["worker"] for row in some) for some in before]


def measure(folder: Path, videos: int, network: str) -> Measured:
    """Start training on a cache of so many videos, and train an epoch."""
    config = Config(
        name="growth",
        output=str(folder / "outputs"),
        data=Folder(),
        cache=CacheConfig(path=str(folder / "cache")),
        model=ModelConfig(name=network),
        loss=LossConfig(inconsistency=0.0),
        train=TrainConfig(epochs=1, loader_workers=0),
    )
    fill(config, videos)
    started = time.perf_counter()
    cache = Cache.of(config)
    _, _, rows = select(cache, config)
    next(iter(training_loader(ClipDataset(cache, rows["train"], config.augment), config.train, pin=False)))
    first_batch = time.perf_counter()
    train(config, cache, rows, Run.open(config, resume=False))
    seconds = time.perf_counter() - first_batch
    clips = len(rows["train"]) + len(rows["validation"])
    return Measured(videos, first_batch - started, seconds, clips / seconds, peak_memory())


def fill(config: Config, videos: int) -> None:
    """Make the cache."""
    cache = Cache.of(config)
    cache.prepare()
    rows, written = [], {}
    for video in range(videos):
        label, person = Label(video % 2), f"id{video // PER_PERSON:05d}"
        record = VideoRecord(f"{label.name.lower()}/{person}/{video:06d}.mp4", label, identity=person)
        file, copy = cache.clips_file(record.key), video % DIFFERENT
        if copy in written:
            file.parent.mkdir(parents=True, exist_ok=True)
            os.link(written[copy][0], file)
        else:
            clips = make_clips(np.random.default_rng(copy), fake=label == Label.FAKE, config=config, windows=1)
            written[copy] = file, write_clips(file, clips, cache.settings, record.key, size=1)
        rows.append(ManifestRow(record, OK, **written[copy][1]))
    cache.finish(rows, config.data)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
