"""Do networks, statistics and losses give on a device what they give on the CPU and in float64?

Gradients are compared one by one. ReLU and max pooling switch where two values are nearly equal, and then a gradient
differs by more than rounding, on any device: of several draws of weights and clips the median error counts. A gradient
that is small beside the others (the key biases of attention have none at all) is compared with a part of their norm.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import nn

from benchmarks.gpu.cases import (
    NETWORKS,
    exact_float32,
    experiment,
    random_clips,
    relative,
    synchronize,
    warnings_of_training,
)
from benchmarks.gpu.outcomes import Check, exact
from benchmarks.plain_ssim import pairwise_ssim, similar_maps
from lipinc import training
from lipinc.checkpoint import load_checkpoint, model_for
from lipinc.config import DEFAULT_CHECKPOINT, LossConfig
from lipinc.data.dataset import Batch
from lipinc.losses import inconsistency_loss, total_loss

CPU = torch.device("cpu")
LOGITS, GRADIENTS = 1e-4, 1e-3
"""Tolerances of relative errors in float32; on a CPU against float64 they are some 3e-6 and 2e-5."""
SMALL = 1e-3
"""Share of the norm of all gradients below which a gradient counts as that large."""
DEVIATIONS = 1e-2
"""Tolerance of a statistic, in its standard deviations over the training clips."""
LOSS, LOSS_GRADIENT = 1e-5, 1e-4
"""Tolerances of the inconsistency loss: of its value, and of the relative error of its gradient."""


@dataclass(frozen=True)
class Step:
    """What one forward and backward pass gives."""

    logits: torch.Tensor
    gradients: dict[str, torch.Tensor]
    """Of each parameter, and of the pixels."""


def networks(
    device: torch.device,
    *,
    clips: int = 2,
    height: int = 64,
    width: int = 144,
    hidden: int = 0,
    draws: int = 3,
    which: Sequence[str] = NETWORKS,
) -> Iterator[Check]:
    """V1 and V2 in training mode, with the total loss: logits and gradients."""
    for network in which:
        config = experiment(network, height=height, width=width, hidden=hidden, dropout=0.0)
        cases = []
        for seed in range(draws):
            torch.manual_seed(seed)
            cases.append((model_for(config).train(), random_clips(clips, height=height, width=width, seed=seed)))
        yield from _compare(network, cases, device, config.loss, features="full")


def shipped_detector(
    device: torch.device, *, clips: int = 4, height: int = 64, width: int = 144, draws: int = 3
) -> Iterator[Check]:
    """The default checkpoint: its statistics from pixels, its logits, and the gradients of its network."""
    model = load_checkpoint(DEFAULT_CHECKPOINT, CPU).model
    cases = [(model, random_clips(clips, height=height, width=width, seed=seed)) for seed in range(draws)]
    deviations = model.standardise.running_var.double().sqrt()
    for reference, dtype in (("float64", torch.float64), ("the CPU in float32", torch.float32)):
        worst = 0.0
        with exact_float32(), torch.inference_mode():
            for _, batch in cases:
                found = copy.deepcopy(model).to(device).statistics(batch.frames.to(device)).cpu().double()
                expected = model.statistics(batch.frames.to(dtype)).double()
                worst = max(worst, ((found - expected).abs() / deviations).max().item())
        yield Check(f"default detector: statistics against {reference}", worst, DEVIATIONS, "in standard deviations")
    yield from _compare("default detector", cases, device, LossConfig(inconsistency=0.0), features=None)


def _compare(
    name: str,
    cases: list[tuple[nn.Module, Batch]],
    device: torch.device,
    loss: LossConfig,
    *,
    features: str | None,
) -> Iterator[Check]:
    """Checks of a network on a device against both references."""
    run = partial(step, loss=loss, features=features)
    with exact_float32():
        mine = [run(model, batch, device, torch.float32) for model, batch in cases]
    for reference, dtype in (("float64", torch.float64), ("the CPU in float32", torch.float32)):
        expected = [run(model, batch, CPU, dtype) for model, batch in cases]
        yield from _errors(f"{name} against {reference}", mine, expected)


def _errors(name: str, mine: list[Step], expected: list[Step]) -> Iterator[Check]:
    logits = median(relative(a.logits, b.logits) for a, b in zip(mine, expected, strict=True))
    yield Check(f"{name}: logits", logits, LOGITS)
    errors: dict[str, list[float]] = {}
    for a, b in zip(mine, expected, strict=True):
        if a.gradients.keys() != b.gradients.keys():
            raise ValueError(f"{name}: gradients of other parameters")
        weights = [gradient.double().norm() for key, gradient in b.gradients.items() if key != "pixels"]
        whole = torch.stack(weights).norm().item()
        for key, gradient in b.gradients.items():
            least = 1e-12 if key == "pixels" else SMALL * whole
            errors.setdefault(key, []).append(relative(a.gradients[key], gradient, least=least))
    medians = {key: median(values) for key, values in errors.items()}
    worst = max(medians, key=lambda key: medians[key])
    yield Check(f"{name}: {len(medians)} gradients", medians[worst], GRADIENTS, f"the worst is {worst}", medians)


def step(
    model: nn.Module,
    batch: Batch,
    device: torch.device,
    dtype: torch.dtype,
    *,
    loss: LossConfig,
    features: str | None,
    backend: object = None,
) -> Step:
    """One pass of a copy of the network, without what it draws at random. backend: of torch.compile."""
    model = copy.deepcopy(model).to(device, dtype)
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
        if hasattr(layer, "noise"):
            layer.noise = 0.0
    if backend is not None:
        model.compile(backend=backend)
    frames, residues = (mouths.to(device, dtype).requires_grad_() for mouths in (batch.frames, batch.residues))
    logits, maps = model(frames, residues, features=features) if features else (model(frames, residues), None)
    total_loss(logits, maps, batch.labels.to(device), loss).total.backward()
    synchronize(device)
    gradients = {name: parameter.grad.cpu() for name, parameter in model.named_parameters()}
    return Step(logits.detach().cpu(), {**gradients, "pixels": frames.grad.cpu()})


def inconsistency(
    device: torch.device, shapes: Sequence[tuple[int, ...]] = ((4, 8, 8, 64, 144), (4, 8, 128, 8, 18))
) -> Iterator[Check]:
    """The inconsistency loss against its plain definition in float64, and under bf16 autocast.

    shapes: (B, N, C, H, W) of the maps; those of V1 and V2.
    """
    for shape in shapes:
        maps, labels = similar_maps(*shape), torch.arange(shape[0]) % 2
        maps[:, :, :, : shape[3] // 3] *= 0.01  # nearly flat: the hardest case of float32
        expected, gradient = _loss_and_gradient(_plain_loss, maps, labels)
        with exact_float32():
            value, mine = _loss_and_gradient(inconsistency_loss, maps.float().to(device), labels.to(device))
        name = f"inconsistency loss, maps {shape}"
        difference = abs(value.item() - expected.item())
        yield Check(f"{name}: value", difference / max(1.0, expected.item()), LOSS)
        yield Check(f"{name}: gradient", relative(mine, gradient), LOSS_GRADIENT)

        rounded = maps.to(device, torch.bfloat16)
        alone, _ = _loss_and_gradient(inconsistency_loss, rounded.float(), labels.to(device))
        with torch.autocast(device.type, torch.bfloat16):
            under, _ = _loss_and_gradient(inconsistency_loss, rounded, labels.to(device))
        note = f"{under.dtype}".removeprefix("torch.")
        error = abs(under.item() - alone.item()) if under.dtype == torch.float32 else float("inf")
        yield Check(f"{name}: under bf16 autocast", error, 1e-6, note)


def _plain_loss(maps: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    score = pairwise_ssim(maps).mean(dim=1).clamp(1e-6, 1 - 1e-6)
    return nn.functional.binary_cross_entropy(score, (1 - labels).to(score.dtype))


def _loss_and_gradient(loss, maps: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    maps = maps.detach().clone().requires_grad_()
    value = loss(maps, labels)
    value.backward()
    return value.detach(), maps.grad


def compiled(
    device: torch.device,
    *,
    clips: int = 8,
    height: int = 64,
    width: int = 144,
    hidden: int = 0,
    draws: int = 1,
    which: Sequence[str] = NETWORKS,
) -> Iterator[Check]:
    """torch.compile on and off: the same logits and gradients in float32, and no silent fallback."""
    for network in which:
        config = experiment(network, height=height, width=width, hidden=hidden, dropout=0.0)
        mine, expected = [], []
        with warnings_of_training() as fallbacks, exact_float32():
            for seed in range(draws):
                torch.manual_seed(seed)
                model = model_for(config).train()
                run = partial(step, model, random_clips(clips, height=height, width=width, seed=seed), device)
                run = partial(run, torch.float32, loss=config.loss, features="full")
                torch.compiler.reset()
                mine.append(run(backend=training._compiled_or_as_it_is))
                expected.append(run())
        torch.compiler.reset()
        yield exact(f"{network} compiles", not fallbacks, "; ".join(fallbacks))
        yield from _errors(f"{network}, compiled against not", mine, expected)
