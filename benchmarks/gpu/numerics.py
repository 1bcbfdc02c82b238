"""Accuracy: do models and losses give the same numbers on a device as on the CPU and in float64?

Gradients are compared parameter by parameter. ReLU and max pooling switch where two values are nearly equal; then a
gradient differs by more than rounding errors, on any device. Therefore the median error over several random weights and
clips is checked. The error of a small gradient (the key biases of attention have none at all) is relative to a part of
the norm of all gradients.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from benchmarks.gpu.cases import (
    NETWORKS,
    PUBLISHED,
    Size,
    exact_float32,
    network_config,
    random_clips,
    relative_error,
    switch_off_randomness,
    synchronize,
    training_warnings,
)
from benchmarks.gpu.sections import Check, exact
from benchmarks.plain_ssim import pairwise_ssim, similar_maps
from lipinc.batches.batch import ClipBatch
from lipinc.config import LossConfig
from lipinc.losses.inconsistency import inconsistency_loss
from lipinc.losses.total import LossInputs, total_loss
from lipinc.models.checkpoint import DEFAULT_CHECKPOINT, load_checkpoint
from lipinc.models.registry import MouthModel, build_model
from lipinc.training import loop

CPU = torch.device("cpu")
REFERENCES = {"float64": torch.float64, "the CPU in float32": torch.float32}
"""Both are computed on the CPU."""
LOGITS, GRADIENTS = 1e-4, 1e-3
"""Tolerances of relative errors in float32. The CPU's float32 has about 3e-6 and 2e-5 against float64."""
SMALL_GRADIENT = 1e-3
"""Share of the norm of all gradients below which the error of a gradient is relative to that norm."""
FEATURE_DEVIATIONS = 1e-2
"""Tolerance of a noise feature, in its standard deviations over the training clips."""
LOSS, LOSS_GRADIENT = 1e-5, 1e-4
"""Tolerances of the inconsistency loss: of its value and of the relative error of its gradient."""


@dataclass(frozen=True)
class Step:
    """Results of one forward and backward pass."""

    logits: torch.Tensor
    gradients: dict[str, torch.Tensor]
    """Of each parameter by name, and of the frames ("pixels")."""


def networks(
    device: torch.device,
    size: Size = PUBLISHED,
    *,
    clips: int = 2,
    draws: int = 3,
    which: Sequence[str] = NETWORKS,
) -> Iterator[Check]:
    """V1 and V2 in training mode with the total loss: logits and gradients."""
    for network in which:
        config = network_config(network, size)
        cases = []
        for seed in range(draws):
            torch.manual_seed(seed)
            cases.append((build_model(config).train(), random_clips(clips, size, seed=seed)))
        yield from _compare(network, cases, device, config.loss)


def default_detector(
    device: torch.device, size: Size = PUBLISHED, *, clips: int = 4, draws: int = 3
) -> Iterator[Check]:
    """The default checkpoint: its features of pixels, its logits, and the gradients of its network."""
    model = load_checkpoint(DEFAULT_CHECKPOINT, CPU).model
    cases = [(model, random_clips(clips, size, seed=seed)) for seed in range(draws)]
    deviations = model.deviation.double()
    for reference, dtype in REFERENCES.items():
        worst = 0.0
        with exact_float32(), torch.inference_mode():
            for _, batch in cases:
                found = copy.deepcopy(model).to(device).extract_features(*batch.to(device).inputs).cpu().double()
                expected = model.extract_features(*(mouths.to(dtype) for mouths in batch.inputs)).double()
                worst = max(worst, ((found - expected).abs() / deviations).max().item())
        name = f"default detector: features against {reference}"
        yield Check(name, worst, FEATURE_DEVIATIONS, "in standard deviations")
    yield from _compare("default detector", cases, device, LossConfig(inconsistency=0.0))


def inconsistency(
    device: torch.device, shapes: Sequence[tuple[int, ...]] = ((4, 8, 8, 64, 144), (4, 8, 128, 8, 18))
) -> Iterator[Check]:
    """The inconsistency loss against its definition in float64, and under bf16 autocast.

    shapes: (B, N, C, H, W) of the maps; by default those of V1 and V2.
    """
    for shape in shapes:
        maps, labels = similar_maps(*shape), torch.arange(shape[0]) % 2
        maps[:, :, :, : shape[3] // 3] *= 0.01  # nearly flat: the hardest case in float32
        expected, expected_gradient = _loss_and_gradient(_plain_loss, maps, labels)
        with exact_float32():
            found, gradient = _loss_and_gradient(inconsistency_loss, maps.float().to(device), labels.to(device))
        name = f"inconsistency loss, maps {shape}"
        error = abs(found.item() - expected.item()) / max(1.0, expected.item())
        yield Check(f"{name}: value", error, LOSS)
        yield Check(f"{name}: gradient", relative_error(gradient, expected_gradient), LOSS_GRADIENT)

        rounded = maps.to(device, torch.bfloat16)
        expected, _ = _loss_and_gradient(inconsistency_loss, rounded.float(), labels.to(device))
        with torch.autocast(device.type, torch.bfloat16):
            found, _ = _loss_and_gradient(inconsistency_loss, rounded, labels.to(device))
        error = abs(found.item() - expected.item()) if found.dtype == torch.float32 else float("inf")
        yield Check(f"{name}: under bf16 autocast", error, 1e-6, str(found.dtype).removeprefix("torch."))


def compiled(
    device: torch.device,
    size: Size = PUBLISHED,
    *,
    clips: int = 8,
    draws: int = 1,
    which: Sequence[str] = NETWORKS,
) -> Iterator[Check]:
    """torch.compile on and off: the same logits and gradients in float32, and no silent fallback."""
    for network in which:
        config = network_config(network, size)
        found, expected = [], []
        with training_warnings() as fallbacks, exact_float32():
            for seed in range(draws):
                torch.manual_seed(seed)
                model, batch = build_model(config).train(), random_clips(clips, size, seed=seed)
                torch.compiler.reset()
                backend = loop._compile_or_fall_back
                found.append(run_step(model, batch, device, torch.float32, config.loss, backend=backend))
                expected.append(run_step(model, batch, device, torch.float32, config.loss))
        torch.compiler.reset()
        yield exact(f"{network} compiles", not fallbacks, "; ".join(fallbacks))
        yield from _errors(f"{network}, compiled against not compiled", found, expected)


def run_step(
    model: MouthModel,
    batch: ClipBatch,
    device: torch.device,
    dtype: torch.dtype,
    loss: LossConfig,
    *,
    backend: object = None,
) -> Step:
    """Forward and backward pass of a copy of the model, without its randomness. backend: of torch.compile."""
    model = switch_off_randomness(copy.deepcopy(model).to(device, dtype))
    if backend is not None:
        model.compile(backend=backend)
    frames, residues = (mouths.to(device, dtype).requires_grad_() for mouths in batch.inputs)
    if loss.inconsistency:
        logits, maps = model(frames, residues, loss_features=True)
    else:
        logits, maps = model.score_clips(frames, residues), None
    total_loss(LossInputs(logits, maps, batch.labels.to(device), loss))["total"].backward()
    synchronize(device)
    gradients = {name: parameter.grad.cpu() for name, parameter in model.named_parameters()}
    return Step(logits.detach().cpu(), {**gradients, "pixels": frames.grad.cpu()})


def _compare(
    name: str, cases: list[tuple[MouthModel, ClipBatch]], device: torch.device, loss: LossConfig
) -> Iterator[Check]:
    """Checks of a model on a device against both references."""
    with exact_float32():
        found = [run_step(model, batch, device, torch.float32, loss) for model, batch in cases]
    for reference, dtype in REFERENCES.items():
        expected = [run_step(model, batch, CPU, dtype, loss) for model, batch in cases]
        yield from _errors(f"{name} against {reference}", found, expected)


def _errors(name: str, found: list[Step], expected: list[Step]) -> Iterator[Check]:
    logits = median(relative_error(a.logits, b.logits) for a, b in zip(found, expected, strict=True))
    yield Check(f"{name}: logits", logits, LOGITS)
    errors: dict[str, list[float]] = {}
    for a, b in zip(found, expected, strict=True):
        if a.gradients.keys() != b.gradients.keys():
            raise ValueError(f"{name}: gradients of different parameters")
        norms = [gradient.double().norm() for key, gradient in b.gradients.items() if key != "pixels"]
        small = SMALL_GRADIENT * torch.stack(norms).norm().item()
        for key, gradient in b.gradients.items():
            min_norm = 1e-12 if key == "pixels" else small
            errors.setdefault(key, []).append(relative_error(a.gradients[key], gradient, min_norm=min_norm))
    medians = {key: median(values) for key, values in errors.items()}
    worst = max(medians, key=lambda key: medians[key])
    yield Check(f"{name}: {len(medians)} gradients", medians[worst], GRADIENTS, f"the worst is {worst}", medians)


def _plain_loss(maps: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    score = pairwise_ssim(maps).mean(dim=1).clamp(1e-6, 1 - 1e-6)
    return nn.functional.binary_cross_entropy(score, (1 - labels).to(score.dtype))


def _loss_and_gradient(loss, maps: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    maps = maps.detach().clone().requires_grad_()
    value = loss(maps, labels)
    value.backward()
    return value.detach(), maps.grad
