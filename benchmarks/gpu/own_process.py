"""Checks that need a process of their own.

    python -m benchmarks.gpu.own_process --check deterministic --device cuda --config FILE --folder FOLDER
    torchrun --nproc_per_node=1 -m benchmarks.gpu.own_process --check group --device cuda --config FILE --folder FOLDER

deterministic: `runs.deterministic`. cuBLAS reads its workspace setting once, before the first matrix product.
group: distributed training in a process group of one. train_pipeline.py creates no group if torchrun starts one
       process. This does, and so runs the code of several processes: sums, gathered objects, DistributedDataParallel
       and synchronised batch normalisation, through nccl for CUDA tensors and gloo for the others.

The checks are written as JSON to FOLDER/CHECK.json.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist
from torch import nn

from benchmarks import REPOSITORY
from benchmarks.command import run_benchmark
from benchmarks.gpu.cases import (
    NETWORKS,
    Size,
    exact_float32,
    network_config,
    random_clips,
    relative_error,
    switch_off_randomness,
    training_loss,
)
from benchmarks.gpu.numerics import GRADIENTS
from benchmarks.gpu.runs import REPEATED, deterministic, max_difference, on_device, run_training
from benchmarks.gpu.sections import Check, exact
from lipinc.batches.batch import ClipBatch
from lipinc.config import Config, load_config
from lipinc.cores import available_cores
from lipinc.ddp import all_gather, all_reduce_sum, process_group, world_size, wrap_ddp
from lipinc.files.csv_table import read_table
from lipinc.models.device import choose_device
from lipinc.models.registry import build_model

BACKENDS = {"cuda": "nccl", "cpu": "gloo"}
WITHOUT_GROUP = "without_group"
"""Name of the run that a run in a process group is compared with."""


@dataclass(frozen=True)
class Arguments:
    """One check in this process."""

    check: Literal["deterministic", "group"]
    """deterministic or group."""
    config: Path
    """Config file of the runs."""
    folder: Path
    """Folder for the runs and the JSON file."""
    device: str = "cuda"
    """cuda or cpu."""


class CommandFailed(Exception):
    """A command ended with an error: its status and the end of its messages."""


def main(arguments: Arguments) -> None:
    """Run the check and write its outcomes."""
    config = load_config(arguments.config)
    if arguments.check == "deterministic":
        checks = list(deterministic(choose_device(arguments.device), config, arguments.folder))
    else:
        with process_group(single=True):
            checks = list(group_of_one(choose_device(arguments.device), config, arguments.folder))
    file = arguments.folder / f"{arguments.check}.json"
    file.write_text(json.dumps([asdict(check) for check in checks]))


def deterministic_in_own_process(device: torch.device, config_file: Path, folder: Path) -> Iterator[Check]:
    """`runs.deterministic` in a new process."""
    yield from _checks([], "deterministic", device, config_file, folder)


def by_torchrun(device: torch.device, config_file: Path, folder: Path) -> Iterator[Check]:
    """train_pipeline.py started by torchrun, and `group_of_one`."""
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node=1"]
    flags = ["--config", str(config_file), "--output", str(folder), "--name", WITHOUT_GROUP, "--resume", "auto"]
    flags += ["--train.device", device.type, "--train.epochs", "1"]
    run_module(*torchrun, str(REPOSITORY / "train_pipeline.py"), *flags)
    run = folder / WITHOUT_GROUP
    complete = len(read_table(run / "results.csv").rows) == 1 and (run / "metrics.json").exists()
    yield exact("torchrun train_pipeline.py", complete, "results.csv and metrics.json exist")
    yield from _checks([*torchrun, "-m"], "group", device, config_file, folder)


def _checks(launcher: list[str], check: str, device: torch.device, config_file: Path, folder: Path) -> Iterator[Check]:
    folder.mkdir(parents=True, exist_ok=True)
    flags = ["--check", check, "--device", device.type, "--config", str(config_file), "--folder", str(folder)]
    run_module(*launcher, "benchmarks.gpu.own_process", *flags)
    for values in json.loads((folder / f"{check}.json").read_text()):
        yield Check(**values)


def group_of_one(device: torch.device, config: Config, folder: Path) -> Iterator[Check]:
    """In a process group: each collective, the gradients of a step, and a run against one without a group.

    The run without a group must be in FOLDER/without_group/results.csv.
    """
    backend = dist.distributed_c10d._get_default_group()._get_backend(device).name()
    yield exact(f"backend for {device.type} tensors", backend == BACKENDS[device.type], backend)

    values = torch.arange(5.0, device=device, requires_grad=True)
    summed = all_reduce_sum(values)
    summed.square().sum().backward()
    right = torch.equal(summed, values) and torch.equal(values.grad, 2 * values.detach())
    yield exact("all-reduce: sum and gradient", right and summed.device.type == device.type and summed is not values)
    objects = [("a", 1), ("b", 2)]
    yield exact("all-gather of objects", all_gather(objects) == objects and world_size() == 1)

    size = Size(56, 56, hidden=64)
    for network in NETWORKS:
        small = network_config(network, size)
        torch.manual_seed(0)
        model = switch_off_randomness(build_model(small)).to(device).train()
        batch = random_clips(6, size).to(device)
        with exact_float32():
            expected = _gradient(model, model, batch, small)
            found = _gradient(wrap_ddp(model), model, batch, small)  # changes the batch normalisation of the model
        error = relative_error(found, expected)
        yield Check(f"{network}: gradient with DistributedDataParallel", error, 10 * GRADIENTS)

    history = run_training(on_device(config, device, folder, "with_group", epochs=1))
    expected = [cells for _, cells in read_table(folder / WITHOUT_GROUP / "results.csv").rows]
    error = max_difference(history, expected[:1])
    yield Check("a run in a process group against one without", error, REPEATED)


def _gradient(forward: nn.Module, model: nn.Module, batch: ClipBatch, config: Config) -> torch.Tensor:
    """Gradient of all weights of the model. forward: the model, or what wraps it."""
    model.zero_grad(set_to_none=True)
    training_loss(forward, batch, config).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


def run_module(module: str, *arguments: str) -> None:
    """Run `python -m MODULE ARGUMENTS` in the repository. Stops it, with all its processes, if this one is stopped.

    Raises:
        CommandFailed: it ended with an error.
    """
    running = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env={"OMP_NUM_THREADS": str(max(1, available_cores() // 2)), **os.environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # its process group can be killed as a whole, and Ctrl-C does not reach it first
    )
    try:
        _, errors = running.communicate()
    except BaseException:  # also out of time
        running.terminate()  # torchrun ends its processes, which are in process groups of their own
        try:
            running.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        raise
    if running.returncode:
        end = " | ".join(line.strip() for line in errors.splitlines() if line.strip())[-400:]
        raise CommandFailed(f"{module} {' '.join(arguments)[:100]} ended with status {running.returncode}: {end}")


if __name__ == "__main__":
    run_benchmark(main, Arguments, "benchmarks.gpu.own_process", __doc__)
