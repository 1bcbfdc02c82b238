"""Floors: how fast could a step be on this device? Operations over the matrix rate, and bytes over the copy rate.

torch counts the operations while a step runs, forward and backward. The bytes are those that a step must move at least
once: it reads the clips, reads and writes weights, gradients and both moments of Adam, and writes every tensor that
autograd keeps in the forward pass and reads it in the backward pass. The rates are measured on the device.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.cases import Size, random_clips, synchronize, training_loss
from benchmarks.gpu.sections import Measurement
from lipinc.batches.batch import ClipBatch
from lipinc.config import Config
from lipinc.models.registry import MouthModel, build_model

OPTIMIZER_PASSES = 8
"""float32 values moved per weight: gradient, weight and Adam's two moments, each read once and written once."""


@dataclass(frozen=True)
class Rates:
    """The best rates of a device."""

    float32: float
    """FLOP/s of a large matrix product; likewise the next two."""
    tf32: float
    bf16: float
    copy: float
    """Bytes per second, read and written, of a copy on the device."""
    upload: float
    """Bytes per second from pinned host memory to the device."""


@dataclass(frozen=True)
class Work:
    """Operations and bytes of a step: a fixed part, and one per clip."""

    products: float
    """FLOP of matrix products, per clip."""
    convolutions: float
    """FLOP of convolutions, per clip."""
    fixed_bytes: float
    clip_bytes: float

    def seconds_of_operations(self, rates: Rates, clips: int, *, bf16: bool) -> float:
        """Seconds of a step at the matrix rate. In float32, torch convolves in TF32 but multiplies without it."""
        if bf16:
            return clips * (self.products + self.convolutions) / rates.bf16
        return clips * (self.products / rates.float32 + self.convolutions / rates.tf32)

    def seconds_of_bytes(self, rates: Rates, clips: int) -> float:
        """Seconds of a step at the copy rate."""
        return (self.fixed_bytes + clips * self.clip_bytes) / rates.copy


def measure_rates(device: torch.device, *, side: int = 8192, megabytes: int = 1024) -> Rates:
    """The best of several matrix products of side x side, and of several copies."""
    found = {}
    for name, dtype, tf32 in (
        ("float32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bf16", torch.bfloat16, False),
    ):
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = tf32
        try:
            a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
            out = torch.empty_like(a)
            found[name] = 2 * side**3 / best_seconds(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), device)
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before
    size = megabytes << 20
    source, target = (torch.ones(size, dtype=torch.uint8, device=device) for _ in range(2))
    found["copy"] = 2 * size / best_seconds(lambda: target.copy_(source), device)
    host = torch.ones(size // 4, dtype=torch.uint8)
    host = host.pin_memory() if device.type == "cuda" else host
    found["upload"] = host.numel() / best_seconds(lambda: target[: size // 4].copy_(host, non_blocking=True), device)
    return Rates(**found)


def rates_measurement(rates: Rates) -> Iterator[Measurement]:
    """The rates for the table."""
    tera = {f"{name} TFLOP/s": value / 1e12 for name, value in asdict(rates).items() if name not in ("copy", "upload")}
    yield Measurement("device rates", {**tera, "copy GB/s": rates.copy / 1e9, "upload GB/s": rates.upload / 1e9})


def best_seconds(work: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """The shortest of several repeats, after one that does not count."""
    seconds = []
    for _ in range(repeats + 1):
        synchronize(device)
        started = time.perf_counter()
        work()
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def work_of_training(config: Config, device: torch.device) -> Work:
    """Work of a training step, counted with two and with four clips."""
    torch.manual_seed(0)
    model = build_model(config).to(device).train()
    size = Size(config.mouth.height, config.mouth.width)
    small, large = (random_clips(clips, size).to(device) for clips in (2, 4))
    counted = _operations(model, config, large)
    convolutions = sum(count for name, count in counted.items() if "convolution" in name)
    kept = [_kept_bytes(model, config, batch) for batch in (small, large)]
    per_clip = (kept[1] - kept[0]) / 2
    weights = sum(parameter.numel() for parameter in model.parameters())
    pixels = (small.frames.numel() + small.residues.numel()) / 2
    return Work(
        products=(sum(counted.values()) - convolutions) / 4,
        convolutions=convolutions / 4,
        fixed_bytes=4 * OPTIMIZER_PASSES * weights + 2 * max(0.0, kept[0] - 2 * per_clip),
        clip_bytes=pixels + 2 * per_clip,
    )


def work_of_detection(model: MouthModel, frames: torch.Tensor, residues: torch.Tensor) -> Work:
    """Work of scoring clips in one pass: clips and weights are read once, and nothing is kept."""
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.score_clips(frames, residues)
    counted = {str(name): count for name, count in counter.get_flop_counts()["Global"].items()}
    convolutions = sum(count for name, count in counted.items() if "convolution" in name)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    clips = len(frames)
    return Work(
        products=(sum(counted.values()) - convolutions) / clips,
        convolutions=convolutions / clips,
        fixed_bytes=weights,
        clip_bytes=(frames.numel() + residues.numel()) / clips,
    )


def _operations(model: torch.nn.Module, config: Config, batch: ClipBatch) -> dict[str, int]:
    """FLOP by operation, forward and backward. Attention is split up, so that it counts the same on all devices."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        training_loss(model, batch, config).backward()
    return {str(name): count for name, count in counter.get_flop_counts()["Global"].items()}


def _kept_bytes(model: torch.nn.Module, config: Config, batch: ClipBatch) -> int:
    """Bytes that autograd keeps for the backward pass, without the weights."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = training_loss(model, batch, config)
    del loss
    return sum(kept.values())
