"""The inconsistency loss: pairwise SSIM of one video's frame features against its label.

A real video's mouths resemble each other, a lip-synced one's do not. Intent of V1, section on the loss; the published
code cannot be trained as written (it loops over the batch and calls an SSIM that has no gradient).
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from lipinc.config import LossConfig


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
    classification = functional.cross_entropy(logits.float(), labels, label_smoothing=config.label_smoothing)
    inconsistency = (
        logits.new_zeros((), dtype=torch.float32) if features is None else inconsistency_loss(features, labels)
    )
    return Loss(
        config.classification * classification + config.inconsistency * inconsistency, classification, inconsistency
    )


def inconsistency_loss(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of each video's consistency against 1 for a real and 0 for a fake one: a scalar.

    features: (B, N, C, H, W), frame features of B clips; labels: (B,) int64, 1 = fake. Computed in float32 (float64
    stays), under autocast too. On 2 CPU cores the pairs of full V1 maps cost several times the rest of the step: see
    `python -m benchmarks.loss` for the ratio.
    """
    with torch.autocast(features.device.type, enabled=False):
        score = consistency(features if features.dtype == torch.float64 else features.float())
        # A clip is at most as consistent as identical frames, 1; below 0 SSIM means opposite structure, which is
        # no more inconsistent than unrelated structure.
        score = score.clamp(1e-6, 1 - 1e-6)
        return functional.binary_cross_entropy(score, (1 - labels).to(score.dtype))


def consistency(features: torch.Tensor) -> torch.Tensor:
    """Mean SSIM over all pairs of a clip's frames: (B, N, C, H, W) -> (B,)."""
    return pairwise_ssim(features).mean(dim=1)


def pairwise_ssim(maps: torch.Tensor, *, window: int = 7, data_range: float = 1.0) -> torch.Tensor:
    """SSIM of all pairs i < j of N maps: (B, N, C, H, W) -> (B, N (N - 1) / 2), ordered by j - i, then by i.

    The definition of skimage.metrics.structural_similarity with its defaults and channel_axis=0: uniform window, sample
    covariance, borders left out, mean over channels. Differentiable. Moments of a frame are shared by all its pairs.
    Written with the difference of two frames in place of their covariance, 2 cov(x, y) = var(x) + var(y) - var(x - y):
    identical frames give exactly 1, and float32 loses less where large-valued maps are flat.
    """
    batch, frames, channels, height, width = maps.shape
    if frames < 2 or min(height, width) < window:
        raise ValueError(f"SSIM needs two maps of at least {window} x {window}, not {frames} of {height} x {width}")
    # A variance does not change with a shift: taking out the mean first leaves it more of float32's digits.
    shift = maps.mean(dim=(1, 3, 4), keepdim=True)
    centred = maps - shift

    def local_mean(x: torch.Tensor) -> torch.Tensor:
        return (
            functional.avg_pool2d(x.flatten(0, 2).unsqueeze(1), window, stride=1).unflatten(0, x.shape[:3]).squeeze(3)
        )

    unbiased = window * window / (window * window - 1)
    mean = local_mean(centred)
    variance = unbiased * (local_mean(centred * centred) - mean * mean).clamp_min(0)
    energy = (mean + shift) ** 2
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    scores = []
    for lag in range(1, frames):
        first, second = slice(None, frames - lag), slice(lag, None)
        change = (centred[:, first] - centred[:, second]) ** 2
        mean_change = (mean[:, first] - mean[:, second]) ** 2
        change_variance = unbiased * (local_mean(change) - mean_change).clamp_min(0)
        luminance = 1 - mean_change / (energy[:, first] + energy[:, second] + c1)
        structure = 1 - change_variance / (variance[:, first] + variance[:, second] + c2)
        scores.append((luminance * structure).mean(dim=(2, 3, 4)))
    return torch.cat(scores, dim=1)
