"""What lipinc/losses/ssim.py defines, on a CPU: all that happens to a pair in one pass over its rows, compiled by numba.

A plane is one channel of a clip, of all its N frames: memory sees it twice, and two of its frames with their moments
and derivatives fit a core's own cache. Rows of windows are as long as those of frames, which suits vectors; the windows
that reach over the end count as nothing.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import numpy as np
import torch
from numba import njit

from lipinc.losses.ssim import C1, C2, WINDOW

OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz", "arcp"}}
"""Of fast mathematics only what leaves NaN alone: a diverged network must be seen."""


def compare(maps: torch.Tensor, with_gradient: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Mean SSIM of each clip and its derivative by the maps: (B, N, C, H, W) -> (B,) and (B, N, C, H, W).

    As many threads work as torch has; how many has no influence on the result.
    """
    planes = maps.transpose(1, 2).clone(memory_format=torch.contiguous_format)
    scores, threads = maps.new_empty(planes.shape[:2]), torch.get_num_threads()
    parts = (np.array_split(x, threads) for x in (planes.flatten(0, 1).numpy(), scores.flatten().numpy()))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_compare, *parts, repeat(maps.shape[2]), repeat(with_gradient)))
    return scores.mean(dim=1), planes.transpose(1, 2) if with_gradient else None


@njit(**OPTIONS)
def _compare(planes: np.ndarray, scores: np.ndarray, channels: int, with_gradient: bool) -> None:
    """Mean SSIM of each plane, (P, N, H, W) -> (P,). The derivative of its clip's mean over `channels` planes takes the
    place of the planes."""
    count, height, width = planes.shape[1:]
    tall = height - WINDOW + 1
    dtype = planes.dtype.type  # bare numbers would be float64, and all that meets them
    zero, one, c1, c2 = dtype(0), dtype(1), dtype(C1 / 2), dtype(C2 / 2 * (WINDOW**2 - 1) / WINDOW**2)
    windows = count * (count - 1) // 2 * tall * (width - WINDOW + 1)
    scale = dtype(2 / (windows * channels))

    # Each its own array: the compiler must see that they do not overlap.
    of_frames, of_windows, padded, kind = planes.shape[1:], (count, tall, width), width + WINDOW - 1, planes.dtype
    frames, by_frame = np.empty(of_frames, kind), np.empty(of_frames, kind)
    mean, by_mean = np.empty(of_windows, kind), np.empty(of_windows, kind)
    variance, by_variance = np.empty(of_windows, kind), np.empty(of_windows, kind)
    energy, by_energy = np.empty(of_windows, kind), np.empty(of_windows, kind)
    across, down = np.empty((height, width), kind), np.empty(width, kind)
    spread = np.zeros((height + WINDOW - 1, width), kind)  # `across` of the way back, between zeros
    before, after = (
        np.zeros(padded, kind),
        np.zeros(padded, kind),
    )  # rows with zeros before or after them
    inside = np.zeros(width, kind)
    inside[: width - WINDOW + 1] = one

    for plane in range(len(planes)):
        shift = dtype(planes[plane].mean())
        for frame in range(count):
            for y in range(height):
                for x in range(width):
                    frames[frame, y, x] = after[x] = planes[plane, frame, y, x] - shift
                _sum_across(after, across, y)
            for y in range(tall):
                _mean_down(across, y, down)
                for x in range(width):
                    mean[frame, y, x] = down[x]
                    energy[frame, y, x] = (down[x] + shift) ** 2 + c1
            for y in range(height):
                for x in range(width):
                    after[x] = frames[frame, y, x] ** 2
                _sum_across(after, across, y)
            for y in range(tall):
                _mean_down(across, y, down)
                for x in range(width):
                    variance[frame, y, x] = max(down[x] - mean[frame, y, x] ** 2, zero) + c2

        similarity = 0.0
        by_frame[:], by_mean[:], by_variance[:], by_energy[:] = zero, zero, zero, zero
        for first in range(count):
            for second in range(first + 1, count):
                for y in range(height):
                    for x in range(width):
                        after[x] = (frames[first, y, x] - frames[second, y, x]) ** 2
                    _sum_across(after, across, y)
                for y in range(tall):
                    _mean_down(across, y, down)
                    total = zero
                    for x in range(width):
                        difference = mean[first, y, x] - mean[second, y, x]
                        by_dark = inside[x] / (energy[first, y, x] + energy[second, y, x])
                        by_rough = inside[x] / (variance[first, y, x] + variance[second, y, x])
                        dark = difference**2 * by_dark
                        rough = max(down[x] - difference**2, zero) * by_rough
                        luminance, structure = one - dark, one - rough
                        total += luminance * structure * inside[x]
                        by_dark, by_rough = by_dark * structure, by_rough * luminance  # up to their sign
                        for_mean = (by_rough - by_dark) * difference  # which is in the variance too
                        by_mean[first, y, x] += for_mean
                        by_mean[second, y, x] -= for_mean
                        by_variance[first, y, x] += by_rough * rough
                        by_variance[second, y, x] += by_rough * rough
                        by_energy[first, y, x] += by_dark * dark
                        by_energy[second, y, x] += by_dark * dark
                        before[x + WINDOW - 1] = by_rough
                    similarity += total
                    _sum_across(before, spread, y + WINDOW - 1)
                if with_gradient:
                    for y in range(height):
                        _mean_down(spread, y, down)
                        for x in range(width):
                            change = down[x] * (frames[first, y, x] - frames[second, y, x])
                            by_frame[first, y, x] -= change
                            by_frame[second, y, x] += change
        scores[plane] = similarity / windows
        if not with_gradient:
            continue

        for frame in range(count):
            for y in range(tall):
                for x in range(width):
                    before[x + WINDOW - 1] = by_variance[frame, y, x]
                _sum_across(before, spread, y + WINDOW - 1)
            for y in range(height):
                _mean_down(spread, y, down)
                for x in range(width):
                    by_frame[frame, y, x] += down[x] * frames[frame, y, x]
            for y in range(tall):
                for x in range(width):
                    before[x + WINDOW - 1] = (
                        by_mean[frame, y, x]
                        + by_energy[frame, y, x] * (mean[frame, y, x] + shift)
                        - by_variance[frame, y, x] * mean[frame, y, x]
                    )
                _sum_across(before, spread, y + WINDOW - 1)
            for y in range(height):
                _mean_down(spread, y, down)
                for x in range(width):
                    planes[plane, frame, y, x] = scale * (by_frame[frame, y, x] + down[x])


@njit(**OPTIONS)
def _sum_across(row: np.ndarray, sums: np.ndarray, y: int) -> None:
    """Sums of WINDOW neighbours in a row (W + WINDOW - 1,), to row y of `sums`."""
    for x in range(sums.shape[1]):
        total = row[x]
        for k in range(1, WINDOW):
            total += row[x + k]
        sums[y, x] = total


@njit(**OPTIONS)
def _mean_down(sums: np.ndarray, y: int, means: np.ndarray) -> None:
    """Means (W,) of the windows whose highest row is y."""
    for x in range(len(means)):
        total = sums[y, x]
        for k in range(1, WINDOW):
            total += sums[y + k, x]
        means[x] = total * sums.dtype.type(1 / WINDOW**2)
