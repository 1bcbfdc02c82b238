"""What do more processes bring? Clips a second that train_pipeline.py trains on, by processes.

    python -m benchmarks.scaling --processes 1 2 --config configs/lipinc_v2.py

On a synthetic cache in a temporary folder: random clips, one a video. The cores are shared out to the processes; on a
machine with several GPUs each process takes one. Of the second epoch: the first one warms up.
"""

import csv
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from benchmarks.loader import fill
from lipinc.cache.store import Cache
from lipinc.config import REPOSITORY, Config, load_config


@dataclass(frozen=True)
class Arguments:
    processes: tuple[int, ...] = (1, 2)
    """Numbers of processes to try."""
    config: str = "config.py"
    """Whose network, batch and loss."""
    videos: int = 160
    """In the synthetic cache, half of them real; 1 MB each."""


def main(arguments: Arguments) -> None:
    """Print the table."""
    config = load_config(arguments.config)
    print(f"{config.model.name}, batch {config.train.batch_size} of all processes, {os.cpu_count()} cores")
    print(f"{'processes':>9s} {'threads of each':>15s} {'clips/s':>8s} {'ratio':>6s}")
    with tempfile.TemporaryDirectory() as folder:
        config = replace(
            config,
            output=folder,
            cache=replace(config.cache, path=str(Path(folder, "cache"))),
            split=replace(config.split, train=0.8, validation=0.2, test=0.0),
            train=replace(config.train, epochs=2, clips_per_epoch=0),
        )
        cache = Cache.of(config)
        cache.prepare()
        cache.finish(fill(cache, arguments.videos), config.data)
        alone = 0.0
        for count in arguments.processes:
            threads = max(1, (os.cpu_count() or 1) // count)
            rate = clips_per_second(replace(config, name=f"processes_{count}"), count, threads)
            alone = alone or rate
            print(f"{count:9d} {threads:15d} {rate:8.1f} {rate / alone:6.2f}", flush=True)


def clips_per_second(config: Config, processes: int, threads: int) -> float:
    """Of the second epoch."""
    file = Path(config.output, f"{config.name}.py")
    file.write_text(f"from lipinc.config import *\nconfig = {config!r}\n")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command += ["train_pipeline.py", "--config", str(file)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    with Path(config.output, config.name, "results.csv").open() as results:
        return float(list(csv.DictReader(results))[-1]["clips_per_second"])


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
