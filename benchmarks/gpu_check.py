"""Is everything right on CUDA, and how fast is it? One prepared check of at most six minutes: `make gpu-check`.

    python -m benchmarks.gpu_check
    python -m benchmarks.gpu_check --only networks "inconsistency loss"
    python -m benchmarks.gpu_check --probe

It compares CUDA with the CPU and with float64, trains on the demo corpus' cache, and measures training, loading and
detection against what the card could do (benchmarks/gpu/, a file a question). Figures go to a JSON file after each
section, so that a killed run leaves them; one table comes last. `--probe` only says whether the check can run here.

Exit status: 0, 1 if a correctness check failed, 2 if the check cannot run here (no CUDA device, a missing package).

It needs the demo corpus' cache for the sections that train on it (`make gpu-check` makes it; 175 MB; it can be copied
to a machine that has no MediaPipe), and the packages below that are essential. A bare machine with torch, torchvision,
numpy, opencv-python-headless, safetensors, scipy, matplotlib, tqdm and numba lacks three pure-Python wheels:

    pip download --no-deps --only-binary=:all: -d wheels tyro==1.0.17 typeguard==4.6.1 docstring-parser==0.18.0
    pip install --no-index --no-deps --target site wheels/*.whl && export PYTHONPATH=site    # on that machine

The same checks run on the CPU in tests/test_cuda.py, at small sizes; `pytest -m cuda` runs them on CUDA.
"""

import argparse
import os
import sys
import tempfile
import threading
from pathlib import Path

from benchmarks.gpu import requirements

SECONDS = 320.0
"""Of all sections together; importing and the table come on top."""
GRACE = 15.0
"""Seconds after which a section that does not heed the deadline is ended with the process."""


def main(argv: list[str] | None = None) -> int:
    """Run the check; returns the exit status."""
    options = _options(argv)
    absent = requirements.missing()
    for line in requirements.report(absent):
        print(line, file=sys.stderr)
    essential = [name for name in absent if requirements.PACKAGES[name].essential]
    if essential:
        print(f"error: the GPU check cannot run without {', '.join(essential)}: install or carry them", file=sys.stderr)
        return 2
    device = find_device()
    if device is None:
        print("error: the GPU check needs a CUDA device, and torch sees none", file=sys.stderr)
        return 2
    if options.probe:
        print("the GPU check can run here")
        return 0
    return _run(options, device, absent)


def find_device() -> "torch.device | None":  # noqa: F821 - torch may be missing
    """The device that is checked; None without CUDA."""
    import torch

    return torch.device("cuda", 0) if torch.cuda.is_available() else None


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("outputs/gpu_check/gpu_check.json"), help="the JSON file")
    parser.add_argument("--config", type=Path, default=Path("configs/demo.py"), help="trained on its cache")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of all sections together")
    parser.add_argument("--only", nargs="+", default=[], metavar="SECTION", help="these sections alone")
    parser.add_argument("--probe", action="store_true", help="say whether the check can run here, and stop")
    return parser.parse_args(argv)


def _run(options: argparse.Namespace, device: "torch.device", absent: list[str]) -> int:  # noqa: F821
    from benchmarks.gpu import plan, report
    from benchmarks.gpu.sections import run_sections

    about = report.about(device, absent)
    shown = threading.Lock()

    def end_in_vain() -> None:
        """A section hangs in a call that no alarm reaches."""
        with shown:
            print(report.table(about, results), flush=True)
            os._exit(1)

    results: list = []

    def keep(found: list) -> None:
        results[:] = found
        report.write(options.out, about, found)

    watchdog = threading.Timer(options.seconds + GRACE, end_in_vain)
    watchdog.daemon = True
    watchdog.start()
    with tempfile.TemporaryDirectory() as folder:
        sections = plan.sections(device, options.config, Path(folder), absent)
        unknown = set(options.only) - {section.name for section in sections}
        if unknown:
            known = ", ".join(section.name for section in sections)
            print(f"error: no section {', '.join(sorted(unknown))}; there are {known}", file=sys.stderr)
            return 2
        wanted = [section for section in sections if not options.only or section.name in options.only]
        run_sections(wanted, seconds=options.seconds, keep=keep)
    watchdog.cancel()
    with shown:
        print(f"\nfigures: {options.out}\n{report.table(about, results)}")
    return 1 if any(result.failed for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
