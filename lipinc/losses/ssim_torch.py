"""Mean SSIM of all pairs and its gradient by torch operations, for CUDA. See ssim.py for the formulas."""

import torch
from torch.nn import functional

WINDOW = 7
C1, C2 = 0.01**2, 0.03**2
"""SSIM's constants for a data range of 1. ssim_cpu.py compiles these three into its cached code, which numba
recompiles only when that file itself changes: edit both files together."""


def mean_ssim_and_gradient(maps: torch.Tensor, with_gradient: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Mean SSIM of each clip, and its derivative with respect to the maps.

    Processes all pairs with the same distance (lag) between their frames at once.

    Args:
        maps: (B, N, C, H, W) float32 or float64.

    Returns:
        (B,) scores and the (B, N, C, H, W) gradient; None in place of the gradient without `with_gradient`.
    """
    batch, frames, channels = maps.shape[:3]
    maps = maps.transpose(0, 1)
    # A shift does not change a variance. Subtracting the mean first keeps more of float32's digits.
    shift = maps.mean(dim=(0, 3, 4), keepdim=True)
    centred = (maps - shift).flatten(1, 2)  # (N, B C, H, W)
    kernel = maps.new_full((batch * channels, 1, WINDOW, 1), 1 / WINDOW)
    mean = _window_mean(centred, kernel)
    variance = _window_mean(centred.square(), kernel).addcmul_(mean, mean, value=-1).clamp_(min=0)
    # c2 is scaled because these are population variances, and SSIM's definition has sample variances.
    variance += C2 / 2 * (WINDOW**2 - 1) / WINDOW**2
    level = mean + shift.flatten(1, 2)
    energy = level.square().add_(C1 / 2)
    similarity = torch.zeros_like(mean)
    # Half the derivative with respect to each of these quantities of a frame, summed over the pairs of the frame.
    d_mean, d_variance, d_energy, d_centred = map(torch.zeros_like, (mean, variance, energy, centred))
    for lag in range(1, frames):
        first, second = slice(None, -lag), slice(lag, None)
        difference = centred[first] - centred[second]
        mean_difference = mean[first] - mean[second]
        luminance_loss, structure_loss = mean_difference.square(), _window_mean(difference.square(), kernel)
        structure_loss.sub_(luminance_loss).clamp_(min=0)
        energies, variances = energy[first] + energy[second], variance[first] + variance[second]
        luminance_loss, structure_loss = luminance_loss.div_(energies), structure_loss.div_(variances)
        luminance, structure = 1 - luminance_loss, 1 - structure_loss
        similarity[first].addcmul_(luminance, structure)
        if not with_gradient:
            continue
        # Derivatives with respect to the numerators of the two losses, up to their sign.
        d_luminance, d_structure = structure.div_(energies), luminance.div_(variances)
        for frame in (first, second):
            d_energy[frame].addcmul_(d_luminance, luminance_loss)
            d_variance[frame].addcmul_(d_structure, structure_loss)
        # The difference of the means also enters the variance of the difference.
        d_mean_difference = torch.sub(d_structure, d_luminance, out=d_luminance)
        d_squared_difference = _window_mean(d_structure, kernel, border=WINDOW - 1)
        for frame, sign in ((first, 1), (second, -1)):
            d_mean[frame].addcmul_(d_mean_difference, mean_difference, value=sign)
            d_centred[frame].addcmul_(d_squared_difference, difference, value=-sign)
    windows = frames * (frames - 1) // 2 * channels * mean[0, 0].numel()
    scores = similarity.sum(dim=(0, 2, 3)).unflatten(0, (batch, channels)).sum(dim=1) / windows
    if not with_gradient:
        return scores, None
    d_mean.addcmul_(d_energy, level).addcmul_(d_variance, mean, value=-1)
    d_centred.addcmul_(_window_mean(d_variance, kernel, border=WINDOW - 1), centred)
    d_centred.add_(_window_mean(d_mean, kernel, border=WINDOW - 1)).mul_(2 / windows)
    return scores, d_centred.unflatten(1, (batch, channels)).transpose(0, 1)


def _window_mean(x: torch.Tensor, kernel: torch.Tensor, border: int = 0) -> torch.Tensor:
    """Mean over each window of (N, K, H, W) maps that are padded with `border` zeros on each side.

    With a border of WINDOW - 1 this is the transpose (the gradient) of the operation without a border.
    """
    with torch.backends.cudnn.flags(enabled=False):  # cuDNN would round to TF32
        x = functional.conv2d(x, kernel, groups=len(kernel), padding=(border, 0))
        return functional.conv2d(x, kernel.transpose(2, 3), groups=len(kernel), padding=(0, border))
