"""Linear discriminant from pairs: the direction in which a fake differs from the real video that it was made from.

Real and fake videos of a data set come from different cameras, codecs and pages. A classifier that is trained to tell
the classes apart learns these differences too, and its zero moves with the source. Within a pair, nothing differs but
the forgery. The direction is therefore the mean difference within pairs, relative to how videos of one class differ.
Source of the classifier: Fisher, The use of multiple measurements in taxonomic problems, 1936, with a shrunk
covariance.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VideoFeatures:
    """Features of V videos."""

    features: np.ndarray
    """(V, F) float: mean over the windows of each video."""
    label: np.ndarray
    """(V,) int, 1 = fake."""
    real: np.ndarray
    """(V,) int: index of the real video that a fake was made from, under the same condition; -1: none."""
    condition: np.ndarray
    """(V,) str: the condition of each video."""
    group: np.ndarray
    """(V,) int: fakes of one generator and one source have the same number."""


@dataclass(frozen=True)
class Discriminant:
    """A linear classifier: logit(fake) - logit(real) = features @ weight + bias."""

    weight: np.ndarray
    """(F,) float64."""
    bias: float


def fit_discriminant(videos: VideoFeatures, shrinkage: float) -> Discriminant:
    """Fit the classifier in closed form.

    A fake whose real video is unknown is compared with the mean real video under its condition. Groups count with the
    square root of their size: a page that shows 16 fakes of one generator says more than one that shows one, but not
    16 times as much.

    Args:
        videos: the videos, with features of comparable scale. Both classes are needed.
        shrinkage: multiple of the mean variance that is added to every variance. More ignores correlations between
            features, and keeps weights small.
    """
    features, fake = videos.features, videos.label == 1
    real_mean, real_scatter = _moments(features[~fake])
    fake_mean, fake_scatter = _moments(features[fake])
    reference = np.empty_like(features)
    for condition in np.unique(videos.condition):
        part = videos.condition == condition
        reals = features[part & ~fake]
        reference[part] = reals.mean(axis=0) if len(reals) else real_mean
    paired = videos.real >= 0
    reference[paired] = features[videos.real[paired]]
    sizes = Counter(videos.group[fake].tolist())
    share = np.array([sizes[group] ** -0.5 for group in videos.group[fake].tolist()])
    difference = share @ (features - reference)[fake] / share.sum()
    scatter = (real_scatter + fake_scatter) / 2
    scatter += shrinkage * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
    weight = np.linalg.solve(scatter, difference)
    return Discriminant(weight, -float(weight @ (real_mean + fake_mean)) / 2)


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (F,) and the covariance (F, F) of features (V, F)."""
    mean = features.mean(axis=0)
    centred = features - mean
    return mean, centred.T @ centred / len(features)
