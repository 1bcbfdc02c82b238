"""Inconsistency loss: binary cross-entropy between the mean SSIM of the frame features of a clip and its label.

The mouths of a real video resemble each other, the mouths of a lip-synced video do not. Source: V1, section on the
loss. The published code is not trainable: it loops over the batch and calls an SSIM without a gradient.

Measured (docs/results.md, "How the recipe was chosen"): at the published weight of 5 its gradient is larger than that
of the cross-entropy, it does not fall below the loss of a constant, and mouths of real videos resemble each other less
than those of fakes. At a weight of 0.1 it changes nothing: AUC 0.852 with it and 0.854 without, V1 on one fold of other
sources, mean of three seeds; two other forms have 0.856. The recipes leave it out; `configs/published_v1.py` and
`published_v2.py` keep it.
"""

import torch
from torch.nn import functional

from lipinc.losses.precision import to_float
from lipinc.losses.ssim import mean_ssim
from lipinc.losses.ssim_torch import WINDOW


def inconsistency_loss(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compute the binary cross-entropy of the mean SSIM of each clip, with target 1 for real and 0 for fake.

    Computed in float32 even under autocast; float64 is kept. For its share of the training time see
    `python -m benchmarks.loss`.

    Args:
        features: frame features of B clips, (B, N, C, H, W).
        labels: (B,) int64, 1 = fake.

    Returns:
        The loss, a scalar.
    """
    with torch.autocast(features.device.type, enabled=False):
        score = mean_ssim(to_float(features))
        # SSIM is at most 1 (identical frames). Negative values mean inverted structure, which is not more inconsistent
        # than unrelated structure.
        score = score.clamp(1e-6, 1 - 1e-6)
        return functional.binary_cross_entropy(score, (1 - labels).to(score.dtype))


def feature_map_problems(frames: int, height: int, width: int) -> list[str]:
    """Return why feature maps cannot be used for the inconsistency loss: one message, or an empty list.

    Args:
        frames: number of maps per clip, N.
        height: height of a map.
        width: width of a map.
    """
    if frames >= 2 and min(height, width) >= WINDOW:
        return []
    return [
        f"the inconsistency loss needs at least 2 maps of at least {WINDOW} x {WINDOW}, but these mouths give {frames} "
        f"maps of {height} x {width}; use larger mouths, model.loss_features full, or loss.inconsistency 0"
    ]
