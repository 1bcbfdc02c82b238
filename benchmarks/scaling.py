"""Distributed training: clips per second of train_pipeline.py, by number of processes.

    python -m benchmarks.scaling --processes 1 2 --config configs/lipinc_v2.py

The cache is synthetic, one clip of noise per video, in a temporary folder. All processes together use all cores; on a
machine with several GPUs each process takes one. Measured in the second epoch: the first one warms up.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import REPOSITORY
from benchmarks.command import run_benchmark, write_config
from lipinc.config import Config, load_config
from lipinc.cores import available_cores
from lipinc.demo.synthetic_cache import fill_cache, make_noise_clips
from lipinc.errors import UserError
from lipinc.files.csv_table import read_table


@dataclass(frozen=True)
class Arguments:
    """Clips per second of training, by number of processes."""

    processes: tuple[int, ...] = (1, 2)
    """Numbers of processes to try."""
    config: str = "config.py"
    """Experiment whose model, batch size and loss are used."""
    videos: int = 160
    """Videos in the synthetic cache, half of them real; 0.4 MB each."""


def main(arguments: Arguments) -> None:
    """Print the table."""
    config = load_config(arguments.config)
    print(f"{config.model.name}, batches of {config.train.batch_size} over all processes, {available_cores()} cores")
    print(f"{'processes':>9s} {'threads of each':>15s} {'clips/s':>8s} {'ratio':>6s}")
    with tempfile.TemporaryDirectory() as folder:
        config = replace(
            config,
            output=folder,
            cache=replace(config.cache, path=str(Path(folder, "cache"))),
            split=replace(config.split, train=0.8, validation=0.2, test=0.0),
            train=replace(config.train, epochs=2, clips_per_epoch=0),
        )
        fill_cache(config, arguments.videos, videos_per_person=2, make=make_noise_clips)
        first = 0.0
        for count in arguments.processes:
            threads = max(1, available_cores() // count)
            rate = clips_per_second(replace(config, name=f"processes_{count}"), count, threads)
            first = first or rate
            print(f"{count:9d} {threads:15d} {rate:8.1f} {rate / first:6.2f}", flush=True)


def clips_per_second(config: Config, processes: int, threads: int) -> float:
    """Clips per second of the second epoch. threads: of each process. Raises UserError if training fails."""
    file = write_config(config, Path(config.output, f"{config.name}.py"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command += ["train_pipeline.py", "--config", str(file)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    run = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    if run.returncode:
        raise UserError(f"training with {processes} processes failed: {' '.join(run.stderr.split())}")
    _, last_epoch = read_table(Path(config.output, config.name, "results.csv")).rows[-1]
    return float(last_epoch["clips_per_second"])


if __name__ == "__main__":
    run_benchmark(main, Arguments, __spec__.name, __doc__)
