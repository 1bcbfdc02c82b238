"""From a score to a probability and a decision, as the validation videos have it."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from lipinc.errors import UserError

MAX_ERROR = 0.1
"""Outside of the uncertain band, at most this share of the validation fakes lies below it and of the reals above."""
MAX_LOG_SLOPE = 4.0
"""Largest logarithm of the logit's slope, for scores of unit deviation: separable videos would let it grow for ever."""


@dataclass(frozen=True)
class Calibration:
    """How to read the scores of one checkpoint. All in units of the score (mean of logit(fake) - logit(real))."""

    threshold: float = 0.0
    """A video counts as fake from this score on. Its fake probability is 0.5."""
    temperature: float = 1.0
    """The fake probability of a score is sigmoid((score - threshold) / temperature)."""
    uncertain: tuple[float, float] = (0.0, 0.0)
    """Strictly between these scores, with the threshold among them, the answer is `uncertain`."""

    def logit(self, score: np.ndarray | float) -> np.ndarray | float:
        """Scores of any shape, counted from the threshold, in units of the temperature."""
        return (score - self.threshold) / self.temperature

    def probability(self, score: np.ndarray | float) -> np.ndarray | float:
        """Fake probability in 0..1 of scores of any shape, at even odds of real and fake."""
        return expit(self.logit(score))


def calibrate(label: np.ndarray, score: np.ndarray) -> Calibration:
    """Fit a calibration to the validation videos: label [V] int (1 = fake), score [V].

    Threshold and temperature are those of the least cross-entropy, reals and fakes weighing the same whatever their
    numbers. The targets are (n + 1) / (n + 2) and 1 / (n + 2) for the n videos of a class, in place of 1 and 0: few
    videos that happen to be separable do not prove certainty. Source: Platt, Probabilistic outputs for support vector
    machines, 1999. A threshold of best accuracy would rest on the two or three videos next to it; this one rests on
    all. Raises UserError if a class is absent or a score is not finite.
    """
    from scipy.optimize import minimize  # half a second that only fitting needs

    if not np.isfinite(score).all():
        raise UserError("validation scores are not finite, so they cannot be calibrated; lower train.learning_rate")
    counts = np.bincount(label, minlength=2)
    if not counts.all():
        raise UserError("the validation split lacks reals or fakes, so no threshold can be chosen; enlarge it")
    target = np.array([1 / (counts[0] + 2), (counts[1] + 1) / (counts[1] + 2)])[label]
    weight = 1 / counts[label]
    middle, deviation = score.mean(), score.std() or 1.0
    standard = (score - middle) / deviation

    def loss(parameters: np.ndarray) -> float:
        logit = np.exp(parameters[0]) * (standard - parameters[1])
        return float(np.sum(weight * (np.logaddexp(0, logit) - target * logit)))

    found = minimize(loss, [0.0, 0.0], bounds=[(-MAX_LOG_SLOPE, MAX_LOG_SLOPE), (-3, 3)], method="L-BFGS-B").x
    threshold = float(middle + deviation * found[1])
    low = min(threshold, float(np.quantile(score[label == 1], MAX_ERROR, method="lower")))
    high = max(threshold, float(np.quantile(score[label == 0], 1 - MAX_ERROR, method="higher")))
    return Calibration(threshold, float(deviation / np.exp(found[0])), (low, high))
