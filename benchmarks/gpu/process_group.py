"""Does distributed training work with this machine's nccl? By one process in a group of its own.

    torchrun --nproc_per_node=1 -m benchmarks.gpu.process_group --device cuda --config FILE --folder FOLDER

train_pipeline.py joins no group where torchrun starts one process. This does, and so runs what several processes run:
sums, gathered objects, DistributedDataParallel and batch normalisation over all processes, through nccl for CUDA
tensors and gloo for the others. Writes the checks as JSON to FOLDER/process_group.json.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from benchmarks.gpu.cases import exact_float32, experiment, random_clips, relative
from benchmarks.gpu.numerics import GRADIENTS
from benchmarks.gpu.outcomes import Check, exact
from benchmarks.gpu.processes import torchrun
from benchmarks.gpu.runs import REPEATED, difference, on, run_training
from lipinc.checkpoint import model_for
from lipinc.config import REPOSITORY, Config, load_config
from lipinc.data.dataset import Batch
from lipinc.distributed import gather, parallelise, process_group, processes, total
from lipinc.losses import total_loss

BACKENDS = {"cuda": "nccl", "cpu": "gloo"}


def group_of_one(device: torch.device, config: Config, folder: Path) -> Iterator[Check]:
    """Within a process group: each collective, the gradients of a step, and a run against that of no group.

    The run without the group must lie in FOLDER/without_group/results.csv.
    """
    backend = dist.distributed_c10d._get_default_group()._get_backend(device).name()
    expected = BACKENDS[device.type]
    yield exact(f"tensors on {device.type} are exchanged by {expected}", backend == expected, f"by {backend}")

    values = torch.arange(5.0, device=device, requires_grad=True)
    summed = total(values)
    summed.square().sum().backward()
    right = torch.equal(summed, values) and torch.equal(values.grad, 2 * values.detach())
    yield exact("all-reduce: sum and gradient", right and summed.device.type == device.type and summed is not values)
    yield exact("all-gather of objects", gather([("a", 1), ("b", 2)]) == [("a", 1), ("b", 2)] and processes() == 1)

    for network in ("lipinc", "lipinc_v2"):
        shape = {"height": 56, "width": 56}
        small = experiment(network, hidden=64, dropout=0.0, **shape)
        torch.manual_seed(0)
        model = model_for(small).to(device).train()
        batch = random_clips(6, **shape).to(device)
        with exact_float32():
            alone = _gradient(model, model, batch, small)
            shared = _gradient(parallelise(model), model, batch, small)  # changes the batch norm of the model
        yield Check(f"{network}: gradient of DistributedDataParallel", relative(shared, alone), 10 * GRADIENTS)

    history = run_training(on(config, device, folder, "with_group", epochs=1))
    with (folder / "without_group" / "results.csv").open(newline="") as stream:
        expected = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
    yield Check("a run in a process group against one without", difference(history, expected[:1]), REPEATED)


def _gradient(forward: nn.Module, model: nn.Module, batch: Batch, config: Config) -> torch.Tensor:
    """Of all weights of the model after one pass through `forward`, which is the model or contains it."""
    model.zero_grad(set_to_none=True)
    logits, maps = forward(batch.frames, batch.residues, features="full")
    total_loss(logits, maps, batch.labels, config.loss).total.backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


def by_torchrun(device: torch.device, config: Config, config_file: Path, folder: Path) -> Iterator[Check]:
    """train_pipeline.py by torchrun, and `group_of_one`."""
    folder.mkdir(parents=True, exist_ok=True)
    flags = ["--config", str(config_file), "--output", str(folder), "--name", "without_group", "--resume", "auto"]
    flags += ["--train.device", device.type, "--train.epochs", "1"]
    torchrun(str(REPOSITORY / "train_pipeline.py"), *flags)
    results = folder / "without_group" / "results.csv"
    whole = len(results.read_text().splitlines()) == 2 and (results.parent / "metrics.json").exists()
    yield exact("torchrun train_pipeline.py", whole, "results.csv and metrics.json are there")
    torchrun("-m", "benchmarks.gpu.process_group", *_flags(device, config_file, folder))
    for values in json.loads((folder / "process_group.json").read_text()):
        yield Check(**values)


def _flags(device: torch.device, config_file: Path, folder: Path) -> list[str]:
    return ["--device", device.type, "--config", str(config_file), "--folder", str(folder)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Checks within a process group of one.")
    parser.add_argument("--device", required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    device = torch.device(options.device, 0 if options.device == "cuda" else None)
    with process_group(alone=True):
        checks = list(group_of_one(device, load_config(options.config), options.folder))
    (options.folder / "process_group.json").write_text(json.dumps([asdict(check) for check in checks]))


if __name__ == "__main__":
    sys.exit(main())
