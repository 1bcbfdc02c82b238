"""Score calibration: fake probability, decision threshold and uncertain band, fitted to videos not trained on."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from lipinc.errors import UserError

MAX_ACCUSED = 0.03
"""Fraction of real people above the uncertain band, under the condition where they are most."""
MAX_MISSED = 0.05
"""Fraction of fakes below the uncertain band, under the condition where they are most."""
MAX_LOG_SLOPE = 4.0
"""Upper bound on the log-slope of the logit for standardised scores; the slope diverges on separable data."""


@dataclass(frozen=True)
class Calibration:
    """Calibration of one checkpoint, in units of its score (mean of logit(fake) - logit(real))."""

    threshold: float = 0.0
    """Videos with a score of at least this are classified as fake. Its fake probability is 0.5."""
    temperature: float = 1.0
    """The fake probability of a score is sigmoid((score - threshold) / temperature)."""
    uncertain: tuple[float, float] = (0.0, 0.0)
    """Scores strictly between these two are classified as `uncertain`. The threshold lies in this band."""

    def logit(self, score: np.ndarray | float) -> np.ndarray | float:
        """Return calibrated logits, (score - threshold) / temperature, of scores of any shape."""
        return (score - self.threshold) / self.temperature

    def decide(self, score: np.ndarray | float) -> np.ndarray:
        """Return decisions on scores of any shape, int: 1 = fake, 0 = uncertain, -1 = real."""
        low, high = self.uncertain
        score = np.asarray(score)
        certain = np.where(score >= self.threshold, 1, -1)
        return np.where((low < score) & (score < high), 0, certain)

    def probability(self, score: np.ndarray | float) -> np.ndarray | float:
        """Return fake probabilities in 0..1 of scores of any shape, for equal priors of real and fake."""
        return expit(self.logit(score))


def calibrate(label: np.ndarray, score: np.ndarray, condition: np.ndarray | None = None) -> Calibration:
    """Fit a calibration to videos that the detector was not trained on.

    Threshold and temperature minimise the class-balanced cross-entropy. Following Platt, the targets are
    (n + 1) / (n + 2) for fakes and 1 / (n + 2) for reals, with n videos in the class, instead of 1 and 0: a few
    separable videos do not prove certainty. The threshold of the best accuracy would depend on the two or three videos
    next to it; this one depends on all videos. Source: Platt, Probabilistic outputs for support vector machines, 1999.

    The uncertain band follows conformal prediction: a new real video lies above it with a probability of at most
    `MAX_ACCUSED`, a new fake below it with at most `MAX_MISSED`, if it is exchangeable with these videos and
    there are enough of them (33 reals, 19 fakes). With fewer, the limit is the most extreme one of them. The band is
    that of the worst condition, because nobody says how a video was treated. Source: Vovk, Gammerman, Shafer,
    Algorithmic learning in a random world, 2005.

    Args:
        label: (V,) int, 1 = fake.
        score: (V,) float.
        condition: (V,) str, under which each video was scored; None: one condition.

    Raises:
        UserError: a class is missing, or a score is not finite.
    """
    from scipy.optimize import minimize  # slow to import (0.5 s), and needed for fitting only

    if not np.isfinite(score).all():
        raise UserError("validation scores are not finite, so they cannot be calibrated; lower train.learning_rate")
    counts = np.bincount(label, minlength=2)
    if not counts.all():
        raise UserError("the validation split has no reals or no fakes, so no threshold can be chosen; enlarge it")
    target = np.array([1 / (counts[0] + 2), (counts[1] + 1) / (counts[1] + 2)])[label]
    weight = 1 / counts[label]
    mean, deviation = score.mean(), score.std() or 1.0
    standardised = (score - mean) / deviation

    def loss(parameters: np.ndarray) -> float:
        logit = np.exp(parameters[0]) * (standardised - parameters[1])
        return float(np.sum(weight * (np.logaddexp(0, logit) - target * logit)))

    fitted = minimize(loss, [0.0, 0.0], bounds=[(-MAX_LOG_SLOPE, MAX_LOG_SLOPE), (-3, 3)], method="L-BFGS-B").x
    threshold = float(mean + deviation * fitted[1])
    condition = np.zeros(len(label)) if condition is None else condition
    parts = [condition == one for one in np.unique(condition)]
    high = max([threshold, *(_upper_limit(score[part & (label == 0)], MAX_ACCUSED) for part in parts)])
    low = min([threshold, *(-_upper_limit(-score[part & (label == 1)], MAX_MISSED) for part in parts)])
    return Calibration(threshold, float(deviation / np.exp(fitted[0])), (low, high))


def _upper_limit(scores: np.ndarray, rate: float) -> float:
    """The score that a further one exceeds with a probability of at most `rate`; -inf without scores."""
    if not len(scores):
        return -np.inf
    rank = min(len(scores), int(np.ceil((len(scores) + 1) * (1 - rate))))
    return float(np.nextafter(np.sort(scores)[rank - 1], np.inf))
