"""GPU check: correctness and speed on one CUDA device, in at most six minutes (`make gpu-check`).

    python -m benchmarks.gpu_check
    python -m benchmarks.gpu_check --only networks "inconsistency loss"
    python -m benchmarks.gpu_check --probe True

Compares CUDA with the CPU and with float64, trains on a cache of the demo corpus, and measures training, loading and
detection against what the device could do at best (benchmarks/gpu/). All figures are written to a JSON file after each
section, so that an interrupted check leaves them; one table is printed last.

Exit status: 0; 1 if a correctness check failed; 2 if the check cannot run here (no CUDA device, a missing package).

Sections that train need the cache of benchmarks/gpu/experiment.py, which `make gpu-check` creates. It has 26 MB, so
that it can be copied to a machine without LiteRT:

    python -m lipinc demo --out data/demo
    python preprocess_extract_lips.py --config benchmarks/gpu/experiment.py

A machine with torch, torchvision, numpy, opencv-python-headless, safetensors, scipy, matplotlib, tqdm and numba lacks
three pure-Python wheels, which can be copied too:

    pip download --no-deps --only-binary=:all: -d wheels tyro==1.0.17 typeguard==4.6.1 docstring-parser==0.18.0
    pip install --no-index --no-deps --target site wheels/*.whl && export PYTHONPATH=site    # on that machine

The same checks run at small sizes on the CPU in tests/test_cuda.py; `pytest -m cuda` runs them on CUDA.
"""

import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu import requirements

SECONDS = 320.0
"""Time limit of all sections together, without imports and the table."""
GRACE = 15.0
"""Seconds after the time limit before a section that hangs is ended together with the process."""


@dataclass(frozen=True)
class Arguments:
    """Correctness and speed on one CUDA device."""

    out: Path = Path("outputs/gpu_check/gpu_check.json")
    """The JSON file with all figures."""
    config: Path = Path("benchmarks/gpu/experiment.py")
    """Experiment whose cache is trained on; its path is absolute or relative to the repository."""
    seconds: float = SECONDS
    """Time limit of all sections together."""
    only: tuple[str, ...] = ()
    """Run only these sections."""
    probe: bool = False
    """Only say whether the check can run here."""


def check_packages() -> list[str]:
    """Name each missing package in one line; returns their names. Exits with status 2 if one is essential."""
    missing = requirements.missing()
    for line in requirements.report(missing):
        print(line, file=sys.stderr)
    essential = [name for name in missing if requirements.PACKAGES[name].essential]
    if essential:
        print(f"error: the GPU check cannot run without {', '.join(essential)}: install or copy them", file=sys.stderr)
        sys.exit(2)
    return missing


def main(words: Sequence[str], missing: Sequence[str] = ()) -> int:
    """Run the check; returns the exit status.

    Args:
        words: command line.
        missing: packages that are not installed, none of them essential.
    """
    from lipinc.config.command_line import parse_arguments
    from lipinc.errors import UserError

    arguments = parse_arguments(Arguments, words, prog="python -m benchmarks.gpu_check", description=__doc__)
    device = find_device()
    if device is None:
        raise UserError("the GPU check needs a CUDA device, and torch finds none")
    if arguments.probe:
        print("the GPU check can run here")
        return 0
    return run_check(arguments, device, list(missing))


def find_device() -> "torch.device | None":  # noqa: F821 - torch may be missing
    """The device to check; None without CUDA."""
    import torch

    return torch.device("cuda", 0) if torch.cuda.is_available() else None


def run_check(arguments: Arguments, device: "torch.device", missing: list[str]) -> int:  # noqa: F821
    """Run the sections, write the figures, print the table; returns the exit status."""
    from benchmarks.gpu import plan, report
    from benchmarks.gpu.sections import run_sections
    from lipinc.errors import UserError

    about = report.environment(device, missing)
    results: list = []
    printing = threading.Lock()

    def save(found: list) -> None:
        results[:] = found
        report.write(arguments.out, about, found)

    def end_process() -> None:
        """A section hangs in a call that no signal interrupts."""
        with printing:
            print(report.table(about, results), flush=True)
            os._exit(1)

    watchdog = threading.Timer(arguments.seconds + GRACE, end_process)
    watchdog.daemon = True
    with tempfile.TemporaryDirectory() as folder:
        sections = plan.sections(device, arguments.config, Path(folder), missing)
        names = [section.name for section in sections]
        if unknown := sorted(set(arguments.only) - set(names)):
            raise UserError(f"no section {', '.join(unknown)}; choose from {', '.join(names)}")
        chosen = [section for section in sections if not arguments.only or section.name in arguments.only]
        watchdog.start()
        try:
            run_sections(chosen, seconds=arguments.seconds, save=save)
        finally:
            watchdog.cancel()
    with printing:
        print(f"\nfigures: {arguments.out}\n{report.table(about, results)}")
    return 1 if any(result.failed for result in results) else 0


if __name__ == "__main__":
    missing_packages = check_packages()
    from lipinc.commands.runner import run_command

    run_command(lambda: main(sys.argv[1:], missing_packages))
