"""The inconsistency loss: mean SSIM of one video's frame features against its label.

A real video's mouths resemble each other, a lip-synced one's do not. Intent of V1, section on the loss; the published
code cannot be trained as written (it loops over the batch and calls an SSIM that has no gradient).
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from lipinc.config import LossConfig
from lipinc.models.precision import to_float
from lipinc.ssim import mean_ssim


@dataclass(frozen=True)
class Loss:
    """The total and its parts, scalars on the device."""

    total: torch.Tensor
    classification: torch.Tensor
    inconsistency: torch.Tensor
    """0 where it is off."""


def total_loss(logits: torch.Tensor, features: torch.Tensor | None, labels: torch.Tensor, config: LossConfig) -> Loss:
    """config.classification x cross-entropy + config.inconsistency x inconsistency loss, published as 1 and 5.

    logits: (B, 2); features: (B, N, C, H, W), or None where the inconsistency loss is off; labels: (B,) int64,
    1 = fake.
    """
    classification = functional.cross_entropy(to_float(logits), labels, label_smoothing=config.label_smoothing)
    inconsistency = (
        logits.new_zeros((), dtype=torch.float32) if features is None else inconsistency_loss(features, labels)
    )
    return Loss(
        config.classification * classification + config.inconsistency * inconsistency, classification, inconsistency
    )


def inconsistency_loss(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of each video's consistency against 1 for a real and 0 for a fake one: a scalar.

    features: (B, N, C, H, W), frame features of B clips; labels: (B,) int64, 1 = fake. Computed in float32 (float64
    stays), under autocast too. What it costs beside the rest of a step: `python -m benchmarks.loss`.
    """
    with torch.autocast(features.device.type, enabled=False):
        score = mean_ssim(to_float(features))
        # A clip is at most as consistent as identical frames, 1; below 0 SSIM means opposite structure, which is
        # no more inconsistent than unrelated structure.
        score = score.clamp(1e-6, 1 - 1e-6)
        return functional.binary_cross_entropy(score, (1 - labels).to(score.dtype))
