"""Pairwise SSIM written down plainly and left to autograd: what lipinc/losses/ssim.py is tested and timed against."""

import torch
from torch.nn import functional


def pairwise_ssim(maps: torch.Tensor, *, window: int = 7) -> torch.Tensor:
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
    c1, c2 = 0.01**2, 0.03**2
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


def similar_maps(*shape: int, seed: int = 0) -> torch.Tensor:
    """(B, N, C, H, W) in 0..1, float64: frames of a clip share a picture, each with its own noise."""
    random = torch.Generator().manual_seed(seed)
    batch, frames, channels, height, width = shape
    picture = torch.rand(batch, 1, channels, height, width, generator=random, dtype=torch.float64)
    noise = torch.rand(shape, generator=random, dtype=torch.float64)
    amount = torch.rand(batch, frames, 1, 1, 1, generator=random, dtype=torch.float64)
    return picture + amount * (noise - picture)
