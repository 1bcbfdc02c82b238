"""The results of the GPU check: a JSON file with all figures, and a table."""

import json
import math
import platform
import shlex
import subprocess
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.sections import Check, Outcome, Result
from lipinc.files.atomic import write_atomically
from lipinc.versions import LIBRARIES, library_versions


def environment(device: torch.device, missing: list[str]) -> dict[str, Any]:
    """Card, versions, date and command. missing: distributions that are not installed."""
    card: dict[str, Any] = {"device": "cpu"}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        card = {
            "device": properties.name,
            "memory_gb": round(properties.total_memory / 1e9, 1),
            "multiprocessors": properties.multi_processor_count,
            "driver": _driver(),
        }
    return {
        **card,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "nccl": ".".join(map(str, torch.cuda.nccl.version())) if device.type == "cuda" else None,
        "python": platform.python_version(),
        "versions": library_versions((*LIBRARIES, "numba", "triton")),
        "missing": missing,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "benchmarks.gpu_check", *sys.argv[1:]]),
    }


def _driver() -> str:
    """Version of the driver, or "unknown" if nvidia-smi is absent."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.split("\n")[0] or "unknown"
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"


def write(file: Path, about: dict[str, Any], results: list[Result]) -> None:
    """Write all figures, atomically. NaN and infinity, which JSON lacks, are null. about: from `environment`."""
    sections = [
        {
            "section": result.section,
            "status": result.status,
            "seconds": round(result.seconds, 1),
            "outcomes": [_finite(asdict(outcome) | {"status": outcome.status}) for outcome in result.outcomes],
        }
        for result in results
    ]
    write_atomically(file, json.dumps({**about, "sections": sections}, indent=1, allow_nan=False).encode() + b"\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(about: dict[str, Any], results: list[Result]) -> str:
    """One row per outcome and per incomplete section; the last line counts failures."""
    rows = []
    for result in results:
        rows += [(outcome.status, result.section, outcome.name, outcome.text()) for outcome in result.outcomes]
        if not result.complete:
            status, _, reason = result.status.partition(": ")
            rows.append((status, result.section, "", reason))
    widths = [max([len(row[column]) for row in rows], default=0) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]]).rstrip()
        for row in rows
    ]
    outcomes: list[Outcome] = [outcome for result in results for outcome in result.outcomes]
    checks = [outcome for outcome in outcomes if isinstance(outcome, Check)]
    failed, incomplete = sum(result.failed for result in results), sum(not result.complete for result in results)
    passed = sum(check.passed for check in checks)
    head = f"{about['device']}, torch {about['versions']['torch']}, CUDA {about['cuda']}, {about['date']}"
    counts = f"{failed} failed, {incomplete} of {len(results)} incomplete"
    return "\n".join([head, *lines, f"{passed} of {len(checks)} checks passed; sections: {counts}"])
