"""Linear discriminant from pairs: the direction in which a fake differs from the real video that it was made from.

Real and fake videos of a data set come from different cameras, codecs and pages. A classifier that is trained to tell
the classes apart learns these differences too, and its zero moves with the source. Within a pair, nothing differs but
the forgery. The direction is therefore the mean difference within pairs, relative to how videos of one class differ.

A covariance of dozens of correlated features, from a few hundred videos, has directions in which they hardly differ by
chance; on other sources they do. The direction is therefore the mean over many random subsets of the features, in each
of which few such directions are left. It is still one weight per feature.

Sources: Fisher, The use of multiple measurements in taxonomic problems, 1936, with a shrunk covariance; Ho, The random
subspace method for constructing decision forests, 1998.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

SUBSETS = 200
"""Random subsets of the features over which a direction is averaged; with 60, other draws change the AUC by 0.005."""


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
    within: np.ndarray
    """(F, F) float: covariance of the windows of a video around its mean, over all videos."""


@dataclass(frozen=True)
class Discriminant:
    """A linear classifier: logit(fake) - logit(real) = features @ weight + bias."""

    weight: np.ndarray
    """(F,) float64."""
    bias: float


def fit_discriminant(videos: VideoFeatures, shrinkage: float, share: float = 1.0) -> Discriminant:
    """Fit the classifier of whole videos in closed form.

    Args:
        videos: the videos, with features of comparable scale. Both classes are needed.
        shrinkage: multiple of the mean variance that is added to every variance. More ignores correlations between
            features, and keeps weights small.
        share: fraction of the features in a random subset, 0..1; 1: all of them, once.
    """
    fake = videos.label == 1
    real_mean, real_scatter = _moments(videos.features[~fake])
    fake_mean, fake_scatter = _moments(videos.features[fake])
    weight = _direction(_difference(videos), (real_scatter + fake_scatter) / 2, shrinkage, share)
    return Discriminant(weight, -float(weight @ (real_mean + fake_mean)) / 2)


def fit_contrast(videos: VideoFeatures, shrinkage: float, share: float = 1.0) -> np.ndarray:
    """Fit the weights (F,) float64 by which windows of the same video are compared. The arguments are those of
    `fit_discriminant`.

    The direction is relative to how the windows of one video scatter, not to how videos differ: what differs between
    cameras is the same in all windows of a video. In units of this scatter, `features @ weight` has a variance of 1
    within a video. 0 if no video has several windows.
    """
    if not videos.within.any():
        return np.zeros(len(videos.within))
    weight = _direction(_difference(videos), videos.within, shrinkage, share)
    return weight / np.sqrt(weight @ videos.within @ weight)


def _direction(difference: np.ndarray, scatter: np.ndarray, shrinkage: float, share: float) -> np.ndarray:
    """The direction (F,) of a difference (F,) relative to a scatter (F, F): the mean over subsets of the features."""
    if share == 1:
        return _solve(difference, scatter, shrinkage)
    size = len(difference)
    random = np.random.default_rng(0)  # the same subsets in every fit
    count = max(1, round(share * size))
    weight = np.zeros(size)
    for _ in range(SUBSETS):
        subset = random.permutation(size)[:count]
        part = np.ix_(subset, subset)
        weight[subset] += _solve(difference[subset], scatter[part], shrinkage)
    # In the scale of a discriminant: the squared distance between the classes is their distance along the direction.
    return weight * (weight @ difference) / (weight @ scatter @ weight)


def _solve(difference: np.ndarray, scatter: np.ndarray, shrinkage: float) -> np.ndarray:
    ridge = shrinkage * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
    return np.linalg.solve(scatter + ridge, difference)


def _difference(videos: VideoFeatures) -> np.ndarray:
    """The mean difference (F,) of a fake from its real video.

    A fake whose real video is unknown is compared with the mean real video under its condition. Groups count with the
    square root of their size: a page that shows 16 fakes of one generator says more than one that shows one, but not
    16 times as much.
    """
    features, fake = videos.features, videos.label == 1
    reference = np.empty_like(features)
    for condition in np.unique(videos.condition):
        part = videos.condition == condition
        reals = features[part & ~fake]
        reference[part] = (reals if len(reals) else features[~fake]).mean(axis=0)
    paired = videos.real >= 0
    reference[paired] = features[videos.real[paired]]
    sizes = Counter(videos.group[fake].tolist())
    share = np.array([sizes[group] ** -0.5 for group in videos.group[fake].tolist()])
    return share @ (features - reference)[fake] / share.sum()


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (F,) and the covariance (F, F) of features (V, F)."""
    mean = features.mean(axis=0)
    centred = features - mean
    return mean, centred.T @ centred / len(features)
