"""Waiting: host synchronisations in a training step, and the share of time in which the device works."""

import json
import linecache
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu.cases import NETWORKS, PUBLISHED, Size, loaded_clips
from benchmarks.gpu.sections import Check, Measurement, Outcome
from benchmarks.gpu.speed import Precision, Trainer, make_trainer, release
from lipinc.batches.batch import ClipBatch
from lipinc.training import loop

DEVICE_WORK = ("kernel", "gpu_memcpy", "gpu_memset")
"""Categories of profiler events that occupy a CUDA device."""
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


def host_waits(
    device: torch.device,
    size: Size = PUBLISHED,
    *,
    networks: Sequence[str] = NETWORKS,
    clips: int = 32,
    steps: int = 6,
) -> Iterator[Check]:
    """Host synchronisations in a training step, other than those that display the loss every tenth step.

    Compares a run with one of twice as many steps. Both display the loss only at the first and at the last step, so
    additional synchronisations of the longer run come from its steps.
    """
    for network in networks:
        trainer = make_trainer(network, device, size, inconsistency=True, precision="bf16")
        batch = loaded_clips(clips, size, device)
        trainer.seconds(batch, 2)
        with mock.patch.object(loop, "REPORT_EVERY", 10**6):
            few, many = (_waits(trainer, batch, count) for count in (steps, 2 * steps))
        more = {place: (many[place] - few[place]) / steps for place in many if many[place] != few[place]}
        note = "; ".join(f"{count:g} x {place}" for place, count in more.items())
        yield Check(f"{network}: host synchronisations in a step", sum(more.values()), 0, note, dict(many))
        del trainer
        release(device)


def _waits(trainer: Trainer, batch: ClipBatch, steps: int) -> Counter[str]:
    with _recorded_waits(trainer.device) as places:
        trainer.seconds(batch, steps)
    return places


@contextmanager
def _recorded_waits(device: torch.device) -> Iterator[Counter[str]]:
    """Count the places in the code where the host waits for the device: file, line number and text of the line.

    On CUDA torch warns about each. On a CPU, reads of a value are counted, which would be synchronisations on CUDA.
    """
    places: Counter[str] = Counter()
    if device.type != "cuda":
        with _CountReads(places):
            yield places
        return
    torch.cuda.synchronize(device)
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for warning in caught:
        if "synchronizing CUDA operation" in str(warning.message):
            line = linecache.getline(warning.filename, warning.lineno).strip()
            places[f"{Path(warning.filename).name}:{warning.lineno} {line}"] += 1


class _CountReads(TorchDispatchMode):
    def __init__(self, places: Counter[str]):
        super().__init__()
        self._places = places

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._local_scalar_dense.default:
            self._places["item()"] += 1
        return function(*args, **(kwargs or {}))


def busy_share(
    device: torch.device,
    size: Size = PUBLISHED,
    *,
    networks: Sequence[str] = NETWORKS,
    precisions: Sequence[Precision] = ("bf16", "float32"),
    batches: Sequence[int] = (32, 256),
    steps: int = 10,
) -> Iterator[Outcome]:
    """Share of time in which the device works, and what the profiler counts in a step.

    The work of the device is from a profiled run, the time from a run without the profiler, which slows the host.
    """
    for network in networks:
        for precision in precisions:
            trainer = make_trainer(network, device, size, inconsistency=True, precision=precision)
            for clips in batches:
                batch = loaded_clips(clips, size, device)
                trainer.seconds(batch, 3)
                wall = trainer.seconds(batch, steps)
                events = _profiled(trainer, batch, steps)
                if not _work(events, device):
                    raise RuntimeError("the profiler recorded no work of the device")
                yield Measurement(
                    f"{network}, {precision}, batch {clips}", figures_of(events, device, wall=wall, steps=steps)
                )
            del trainer
            release(device)


def _profiled(trainer: Trainer, batch: ClipBatch, steps: int) -> list[dict]:
    """The events of some steps in the profiler's trace."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if trainer.device.type == "cuda" else [])]
    with profile(activities=activities) as recorded:
        trainer.seconds(batch, steps)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "trace.json")
        recorded.export_chrome_trace(str(file))
        return json.loads(file.read_text(errors="replace"))["traceEvents"]


def figures_of(events: list[dict], device: torch.device, *, wall: float, steps: int) -> dict[str, float | str]:
    """Busy share, and counts per step. wall: seconds of the same steps without the profiler."""
    work = _work(events, device)
    longest = Counter()
    for event in work:
        longest[event["name"]] += event["dur"]
    busy = covered([(event["ts"], event["ts"] + event["dur"]) for event in work]) / 1e6
    names = Counter(event.get("name", "") for event in events)
    to_host = sum(count for name, count in names.items() if "Memcpy DtoH" in name)
    return {
        "busy share": min(1.0, busy / wall),
        "operations per step": len(work) / steps,
        "waits per step": sum(names[name] for name in WAITS) / steps,
        "copies to the host per step": to_host / steps,
        "longest": ", ".join(f"{name[:60]} {time / busy / 1e6:.0%}" for name, time in longest.most_common(3)),
    }


def _work(events: list[dict], device: torch.device) -> list[dict]:
    kinds = DEVICE_WORK if device.type == "cuda" else ("cpu_op",)
    return [event for event in events if event.get("cat") in kinds and "dur" in event]


def covered(spans: list[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, end = 0.0, float("-inf")
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total
