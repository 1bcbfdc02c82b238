"""Does train.deterministic give the same bits twice, and again after an interruption?

    python -m benchmarks.gpu.determinism --device cuda --config FILE --folder FOLDER

A process of its own: cuBLAS reads its workspace setting once, before the first matrix product. Writes the checks as
JSON to FOLDER/determinism.json.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch

from benchmarks.gpu.outcomes import Check
from benchmarks.gpu.processes import run_module
from benchmarks.gpu.runs import difference, on, run_training, weights
from lipinc.config import Config, load_config

MARKS = ("deterministic", "CUBLAS_WORKSPACE_CONFIG")
"""A warning that has one of these is about an operation without a deterministic kernel."""


def deterministic(device: torch.device, config: Config, folder: Path) -> Iterator[Check]:
    """Two runs, and one that is interrupted after its first epoch: equal to the bit. Leaves torch deterministic."""
    runs = [on(config, device, folder, f"run_{number}", epochs=2, deterministic=True) for number in range(3)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        histories = [run_training(one) for one in runs[:2]]
        run_training(replace(runs[2], train=replace(runs[2].train, epochs=1)))
        histories.append(run_training(runs[2], resume=True))
    operations = sorted({_first_words(str(one.message)) for one in caught if any(m in str(one.message) for m in MARKS)})
    note = f"warnings: {'; '.join(operations)}" if operations else "no operation warns"
    network = config.model.name
    for number, name in ((1, "two runs"), (2, "an interrupted run and one that was not")):
        expected, found = weights(runs[0]), weights(runs[number])
        unequal = sum(not torch.equal(found[key], expected[key]) for key in expected)
        figures = {"relative difference of losses": difference(histories[number], histories[0])}
        yield Check(f"{network}, deterministic: tensors that differ in {name}", unequal, 0, note, figures)


def _first_words(message: str) -> str:
    """Of a warning: which operation it is about."""
    return " ".join(message.split()[:10])


def in_own_process(device: torch.device, config_file: Path, folder: Path) -> Iterator[Check]:
    """`deterministic`, in a process that has computed nothing before."""
    folder.mkdir(parents=True, exist_ok=True)
    arguments = ["--device", device.type, "--config", str(config_file), "--folder", str(folder)]
    run_module("benchmarks.gpu.determinism", *arguments)
    for values in json.loads((folder / "determinism.json").read_text()):
        yield Check(**values)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Checks of train.deterministic.")
    parser.add_argument("--device", required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args(argv)
    checks = deterministic(torch.device(options.device), load_config(options.config), options.folder)
    (options.folder / "determinism.json").write_text(json.dumps([asdict(check) for check in checks]))


if __name__ == "__main__":
    sys.exit(main())
