"""Score calibration: fake probability, decision threshold and uncertain band, fitted to videos not trained on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import expit

from lipinc.errors import UserError
from lipinc.files.json_values import finite
from lipinc.models.condition_bands import ConditionBand, fit_bands, widest_band
from lipinc.video.error_rates import ErrorRates
from lipinc.video.quality import QUALITY_NAMES, outside_limits

MAX_ACCUSED = 0.03
"""Fraction of real people above the uncertain band, under each condition."""
MAX_MISSED = 0.05
"""Fraction of fakes below the uncertain band, under each condition."""
LIMITED = tuple(name for name in QUALITY_NAMES if name != "repeats")
"""Measures of input quality that have limits. Repeated frames have none: they are left out before anything is measured
(video/repeats.py)."""
OUTSIDE = 0.01
"""Fraction of the videos of the calibration that lie below the lower limit of a measure, and above the upper one."""
MIN_KNOWN = 100
"""Number of videos with a known value of a measure, for which it gets limits."""
FACE_HEIGHTS = (0.0, 100.0, 200.0, 400.0, float("inf"))
"""Bounds in px of the sizes of the face for which error rates are counted."""
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
    """Scores strictly between these two are classified as `uncertain`, where the quality is not known. The threshold
    lies in this band."""
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Measure of input quality (video/quality.py) -> its range in the videos of the calibration. A video outside is
    `uncertain`, whatever its score."""
    rates: tuple[ErrorRates, ...] = ()
    """Error rates by size of the face; empty if they were not measured."""
    bands: tuple[ConditionBand, ...] = ()
    """The band of each condition of the calibration; empty: `uncertain` is the band of all videos."""

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "Calibration":
        """Read the JSON values of `to_values`; those of earlier versions lack the later fields.

        Raises:
            ValueError, TypeError, KeyError: the values are invalid.
        """
        low, high = map(float, values["uncertain"])
        limits = {name: (float(low), float(high)) for name, (low, high) in values.get("limits", {}).items()}
        if unknown := sorted(limits.keys() - set(QUALITY_NAMES)):
            raise ValueError(f"{unknown[0]!r} is no measure of input quality")
        rates = tuple(map(ErrorRates.from_values, values.get("rates", ())))
        bands = tuple(map(ConditionBand.from_values, values.get("bands", ())))
        found = cls(float(values["threshold"]), float(values["temperature"]), (low, high), limits, rates, bands)
        if not (np.isfinite([found.threshold, low, high]).all() and 0 < found.temperature < np.inf):
            raise ValueError(f"{found} is not a valid calibration")
        return found

    def to_values(self) -> dict[str, Any]:
        """Return JSON values, in which a bound without a limit is null."""
        return finite(asdict(self))

    def logit(self, score: np.ndarray | float) -> np.ndarray | float:
        """Return calibrated logits, (score - threshold) / temperature, of scores of any shape."""
        return (score - self.threshold) / self.temperature

    def decide(self, score: np.ndarray | float, quality: np.ndarray | None = None) -> np.ndarray:
        """Return decisions on scores of any shape S, int: 1 = fake, 0 = uncertain, -1 = real.

        Args:
            score: (*S) float.
            quality: (*S, Q) float, in the order of QUALITY_NAMES; None: not measured.
        """
        low, high = self.uncertain if quality is None else self.band(quality)
        score = np.asarray(score)
        certain = np.where(score >= self.threshold, 1, -1)
        decision = np.where((low < score) & (score < high), 0, certain)
        return decision if quality is None else np.where(self.outside(quality).any(axis=-1), 0, decision)

    def band(self, quality: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the bounds (*S), (*S) of the uncertain band of videos of some quality (*S, Q)."""
        if self.bands:
            return widest_band(self.bands, quality)
        low, high = (np.full(np.shape(quality)[:-1], bound) for bound in self.uncertain)
        return low, high

    def of_video(self, quality: np.ndarray) -> "Calibration":
        """Return the calibration for one video, whose faces have some quality (F, Q): with one band, the widest of
        theirs."""
        low, high = self.band(quality)
        return replace(self, uncertain=(float(low.min()), float(high.max())), bands=())

    def outside(self, quality: np.ndarray) -> np.ndarray:
        """Return which measures (*S, Q) lie outside the limits: (*S, Q) bool. Unknown measures (nan) do not."""
        return outside_limits(quality, self.limits)

    def probability(self, score: np.ndarray | float) -> np.ndarray | float:
        """Return fake probabilities in 0..1 of scores of any shape, for equal priors of real and fake."""
        return expit(self.logit(score))


def calibrate(
    label: np.ndarray, score: np.ndarray, condition: np.ndarray | None = None, quality: np.ndarray | None = None
) -> Calibration:
    """Fit a calibration to videos that the detector was not trained on.

    Threshold and temperature minimise the class-balanced cross-entropy. Following Platt, the targets are
    (n + 1) / (n + 2) for fakes and 1 / (n + 2) for reals, with n videos in the class, instead of 1 and 0: a few
    separable videos do not prove certainty. The threshold of the best accuracy would depend on the two or three videos
    next to it; this one depends on all videos. Source: Platt, Probabilistic outputs for support vector machines, 1999.

    The uncertain band follows conformal prediction: a new real video lies above it with a probability of at most
    `MAX_ACCUSED`, a new fake below it with at most `MAX_MISSED`, if it is exchangeable with these videos and
    there are enough of them (33 reals, 19 fakes). With fewer, the limit is the most extreme one of them. Each condition
    has its own band, and a video the widest one of those that its quality does not rule out, because nobody says how it
    was treated (condition_bands.py). Source: Vovk, Gammerman, Shafer, Algorithmic learning in a random world, 2005.

    The limits of input quality are quantiles over all videos. Videos outside do not count for the band: they will not
    be decided on.

    Args:
        label: (V,) int, 1 = fake.
        score: (V,) float.
        condition: (V,) str, under which each video was scored; None: one condition.
        quality: (V, Q) float, in the order of QUALITY_NAMES; None: not measured.

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
    condition = np.full(len(label), "") if condition is None else condition
    limits, inside = {}, np.ones(len(label), dtype=bool)
    if quality is not None:
        limits = _limits(quality)
        inside = ~outside_limits(quality, limits).any(axis=1)
    uncertain = {}
    for name in np.unique(condition):
        part = inside & (condition == name)
        low = -_upper_limit(-score[part & (label == 1)], MAX_MISSED)
        high = _upper_limit(score[part & (label == 0)], MAX_ACCUSED)
        uncertain[name] = (min(threshold, low), max(threshold, high))
    bands = () if quality is None else fit_bands(quality[inside], condition[inside], uncertain)
    lows, highs = zip(*uncertain.values(), strict=True)
    return Calibration(
        threshold, float(deviation / np.exp(fitted[0])), (min(lows), max(highs)), limits=limits, bands=bands
    )


def count_errors(label: np.ndarray, decision: np.ndarray, face_height: np.ndarray) -> tuple[ErrorRates, ...]:
    """Count how often videos were decided wrongly, by size of the face.

    Args:
        label: (V,) int, 1 = fake.
        decision: (V,) int, as `Calibration.decide` returns, by detectors that were not trained on the video.
        face_height: (V,) float, in px.

    Returns:
        One entry for each range of FACE_HEIGHTS with real and fake videos.
    """
    found = []
    for low, high in pairwise(FACE_HEIGHTS):
        part = (low <= face_height) & (face_height < high)
        reals, fakes = decision[part & (label == 0)], decision[part & (label == 1)]
        if len(reals) and len(fakes):
            accused, missed = float(np.mean(reals == 1)), float(np.mean(fakes == -1))
            decided = float(np.mean(decision[part] != 0))
            found.append(ErrorRates((low, high), len(reals), len(fakes), accused, missed, decided))
    return tuple(found)


def _limits(quality: np.ndarray) -> dict[str, tuple[float, float]]:
    """The range of each measure, without the extreme videos."""
    limits = {}
    for name, values in zip(QUALITY_NAMES, quality.T, strict=True):
        known = values[np.isfinite(values)]
        if name in LIMITED and len(known) >= MIN_KNOWN:
            limits[name] = (float(np.quantile(known, OUTSIDE)), float(np.quantile(known, 1 - OUTSIDE)))
    return limits


def _upper_limit(scores: np.ndarray, rate: float) -> float:
    """The score that a further one exceeds with a probability of at most `rate`; -inf without scores."""
    if not len(scores):
        return -np.inf
    rank = min(len(scores), int(np.ceil((len(scores) + 1) * (1 - rate))))
    return float(np.nextafter(np.sort(scores)[rank - 1], np.inf))
