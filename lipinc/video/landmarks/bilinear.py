"""Bilinear interpolation as in MediaPipe's operation TransformTensorBilinear, in numpy and compiled by numba.

Its C++ code has `1.0 - x`, a double, so one product of each sum is a double and the other one a float. The compiled
version takes a tenth of the time, but loading numba takes as long as it saves on COMPILE_AFTER calls: a process begins
with numpy.
"""

import functools
import itertools
from collections.abc import Callable

import numpy as np

COMPILE_AFTER = 2000
"""Calls of a process by numpy."""

_calls = itertools.count()


def transform_tensor_bilinear(features: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The features at some positions, 0 beyond the feature map.

    Args:
        features: (H, W, C) float32, contiguous.
        x, y: (P,) float32: positions in px of the feature map.

    Returns:
        (P, C) float32.
    """
    return (_sample if next(_calls) < COMPILE_AFTER else _compiled())(features, x, y)


def _sample(features: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    height, width, channels = features.shape
    outside = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    any_outside = outside.any()
    if any_outside:
        x, y = np.where(outside, np.float32(0), x), np.where(outside, np.float32(0), y)
    column, row = np.floor(x), np.floor(y)
    right_weight, low_weight = (x - column)[:, None], (y - row)[:, None]
    # The one at the far end has no neighbour; its weight is 0.
    right, below = np.where(column < width - 1, 1, 0), np.where(row < height - 1, width, 0)
    place = (row * width + column).astype(np.intp)
    cells = features.reshape(-1, channels)
    left_weight, high_weight = 1 - right_weight.astype(np.float64), 1 - low_weight.astype(np.float64)
    high = (left_weight * cells[place] + right_weight * cells[place + right]).astype(np.float32)
    low = (left_weight * cells[place + below] + right_weight * cells[place + below + right]).astype(np.float32)
    sampled = (high_weight * high + low_weight * low).astype(np.float32)
    if any_outside:
        sampled[outside] = 0
    return sampled


@functools.cache
def _compiled() -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    from numba import njit

    return njit(cache=True, nogil=True, error_model="numpy")(_sample_in_loops)


def _sample_in_loops(features: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    height, width, channels = features.shape
    sampled = np.zeros((len(x), channels), np.float32)
    for place in range(len(x)):
        if x[place] < 0 or x[place] > width - 1 or y[place] < 0 or y[place] > height - 1:
            continue
        column, row = int(x[place]), int(y[place])
        right, below = min(column + 1, width - 1), min(row + 1, height - 1)
        right_weight, low_weight = x[place] - np.float32(column), y[place] - np.float32(row)
        left_weight, high_weight = 1 - np.float64(right_weight), 1 - np.float64(low_weight)
        for channel in range(channels):
            high = np.float32(
                left_weight * features[row, column, channel] + right_weight * features[row, right, channel]
            )
            low = np.float32(
                left_weight * features[below, column, channel] + right_weight * features[below, right, channel]
            )
            sampled[place, channel] = np.float32(high_weight * high + low_weight * low)
    return sampled
