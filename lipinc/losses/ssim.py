"""Mean SSIM over all pairs of a clip's frames, with its gradient, at a cost that training can bear.

Of two frames x and y with local means m and variances v, over windows:

    SSIM = luminance x structure
    luminance = 1 - (m_x - m_y)^2 / (m_x^2 + m_y^2 + c1)
    structure = 1 - var(x - y) / (v_x + v_y + c2)

which is the usual definition, since 2 cov(x, y) = v_x + v_y - var(x - y): identical frames give exactly 1, and float32
loses less where large-valued maps are flat. Means and variances are measured once a frame; a pair has one map of
windows on the way there (of its squared difference) and one on the way back.
"""

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

WINDOW = 7
C1, C2 = 0.01**2, 0.03**2
"""For a data range of 1. Compiled into ssim_cpu.py, whose cached code is renewed when that file changes."""


def mean_ssim(maps: torch.Tensor) -> torch.Tensor:
    """Of all pairs of N maps: (B, N, C, H, W) float32 or float64 -> (B,). Differentiable once.

    Each is skimage.metrics.structural_similarity with its defaults, channel_axis=0 and data_range=1: uniform 7 x 7
    window, sample covariance, borders left out, mean over channels. Raises ValueError without a pair or a window.
    """
    frames, _, height, width = maps.shape[1:]
    if frames < 2 or min(height, width) < WINDOW:
        raise ValueError(f"SSIM needs two maps of at least {WINDOW} x {WINDOW}, not {frames} of {height} x {width}")
    return _MeanSSIM.apply(maps)


class _MeanSSIM(torch.autograd.Function):
    """The gradient is formed pair after pair beside the value, while their maps are there: none of them is stored."""

    @staticmethod
    def forward(ctx, maps: torch.Tensor) -> torch.Tensor:
        if maps.device.type == "cpu":
            from lipinc.losses.ssim_cpu import compare  # numba is slow to load, and needed only here
        else:
            compare = _compare
        scores, gradient = compare(maps, ctx.needs_input_grad[0])
        ctx.save_for_backward(maps, gradient)
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx, of_scores: torch.Tensor) -> torch.Tensor:
        maps, gradient = ctx.saved_tensors
        # In the memory order of the maps: what the network adds it to, and goes on with, has that too.
        return torch.mul(of_scores[:, None, None, None, None], gradient, out=torch.empty_like(maps))


def _compare(maps: torch.Tensor, with_gradient: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Mean SSIM of each clip and its derivative by the maps: (B, N, C, H, W) -> (B,) and (B, N, C, H, W).

    For CUDA: all pairs of frames equally far apart are compared together.
    """
    batch, frames, channels = maps.shape[:3]
    maps = maps.transpose(0, 1)
    # A variance does not change with a shift: taking out the mean first leaves it more of float32's digits.
    shift = maps.mean(dim=(0, 3, 4), keepdim=True)
    centred = (maps - shift).flatten(1, 2)  # (N, B C, H, W)
    kernel = maps.new_full((batch * channels, 1, WINDOW, 1), 1 / WINDOW)
    mean = _windows(centred, kernel)
    variance = _windows(centred.square(), kernel).addcmul_(mean, mean, value=-1).clamp_(min=0)
    variance += C2 / 2 * (WINDOW**2 - 1) / WINDOW**2  # c2 shrunk: variances here are the population's, not the sample's
    level = mean + shift.flatten(1, 2)
    energy = level.square().add_(C1 / 2)
    similarity = torch.zeros_like(mean)
    # half of the sums of derivatives by each of these, over the pairs of a frame
    by_mean, by_variance, by_energy, by_centred = map(torch.zeros_like, (mean, variance, energy, centred))
    for lag in range(1, frames):
        first, second = slice(None, -lag), slice(lag, None)
        difference = centred[first] - centred[second]
        mean_difference = mean[first] - mean[second]
        dark, rough = mean_difference.square(), _windows(difference.square(), kernel)
        rough.sub_(dark).clamp_(min=0)
        energies, variances = energy[first] + energy[second], variance[first] + variance[second]
        dark, rough = dark.div_(energies), rough.div_(variances)
        luminance, structure = 1 - dark, 1 - rough
        similarity[first].addcmul_(luminance, structure)
        if not with_gradient:
            continue
        by_dark, by_rough = structure.div_(energies), luminance.div_(variances)  # up to their sign
        for frame in (first, second):
            by_energy[frame].addcmul_(by_dark, dark)
            by_variance[frame].addcmul_(by_rough, rough)
        by_dark = torch.sub(by_rough, by_dark, out=by_dark)  # the mean difference is in the variance too
        spread = _windows(by_rough, kernel, border=WINDOW - 1)
        for frame, sign in ((first, 1), (second, -1)):
            by_mean[frame].addcmul_(by_dark, mean_difference, value=sign)
            by_centred[frame].addcmul_(spread, difference, value=-sign)
    windows = frames * (frames - 1) // 2 * channels * mean[0, 0].numel()
    scores = similarity.sum(dim=(0, 2, 3)).unflatten(0, (batch, channels)).sum(dim=1) / windows
    if not with_gradient:
        return scores, None
    by_mean.addcmul_(by_energy, level).addcmul_(by_variance, mean, value=-1)
    by_centred.addcmul_(_windows(by_variance, kernel, border=WINDOW - 1), centred)
    by_centred.add_(_windows(by_mean, kernel, border=WINDOW - 1)).mul_(2 / windows)
    return scores, by_centred.unflatten(1, (batch, channels)).transpose(0, 1)


def _windows(x: torch.Tensor, kernel: torch.Tensor, border: int = 0) -> torch.Tensor:
    """Means of the windows of (N, K, H, W) maps with `border` zeros around them. A border of a window less one makes it
    the transpose of what it is without."""
    with torch.backends.cudnn.flags(enabled=False):  # cuDNN would round to TF32
        x = functional.conv2d(x, kernel, groups=len(kernel), padding=(border, 0))
        return functional.conv2d(x, kernel.transpose(2, 3), groups=len(kernel), padding=(0, border))
