"""Growth: time and memory of a training run on caches of 100, 1 000 and 10 000 videos.

    python -m benchmarks.steady_state
    python -m benchmarks.growth
    python -m benchmarks.growth --largest 1000 --network lipinc

Writes growth.csv and growth.png to --out. The figure also has the curves of preprocessing, if benchmarks.steady_state
left its table there. Each size runs in a process of its own:

start: from the manifest to the first batch, without imports;
epoch: one epoch of training with its validation and checkpoints; for noise_features, feature extraction too;
peak: the largest resident memory of the process.

The caches are synthetic: one clip of the published size per video, hard links to a hundred files (50 MB of disk).
"""

import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

from benchmarks.command import run_benchmark
from benchmarks.memory import peak_memory
from benchmarks.plots import plot_growth
from benchmarks.steady_state import SAMPLES_FILE
from lipinc.batches.clip_dataset import ClipDataset
from lipinc.batches.loaders import training_loader
from lipinc.cache.selection import select
from lipinc.cache.store import Cache
from lipinc.config import AugmentConfig, CacheConfig, Config, LossConfig, ModelConfig, TrainConfig
from lipinc.datasets import Folder
from lipinc.demo.synthetic_cache import fill_cache
from lipinc.files.csv_table import read_table, write_table
from lipinc.models.device import choose_device
from lipinc.models.registry import build_model
from lipinc.training.loop import fit
from lipinc.training.run_folder import Run

SIZES = (100, 1_000, 10_000)
"""Videos of the caches."""
CLIP_FILES = 100
"""Clip files with content of their own; all others are hard links to them."""


@dataclass(frozen=True)
class Arguments:
    """Time and memory over the number of videos."""

    largest: int = SIZES[-1]
    """Videos of the largest cache to try."""
    network: Literal["noise_features", "lipinc", "lipinc_v2"] = "noise_features"
    """Trained without the inconsistency loss, whose cost benchmarks.loss measures."""
    out: Path = Path("outputs/benchmarks")
    """Folder of the table and the figure."""


@dataclass(frozen=True)
class Measurement:
    """One size."""

    videos: int
    start_s: float
    epoch_s: float
    clips_per_s: float
    """Clips trained on or validated on, per second of the epoch."""
    peak_mb: float


def main(arguments: Arguments) -> None:
    """Print the table, write it and plot it."""
    print(f"{'videos':>8s} {'start s':>8s} {'epoch s':>8s} {'clips/s':>8s} {'peak MB':>8s}")
    rows = []
    for videos in (size for size in SIZES if size <= arguments.largest):
        with (
            tempfile.TemporaryDirectory() as folder,
            ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process,
        ):
            row = process.submit(measure, Path(folder), videos, arguments.network).result()
        rows.append(row)
        times = f"{row.start_s:8.2f} {row.epoch_s:8.1f} {row.clips_per_s:8.0f}"
        print(f"{videos:8d} {times} {row.peak_mb:8.0f}", flush=True)
    columns = [field.name for field in fields(Measurement)]
    write_table(arguments.out / "growth.csv", columns, map(asdict, rows))
    videos = [row.videos for row in rows]
    seconds = {
        f"training epoch, {arguments.network}": (videos, [row.epoch_s for row in rows]),
        "start of training": (videos, [row.start_s for row in rows]),
    }
    megabytes = {"training": (videos, [row.peak_mb for row in rows])}
    counts, times, memory = read_preprocessing(arguments.out / SAMPLES_FILE)
    if counts:
        seconds["preprocessing"], megabytes["preprocessing, one worker"] = (counts, times), (counts, memory)
    figure = arguments.out / "growth.png"
    plot_growth(seconds, megabytes, figure, title="Growth with the number of videos")
    print(figure)


def measure(folder: Path, videos: int, network: str) -> Measurement:
    """Start training on a cache of so many videos and train one epoch."""
    config = Config(
        name="growth",
        output=str(folder / "outputs"),
        data=Folder(),
        cache=CacheConfig(path=str(folder / "cache")),
        model=ModelConfig(network),
        loss=LossConfig(inconsistency=0.0),
        augment=AugmentConfig(flip=0.0),
        train=TrainConfig(epochs=1, loader_workers=0),
    )
    fill_cache(config, videos, different=CLIP_FILES)
    device = choose_device(config.train.device)
    started = time.perf_counter()
    cache = Cache.of(config)
    rows = select(cache, config.data, config.split).rows
    next(iter(training_loader(ClipDataset(cache, rows["train"]), config.train, pin=False)))
    first_batch = time.perf_counter()
    fit(build_model(config).to(device), config, cache, rows, Run.open(config, resume=False), device)
    seconds = time.perf_counter() - first_batch
    clips = len(rows["train"]) + len(rows["validation"])
    return Measurement(videos, first_batch - started, seconds, clips / seconds, peak_memory())


def read_preprocessing(samples_file: Path) -> tuple[list[int], list[float], list[float]]:
    """Time and memory of preprocessing, from the table of benchmarks.steady_state; nothing if it is absent.

    Returns:
        Numbers of videos; the seconds until so many were finished; the largest worker's memory until then, in MB.
    """
    if not samples_file.exists():
        return [], [], []
    samples = [{name: float(cell) for name, cell in cells.items()} for _, cells in read_table(samples_file).rows]
    counts = [size for size in SIZES if size <= samples[-1]["videos_done"]]
    until = [[sample for sample in samples if sample["videos_done"] <= size] for size in counts]
    seconds = [some[-1]["seconds"] if some else 0.0 for some in until]
    return counts, seconds, [max((sample["worker_mb"] for sample in some), default=0.0) for some in until]


if __name__ == "__main__":
    run_benchmark(main, Arguments, __spec__.name, __doc__)
