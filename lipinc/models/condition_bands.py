"""Uncertain bands by condition: what a video has been through shows in its input quality.

A score that decides on a camera's file decides nothing on the copy that a social network hands out. Nobody says which
of the two a video is, but its quality outside the faces rules some conditions out. A video has the widest band of the
conditions that remain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lipinc.video.quality import QUALITY_NAMES

MEASURES = ("face_height", "sharpness", "noise", "blockiness", "bits_per_pixel")
"""Measures of quality that tell conditions apart; those of time do not."""
LOGARITHMIC = {"face_height": 0.0, "noise": 0.05, "bits_per_pixel": 0.001}
"""Measures that differ by factors, and what is added before the logarithm."""
POSSIBLE = 0.1
"""A condition remains if the quality is at least this fraction as likely under it as under the likeliest condition."""
MIN_VIDEOS = 50
"""Number of videos with known quality that the density of a condition needs."""
RIDGE = 0.01
"""Fraction of each variance that is added to it."""


@dataclass(frozen=True)
class ConditionBand:
    """The band of one condition, and a normal distribution of the quality of its videos."""

    condition: str
    uncertain: tuple[float, float]
    """Scores strictly between these two are uncertain."""
    mean: tuple[float, ...]
    """(M,) of the MEASURES, some as logarithms."""
    covariance: tuple[tuple[float, ...], ...]
    """(M, M)."""

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "ConditionBand":
        """Read JSON values.

        Raises:
            ValueError, TypeError, KeyError: the values are invalid.
        """
        low, high = map(float, values["uncertain"])
        mean = tuple(map(float, values["mean"]))
        covariance = tuple(tuple(map(float, row)) for row in values["covariance"])
        if np.shape(mean) != (len(MEASURES),) or np.shape(covariance) != (len(MEASURES), len(MEASURES)):
            raise ValueError(f"the density of a condition needs {len(MEASURES)} measures")
        if not (np.isfinite([low, high, *mean]).all() and (np.linalg.eigvalsh(covariance) > 0).all()):
            raise ValueError("the density of a condition is not positive definite")
        return cls(str(values["condition"]), (low, high), mean, covariance)

    def log_density(self, measures: np.ndarray) -> np.ndarray:
        """Return the log density (V,) of measures (V, M), of those that are known (not nan), up to a constant."""
        mean, covariance = np.array(self.mean), np.array(self.covariance)
        density = np.zeros(len(measures))
        patterns, pattern = np.unique(np.isfinite(measures), axis=0, return_inverse=True)
        for number, known in enumerate(patterns):
            if known.any():
                videos = pattern.reshape(-1) == number
                part, centred = covariance[np.ix_(known, known)], measures[videos][:, known] - mean[known]
                distance = np.sum(centred * np.linalg.solve(part, centred.T).T, axis=1)
                density[videos] = -(distance + np.linalg.slogdet(part)[1]) / 2
        return density


def fit_bands(
    quality: np.ndarray, condition: np.ndarray, uncertain: Mapping[str, tuple[float, float]]
) -> tuple[ConditionBand, ...]:
    """Fit the densities of quality of several conditions.

    Args:
        quality: (V, Q) float, in the order of QUALITY_NAMES.
        condition: (V,) str.
        uncertain: condition -> its band.

    Returns:
        One band for each condition; none if there is only one condition, or one has too few videos of known quality.
    """
    measures = _measures(quality)
    complete = np.isfinite(measures).all(axis=1)
    parts = {name: measures[complete & (condition == name)] for name in uncertain}
    if len(parts) < 2 or min(map(len, parts.values())) < MIN_VIDEOS:
        return ()
    bands = []
    for name, part in parts.items():
        covariance = np.cov(part.T)
        covariance += RIDGE * np.diag(np.maximum(np.diag(covariance), 1e-6))
        low, high = map(float, uncertain[name])
        mean, rows = part.mean(axis=0).tolist(), covariance.tolist()
        bands.append(ConditionBand(str(name), (low, high), tuple(mean), tuple(map(tuple, rows))))
    return tuple(bands)


def widest_band(bands: Sequence[ConditionBand], quality: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds (*S), (*S) of the widest band of the conditions that the quality does not rule out.

    Args:
        bands: at least one.
        quality: (*S, Q) float, in the order of QUALITY_NAMES. Unknown measures (nan) rule nothing out.
    """
    shape = np.shape(quality)[:-1]
    measures = _measures(np.reshape(quality, (-1, np.shape(quality)[-1])))
    density = np.stack([band.log_density(measures) for band in bands])
    possible = density >= density.max(axis=0) + np.log(POSSIBLE)
    low, high = np.array([band.uncertain for band in bands]).T[:, :, None]
    return (
        np.where(possible, low, np.inf).min(axis=0).reshape(shape),
        np.where(possible, high, -np.inf).max(axis=0).reshape(shape),
    )


def _measures(quality: np.ndarray) -> np.ndarray:
    """Quality (V, Q) -> measures (V, M)."""
    columns = []
    for name in MEASURES:
        values = np.asarray(quality[:, QUALITY_NAMES.index(name)], dtype=float)
        columns.append(np.log(np.maximum(values, 0) + LOGARITHMIC[name] + 1e-9) if name in LOGARITHMIC else values)
    return np.stack(columns, axis=1)
