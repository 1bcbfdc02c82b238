"""Mean SSIM of all pairs and its gradient on a CPU, compiled by numba. See ssim.py for the formulas.

One pass over the rows of a pair does all of its work. A plane is one channel of a clip, with all its N frames. Main
memory sees a plane twice only: two of its frames, with their moments and derivatives, fit into a core's own cache. Rows
of windows are as long as rows of frames, which suits vector instructions; windows that reach beyond the end of a row
have weight 0.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import numpy as np
import torch
from numba import njit

from lipinc.losses.ssim_torch import C1, C2, WINDOW

OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz", "arcp"}}
"""numba options. Only those fast-math flags that keep NaN: a diverged network must stay visible."""


def mean_ssim_and_gradient(maps: torch.Tensor, with_gradient: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Mean SSIM of each clip, and its derivative with respect to the maps.

    Uses as many threads as torch does; their number does not change the result.

    Args:
        maps: (B, N, C, H, W) float32 or float64.

    Returns:
        (B,) scores and the (B, N, C, H, W) gradient; None in place of the gradient without `with_gradient`.
    """
    planes = maps.transpose(1, 2).clone(memory_format=torch.contiguous_format)
    scores, threads = maps.new_empty(planes.shape[:2]), torch.get_num_threads()
    parts = (np.array_split(x, threads) for x in (planes.flatten(0, 1).numpy(), scores.flatten().numpy()))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_process_planes, *parts, repeat(maps.shape[2]), repeat(with_gradient)))
    return scores.mean(dim=1), planes.transpose(1, 2) if with_gradient else None


@njit(**OPTIONS)
def _process_planes(planes: np.ndarray, scores: np.ndarray, channels: int, with_gradient: bool) -> None:
    """Write the mean SSIM of each plane into `scores`, and its gradient over the planes.

    Args:
        planes: (P, N, H, W). With `with_gradient`, overwritten by the gradient of the clip's score, which is the mean
            over its `channels` planes.
        scores: (P,), overwritten.
    """
    count, height, width = planes.shape[1:]
    window_rows = height - WINDOW + 1
    dtype = planes.dtype.type  # plain constants are float64 and would promote whatever they are combined with
    zero, one, c1, c2 = dtype(0), dtype(1), dtype(C1 / 2), dtype(C2 / 2 * (WINDOW**2 - 1) / WINDOW**2)
    windows = count * (count - 1) // 2 * window_rows * (width - WINDOW + 1)
    scale = dtype(2 / (windows * channels))

    # Separate arrays, so that the compiler can see that they do not overlap.
    frame_shape, window_shape, padded = planes.shape[1:], (count, window_rows, width), width + WINDOW - 1
    kind = planes.dtype
    frames, d_frames = np.empty(frame_shape, kind), np.empty(frame_shape, kind)
    mean, d_mean = np.empty(window_shape, kind), np.empty(window_shape, kind)
    variance, d_variance = np.empty(window_shape, kind), np.empty(window_shape, kind)
    energy, d_energy = np.empty(window_shape, kind), np.empty(window_shape, kind)
    row_sums, row_means = np.empty((height, width), kind), np.empty(width, kind)
    # Row sums of the backward direction, with rows of zeros above and below.
    spread_sums = np.zeros((height + WINDOW - 1, width), kind)
    # Rows that are padded with zeros at the front or at the end.
    front_padded, end_padded = np.zeros(padded, kind), np.zeros(padded, kind)
    is_window = np.zeros(width, kind)
    is_window[: width - WINDOW + 1] = one

    for plane in range(len(planes)):
        shift = dtype(planes[plane].mean())
        for frame in range(count):
            for y in range(height):
                for x in range(width):
                    frames[frame, y, x] = end_padded[x] = planes[plane, frame, y, x] - shift
                _sum_across(end_padded, row_sums, y)
            for y in range(window_rows):
                _mean_down(row_sums, y, row_means)
                for x in range(width):
                    mean[frame, y, x] = row_means[x]
                    energy[frame, y, x] = (row_means[x] + shift) ** 2 + c1
            for y in range(height):
                for x in range(width):
                    end_padded[x] = frames[frame, y, x] ** 2
                _sum_across(end_padded, row_sums, y)
            for y in range(window_rows):
                _mean_down(row_sums, y, row_means)
                for x in range(width):
                    variance[frame, y, x] = max(row_means[x] - mean[frame, y, x] ** 2, zero) + c2

        similarity = 0.0
        d_frames[:], d_mean[:], d_variance[:], d_energy[:] = zero, zero, zero, zero
        for first in range(count):
            for second in range(first + 1, count):
                for y in range(height):
                    for x in range(width):
                        end_padded[x] = (frames[first, y, x] - frames[second, y, x]) ** 2
                    _sum_across(end_padded, row_sums, y)
                for y in range(window_rows):
                    _mean_down(row_sums, y, row_means)
                    total = zero
                    for x in range(width):
                        difference = mean[first, y, x] - mean[second, y, x]
                        d_luminance = is_window[x] / (energy[first, y, x] + energy[second, y, x])
                        d_structure = is_window[x] / (variance[first, y, x] + variance[second, y, x])
                        luminance_loss = difference**2 * d_luminance
                        structure_loss = max(row_means[x] - difference**2, zero) * d_structure
                        luminance, structure = one - luminance_loss, one - structure_loss
                        total += luminance * structure * is_window[x]
                        # Derivatives with respect to the numerators of the two losses, up to their sign.
                        d_luminance, d_structure = d_luminance * structure, d_structure * luminance
                        # The difference of the means also enters the variance of the difference.
                        d_difference = (d_structure - d_luminance) * difference
                        d_mean[first, y, x] += d_difference
                        d_mean[second, y, x] -= d_difference
                        d_variance[first, y, x] += d_structure * structure_loss
                        d_variance[second, y, x] += d_structure * structure_loss
                        d_energy[first, y, x] += d_luminance * luminance_loss
                        d_energy[second, y, x] += d_luminance * luminance_loss
                        front_padded[x + WINDOW - 1] = d_structure
                    similarity += total
                    _sum_across(front_padded, spread_sums, y + WINDOW - 1)
                if with_gradient:
                    for y in range(height):
                        _mean_down(spread_sums, y, row_means)
                        for x in range(width):
                            change = row_means[x] * (frames[first, y, x] - frames[second, y, x])
                            d_frames[first, y, x] -= change
                            d_frames[second, y, x] += change
        scores[plane] = similarity / windows
        if not with_gradient:
            continue

        for frame in range(count):
            for y in range(window_rows):
                for x in range(width):
                    front_padded[x + WINDOW - 1] = d_variance[frame, y, x]
                _sum_across(front_padded, spread_sums, y + WINDOW - 1)
            for y in range(height):
                _mean_down(spread_sums, y, row_means)
                for x in range(width):
                    d_frames[frame, y, x] += row_means[x] * frames[frame, y, x]
            for y in range(window_rows):
                for x in range(width):
                    front_padded[x + WINDOW - 1] = (
                        d_mean[frame, y, x]
                        + d_energy[frame, y, x] * (mean[frame, y, x] + shift)
                        - d_variance[frame, y, x] * mean[frame, y, x]
                    )
                _sum_across(front_padded, spread_sums, y + WINDOW - 1)
            for y in range(height):
                _mean_down(spread_sums, y, row_means)
                for x in range(width):
                    planes[plane, frame, y, x] = scale * (d_frames[frame, y, x] + row_means[x])


@njit(**OPTIONS)
def _sum_across(row: np.ndarray, sums: np.ndarray, y: int) -> None:
    """Write the sums of WINDOW neighbours of a row (W + WINDOW - 1,) into row y of `sums`."""
    for x in range(sums.shape[1]):
        total = row[x]
        for k in range(1, WINDOW):
            total += row[x + k]
        sums[y, x] = total


@njit(**OPTIONS)
def _mean_down(sums: np.ndarray, y: int, means: np.ndarray) -> None:
    """Write the means of the windows whose top row is y into `means` (W,)."""
    for x in range(len(means)):
        total = sums[y, x]
        for k in range(1, WINDOW):
            total += sums[y + k, x]
        means[x] = total * sums.dtype.type(1 / WINDOW**2)
