"""Does the host wait for the device in a training step, and does the device wait for the host?"""

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

from benchmarks.gpu.cases import NETWORKS, random_clips
from benchmarks.gpu.outcomes import Check, Measurement, Outcome
from benchmarks.gpu.speed import Precision, Trainer, release, trainer
from lipinc import training
from lipinc.data.dataset import Batch

DEVICE_WORK = ("kernel", "gpu_memcpy", "gpu_memset")
"""Categories of the profiler's events that occupy a CUDA device."""
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


def host_waits(
    device: torch.device, *, networks: Sequence[str] = NETWORKS, clips: int = 32, steps: int = 6, **size: int
) -> Iterator[Check]:
    """Synchronisations of a training step, apart from those that show the loss every tenth step.

    As many steps and twice as many, each showing the loss at the first and at the last one alone: what the longer run
    has more, its steps have.
    """
    for network in networks:
        one = trainer(network, device, inconsistency=True, precision="bf16", **size)
        batch = _batch(clips, device, size)
        one.seconds(batch, 2)
        with mock.patch.object(training, "REPORT_EVERY", 10**6):
            few, many = (_waits(one, batch, count) for count in (steps, 2 * steps))
        more = {place: (many[place] - few[place]) / steps for place in many if many[place] != few[place]}
        note = "; ".join(f"{count:g} x {place}" for place, count in more.items())
        yield Check(f"{network}: host synchronisations in a step", sum(more.values()), 0, note, dict(many))
        del one
        release(device)


def _waits(one: Trainer, batch: Batch, steps: int) -> Counter[str]:
    with _recorded_waits(one.device) as places:
        one.seconds(batch, steps)
    return places


@contextmanager
def _recorded_waits(device: torch.device) -> Iterator[Counter[str]]:
    """Where in the code the host waits for the device: file, line and what stands there.

    On CUDA torch warns of each; elsewhere the reads of a value are counted, which would be one there.
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
    for one in caught:
        if "synchronizing CUDA operation" in str(one.message):
            line = linecache.getline(one.filename, one.lineno).strip()
            places[f"{Path(one.filename).name}:{one.lineno} {line}"] += 1


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
    *,
    networks: Sequence[str] = NETWORKS,
    precisions: Sequence[Precision] = ("bf16", "float32"),
    batches: Sequence[int] = (32, 256),
    steps: int = 10,
    **size: int,
) -> Iterator[Outcome]:
    """Share of the time in which the device works, and what the profiler counts of a step.

    The device's work is taken from a profiled run, the time from one that is not: profiling slows the host.
    """
    for network in networks:
        for precision in precisions:
            one = trainer(network, device, inconsistency=True, precision=precision, **size)
            for clips in batches:
                batch = _batch(clips, device, size)
                one.seconds(batch, 3)
                wall = one.seconds(batch, steps)
                events = _profiled(one, batch, steps)
                if not _work(events, device):
                    raise RuntimeError("the profiler recorded no work of the device")
                yield Measurement(
                    f"{network}, {precision}, batch {clips}", figures_of(events, device, wall=wall, steps=steps)
                )
            del one
            release(device)


def _profiled(one: Trainer, batch: Batch, steps: int) -> list[dict]:
    """The events of some steps, as the profiler's trace has them."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if one.device.type == "cuda" else [])]
    with profile(activities=activities) as recorded:
        one.seconds(batch, steps)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "trace.json")
        recorded.export_chrome_trace(str(file))
        return json.loads(file.read_text(errors="replace"))["traceEvents"]


def figures_of(events: list[dict], device: torch.device, *, wall: float, steps: int) -> dict[str, float | str]:
    """Busy share, and counts a step. wall: seconds of the same steps without the profiler."""
    work = _work(events, device)
    longest = Counter()
    for event in work:
        longest[event["name"]] += event["dur"]
    busy = covered([(event["ts"], event["ts"] + event["dur"]) for event in work]) / 1e6
    names = Counter(event.get("name", "") for event in events)
    to_host = sum(count for name, count in names.items() if "Memcpy DtoH" in name)
    return {
        "busy share": min(1.0, busy / wall),
        "operations a step": len(work) / steps,
        "waits a step": sum(names[name] for name in WAITS) / steps,
        "copies to the host a step": to_host / steps,
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


def _batch(clips: int, device: torch.device, size: dict[str, int]) -> Batch:
    batch = random_clips(clips, **{name: value for name, value in size.items() if name != "hidden"})
    return batch.pin_memory() if device.type == "cuda" else batch
