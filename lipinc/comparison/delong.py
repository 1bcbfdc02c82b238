"""DeLong's test: compares the AUC of detectors on the same videos, which it takes to be independent of each other."""

import math
from typing import NamedTuple

import numpy as np


class DeLong(NamedTuple):
    """The difference of two AUC, its standard error, and the two-sided test of no difference."""

    difference: float
    standard_error: float
    z: float
    p: float
    """nan if the standard error is 0 and the difference is not."""


def auc_covariance(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the AUC of D detectors on V videos, and their covariance.

    The areas are counted with midranks, in O(V log V). Sources: DeLong, DeLong, Clarke-Pearson, Biometrics 44, 1988;
    Sun, Xu, IEEE Signal Processing Letters 21, 2014.

    Args:
        labels: (V,), 1 = fake.
        scores: (D, V) float, without nan.

    Returns:
        The areas (D,) and their covariance (D, D); the covariance is nan with fewer than two videos of a class.
    """
    from scipy.stats import rankdata  # slow to import

    scores = np.asarray(scores, dtype=np.float64)
    fakes, reals = scores[:, labels == 1], scores[:, labels != 1]
    m, n = fakes.shape[1], reals.shape[1]
    if not m or not n:
        return np.full(len(scores), np.nan), np.full((len(scores), len(scores)), np.nan)
    ranks = rankdata(np.concatenate([fakes, reals], axis=1), axis=1)
    # Per fake, the fraction of reals below it; per real, the fraction of fakes above it.
    above = (ranks[:, :m] - rankdata(fakes, axis=1)) / n
    below = 1 - (ranks[:, m:] - rankdata(reals, axis=1)) / m
    if min(m, n) < 2:
        return above.mean(axis=1), np.full((len(scores), len(scores)), np.nan)
    return above.mean(axis=1), np.atleast_2d(np.cov(above) / m + np.cov(below) / n)


def delong_test(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> DeLong:
    """Test whether two detectors have the same AUC.

    Args:
        labels: (V,), 1 = fake.
        first: (V,) scores of the first detector.
        second: (V,) scores of the second one.
    """
    areas, covariance = auc_covariance(labels, np.stack([first, second]))
    difference = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    error = math.sqrt(max(variance, 0.0)) if not math.isnan(variance) else math.nan
    if error < 1e-12:  # rounding of detectors that rank alike
        return DeLong(difference, 0.0, math.nan, 1.0 if abs(difference) < 1e-12 else math.nan)
    z = difference / error
    return DeLong(difference, error, z, math.erfc(abs(z) / math.sqrt(2)))
