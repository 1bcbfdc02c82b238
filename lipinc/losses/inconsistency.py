"""The inconsistency loss: mean SSIM of the frame features of one video against its label.

The mouths of a real video resemble each other, those of a lip-synced one do not. This is the intent of V1, section on
the loss; the published code cannot be trained as written (it loops over the batch and calls an SSIM without gradient).
"""

import torch
from torch.nn import functional

from lipinc.losses.precision import to_float
from lipinc.losses.ssim import mean_ssim
from lipinc.losses.ssim_torch import WINDOW


def inconsistency_loss(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of the consistency of each video against 1 for a real and 0 for a fake one: a scalar.

    features: (B, N, C, H, W), frame features of B clips; labels: (B,) int64, 1 = fake. Computed in float32 (float64
    stays), under autocast too. Its cost beside the rest of a step: `python -m benchmarks.loss`.
    """
    with torch.autocast(features.device.type, enabled=False):
        score = mean_ssim(to_float(features))
        # A clip is at most as consistent as identical frames, 1; below 0 SSIM means opposite structure, which is
        # no more inconsistent than unrelated structure.
        score = score.clamp(1e-6, 1 - 1e-6)
        return functional.binary_cross_entropy(score, (1 - labels).to(score.dtype))


def map_problems(frames: int, height: int, width: int) -> list[str]:
    """Why maps of a clip cannot be compared: a sentence, or nothing. frames: N of the maps; height, width: of each."""
    if frames >= 2 and min(height, width) >= WINDOW:
        return []
    return [
        f"the inconsistency loss needs 2 maps of {WINDOW} x {WINDOW} or more, and these mouths give {frames} of "
        f"{height} x {width}; take larger mouths, model.loss_features full, or loss.inconsistency 0"
    ]
