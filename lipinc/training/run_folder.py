"""Run folder: the settings and results of one training run.

<output>/<name>/config.json      the resolved config
                environment.txt  command, versions, device
                splits.csv       the split of each video
                results.csv      one row per epoch
                checkpoints/     best.safetensors (weights, config, calibration), last.pt (training state; see
                                 train.keep_last)
                metrics.json, predictions.csv, plots/   results on the test split
                tensorboard/     event files, with train.tensorboard
"""

import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from lipinc.config import Config, from_json, to_json
from lipinc.ddp import is_main, world_size
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically
from lipinc.files.csv_table import write_table
from lipinc.models.checkpoint import BEST
from lipinc.versions import library_versions

MAY_CHANGE = (
    *("output", "train.epochs", "train.patience", "train.device", "train.loader_workers", "train.compile"),
    *("train.keep_last", "train.tensorboard"),
    *("data.root", "data.max_missing", "data.note", "cache.path", "cache.residues", "cache.workers"),
    *("cache.scheduler", "cache.retry", "cache.time_limit", "split.file"),
    *("evaluate.bootstrap", "evaluate.seed", "evaluate.frame_level"),
)
"""Settings that may change when a run is resumed, because they do not influence finished epochs. (The training state
checks the contents of splits and cache.) With a cosine schedule, train.epochs must not change: it sets the decay."""


class Run:
    """The folder of one run."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.best = folder / BEST
        self.last = folder / "checkpoints" / "last.pt"

    @classmethod
    def open(cls, config: Config, *, resume: bool) -> "Run":
        """Start a run or resume it.

        Args:
            config: the experiment.
            resume: allow resuming an existing run.

        Raises:
            UserError: the run exists and `resume` is false, or it was started with other settings.
        """
        run = cls(Path(config.output, config.name))
        if run.last.exists():
            if not resume:
                raise UserError(
                    f"{run.folder} already contains a run: resume it with --resume auto, or give another --name"
                )
            run._check_same(config)
        if is_main():
            run._write_settings(config)
        return run

    def write_results(self, history: list[dict[str, Any]]) -> None:
        """Write results.csv with one row per epoch."""
        columns = list(dict.fromkeys(column for row in history for column in row))
        write_table(self.folder / "results.csv", columns, ({**dict.fromkeys(columns), **row} for row in history))

    def _write_settings(self, config: Config) -> None:
        for leftover in self.folder.rglob("*.tmp"):  # partial files of a killed process
            leftover.unlink(missing_ok=True)
        write_atomically(self.folder / "config.json", to_json(config).encode() + b"\n")
        write_atomically(self.folder / "environment.txt", environment().encode())

    def _check_same(self, config: Config) -> None:
        file = self.folder / "config.json"
        try:
            before = json.loads(to_json(from_json(json.loads(file.read_text()))))
        except (OSError, ValueError, TypeError, AttributeError, UserError) as error:
            raise UserError(f"{file} cannot be read ({error}); give another --name") from error
        now = json.loads(to_json(config))
        may_change = set(MAY_CHANGE) - ({"train.epochs"} if config.train.schedule == "cosine" else set())
        changed = [
            f"{name} was {old!r} and is {new!r}"
            for name, (old, new) in _value_pairs(before, now)
            if old != new and name not in may_change
        ]
        if changed:
            raise UserError(
                f"{self.folder} was started with other settings: {'; '.join(changed)}. "
                "Resume with the same settings, or give another --name"
            )


def size_on_disk(folder: Path) -> str:
    """Return the size of all files in a folder, as in "675MB"."""
    return tqdm.format_sizeof(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()), "B")


def environment() -> str:
    """Return the content of environment.txt: what results may depend on in addition to the config."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    lines = [
        f"command: {shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]])}",
        f"python: {platform.python_version()} on {platform.system()} {platform.machine()}",
        f"cuda device: {device}",
        f"threads: {torch.get_num_threads()} in each of {world_size()} processes",
        *(f"{name}: {version}" for name, version in library_versions().items()),
    ]
    return "\n".join(lines) + "\n"


def _value_pairs(before: dict, now: dict, prefix: str = ""):
    """Yield name, old value and new value of each setting of two saved configs."""
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict) and prefix == "":
            yield from _value_pairs(old, new, f"{key}.")
        else:
            yield prefix + key, (old, new)
