"""Mean SSIM over all pairs of a clip's frames, with a hand-written gradient that is cheap enough for training.

For two frames x and y with local means m and local variances v, over windows:

    SSIM = luminance x structure
    luminance = 1 - (m_x - m_y)^2 / (m_x^2 + m_y^2 + c1)
    structure = 1 - var(x - y) / (v_x + v_y + c2)

This is the usual definition, since 2 cov(x, y) = v_x + v_y - var(x - y). In this form identical frames give exactly 1,
and float32 loses less precision where large-valued maps are flat. Means and variances are computed once per frame. A
pair needs one window filter in the forward direction (of its squared difference) and one in the backward direction.

There are two implementations of the same computation: ssim_cpu.py (numba) and ssim_torch.py (torch operations, for
CUDA).
"""

import torch
from torch.autograd.function import once_differentiable

from lipinc.losses.ssim_torch import WINDOW, mean_ssim_and_gradient


def mean_ssim(maps: torch.Tensor) -> torch.Tensor:
    """Mean SSIM over all pairs of the N maps of each clip. Differentiable once.

    The SSIM of a pair equals skimage.metrics.structural_similarity with its defaults, channel_axis=0 and data_range=1:
    uniform 7 x 7 window, sample covariance, borders excluded, mean over channels.

    Args:
        maps: (B, N, C, H, W) float32 or float64.

    Returns:
        (B,), same dtype.

    Raises:
        ValueError: there is no pair (N < 2), or the maps are smaller than the window.
    """
    frames, _, height, width = maps.shape[1:]
    if frames < 2 or min(height, width) < WINDOW:
        raise ValueError(f"SSIM needs two maps of at least {WINDOW} x {WINDOW}, not {frames} of {height} x {width}")
    return _MeanSSIM.apply(maps)


class _MeanSSIM(torch.autograd.Function):
    """Computes the gradient in the forward pass, pair by pair, so that no map of a pair has to be stored."""

    @staticmethod
    def forward(ctx, maps: torch.Tensor) -> torch.Tensor:
        if maps.device.type == "cpu":
            # Imported only here because numba is slow to load.
            from lipinc.losses import ssim_cpu

            compute = ssim_cpu.mean_ssim_and_gradient
        else:
            compute = mean_ssim_and_gradient
        scores, gradient = compute(maps, ctx.needs_input_grad[0])
        ctx.save_for_backward(maps, gradient)
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx, score_gradient: torch.Tensor) -> torch.Tensor:
        maps, gradient = ctx.saved_tensors
        # The result has the memory format of the maps, like the gradients that the network adds to it.
        return torch.mul(score_gradient[:, None, None, None, None], gradient, out=torch.empty_like(maps))
