import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from lipinc.errors import UserError
from lipinc.models.calibration import MAX_ACCUSED, MAX_MISSED, Calibration, ErrorRates, calibrate, count_errors
from lipinc.video.quality import QUALITY_NAMES


def scores(reals: int, fakes: int, *, shift: float = 0.0, scale: float = 1.0, seed: int = 0):
    """Logits that tell the truth at even odds: class means -1 and 1 of unit-variance normals, times 2."""
    rng = np.random.default_rng(seed)
    label = np.repeat([0, 1], [reals, fakes])
    return label, shift + scale * 2 * (rng.normal(size=len(label)) + 2 * label - 1)


def test_known_logits_are_found_again() -> None:
    calibration = calibrate(*scores(4000, 4000, shift=3.0, scale=5.0))
    assert calibration.threshold == pytest.approx(3.0, abs=0.3)
    assert calibration.temperature == pytest.approx(5.0, rel=0.06)
    assert calibration.probability(calibration.threshold) == 0.5


def test_it_is_platts_logistic_regression_with_balanced_classes() -> None:
    label, score = scores(300, 40, shift=-2.0)
    calibration = calibrate(label, score)
    # A target t is a video of weight t of one class and 1 - t of the other.
    counts = np.bincount(label)
    target = np.where(label == 1, (counts[1] + 1) / (counts[1] + 2), 1 / (counts[0] + 2))
    weight = np.concatenate([target, 1 - target]) / np.concatenate([counts[label]] * 2)
    fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    fit.fit(np.concatenate([score, score])[:, None], np.repeat([1, 0], len(label)), sample_weight=100 * weight)
    assert calibration.threshold == pytest.approx(-fit.intercept_[0] / fit.coef_[0, 0], abs=1e-2)
    assert calibration.temperature == pytest.approx(1 / fit.coef_[0, 0], rel=1e-2)


def test_more_fakes_than_reals_do_not_make_a_video_more_likely_fake() -> None:
    label, score = scores(500, 500)
    reals, fakes = score[label == 0], score[label == 1]
    many = calibrate(np.repeat([0, 1], [500, 5000]), np.concatenate([reals, np.repeat(fakes, 10)]))
    assert many.threshold == pytest.approx(calibrate(label, score).threshold, abs=0.05)


def test_separable_videos_do_not_prove_certainty() -> None:
    label, score = np.array([0, 0, 0, 1, 1, 1]), np.array([-3.0, -2.5, -2.0, 2.0, 2.5, 3.0])
    calibration = calibrate(label, score)
    assert -2 < calibration.threshold < 2
    assert np.all(calibration.probability(score[label == 1]) < 0.9)
    assert calibration.uncertain == (calibration.threshold, calibration.threshold)


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 2**32 - 1), st.floats(-50, 50), st.floats(0.01, 100))
@settings(deadline=None)
def test_errors_beyond_the_uncertain_band_are_few(reals, fakes, seed, shift, scale) -> None:
    label, score = scores(reals, fakes, shift=shift, scale=scale, seed=seed)
    calibration = calibrate(label, score)
    low, high = calibration.uncertain
    assert low <= calibration.threshold <= high
    assert np.mean(score[label == 1] < low) <= MAX_MISSED and np.mean(score[label == 0] > high) <= MAX_ACCUSED
    assert calibration.temperature > 0
    assert np.all(np.diff(calibration.probability(np.sort(score))) >= 0)


def test_few_of_new_real_people_are_accused() -> None:
    accused, missed = [], []
    for seed in range(60):
        calibration = calibrate(*scores(100, 100, seed=seed))
        label, score = scores(2000, 2000, seed=1000 + seed)
        decision = calibration.decide(score)
        accused.append(np.mean(decision[label == 0] == 1))
        missed.append(np.mean(decision[label == 1] == -1))
    assert np.mean(accused) < 1.2 * MAX_ACCUSED and np.mean(missed) < 1.2 * MAX_MISSED  # on average
    assert np.mean(accused) > 0.2 * MAX_ACCUSED  # no more cautious than that


def test_without_quality_the_band_is_that_of_the_worst_condition() -> None:
    label, score = scores(200, 200)
    both = np.concatenate([score, score - 6])  # as if half size moved all scores towards real
    condition = np.repeat(["raw", "half"], len(label))
    calibration = calibrate(np.concatenate([label, label]), both, condition)
    raw, half = calibrate(label, score), calibrate(label, score - 6)
    assert calibration.uncertain == (min(half.uncertain[0], calibration.threshold), raw.uncertain[1])


def test_decisions() -> None:
    calibration = Calibration(1.0, 1.0, (0.0, 2.0))
    assert calibration.decide(np.array([-1.0, 0.0, 0.5, 1.5, 2.0, 3.0])).tolist() == [-1, -1, 0, 0, 1, 1]
    assert calibration.decide(5.0) == 1


def test_scores_that_tell_nothing() -> None:
    flat = calibrate(np.array([0, 1, 1]), np.array([2.0, 2.0, 2.0]))
    assert flat.threshold == pytest.approx(2.0, abs=3) and np.isfinite(flat.probability(2.0))
    upside_down = calibrate(np.array([0, 0, 1, 1]), np.array([3.0, 2.0, -2.0, -3.0]))
    assert upside_down.temperature > 0 and 0.4 < upside_down.probability(3.0) < 0.6


@pytest.mark.parametrize(("label", "score"), [([1, 1], [0.0, 1.0]), ([0, 1], [0.0, np.nan])])
def test_what_cannot_be_calibrated_is_an_error(label, score) -> None:
    with pytest.raises(UserError):
        calibrate(np.array(label), np.array(score))


def test_uncalibrated_scores_are_plain_logits() -> None:
    assert Calibration().probability(np.array([0.0, 2.0])) == pytest.approx([0.5, 1 / (1 + np.exp(-2.0))])


def measured(count: int, **values) -> np.ndarray:
    """Input quality of videos: the given measures, the others unknown."""
    quality = np.full((count, len(QUALITY_NAMES)), np.nan)
    for name, value in values.items():
        quality[:, QUALITY_NAMES.index(name)] = value
    return quality


def test_a_video_outside_the_known_quality_is_uncertain_whatever_its_score() -> None:
    label, score = scores(300, 300)
    calibration = calibrate(label, score, quality=measured(600, sharpness=np.linspace(-6, -2, 600), repeats=0.5))
    low, high = calibration.limits["sharpness"]
    assert (low, high) == pytest.approx((-5.96, -2.04), abs=0.01)
    assert set(calibration.limits) == {"sharpness"}  # the others are unknown, and repeats have no limit
    certain = np.array([100.0, -100.0])
    assert calibration.decide(certain, measured(2, sharpness=-4.0)).tolist() == [1, -1]
    assert calibration.decide(certain, measured(2, sharpness=-7.0)).tolist() == [0, 0]
    assert calibration.decide(certain, measured(2, sharpness=np.nan)).tolist() == [1, -1]
    assert calibration.decide(certain).tolist() == [1, -1]
    outside = calibration.outside(measured(1, sharpness=-7.0, face_height=1.0)[0])
    assert [name for name, out in zip(QUALITY_NAMES, outside, strict=True) if out] == ["sharpness"]


def test_videos_outside_do_not_widen_the_band() -> None:
    label, score = scores(400, 400)
    blurred = np.concatenate([score, np.full(4, 50.0)])  # four blurred reals, scored as surely fake
    sharpness = np.concatenate([np.full(800, -3.0), np.full(4, -9.0)])
    labels = np.concatenate([label, np.zeros(4, dtype=int)])
    with_limits = calibrate(labels, blurred, quality=measured(804, sharpness=sharpness))
    assert with_limits.uncertain[1] < calibrate(labels, blurred).uncertain[1]


def test_a_measure_that_is_known_of_few_videos_has_no_limits() -> None:
    label, score = scores(40, 40)
    assert calibrate(label, score, quality=measured(80, noise=1.0)).limits == {}


def test_errors_are_counted_by_the_size_of_the_face() -> None:
    height = np.array([50, 50, 50, 50, 150, 150, 300, 300, 999.0, np.nan])
    label = np.array([0, 0, 1, 1, 0, 1, 0, 0, 1, 0])
    decision = np.array([1, -1, 1, -1, 0, 1, 1, 1, 1, 1])
    rates = count_errors(label, decision, height)
    assert rates == (
        ErrorRates((0, 100), 2, 2, 0.5, 0.5, 1.0),
        ErrorRates((100, 200), 1, 1, 0.0, 0.0, 0.5),
    )  # larger faces are real or fake only


def test_values_are_read_again_and_older_ones_too() -> None:
    full = Calibration(0.5, 2.0, (0.0, 1.0), {"noise": (0.0, 2.0)}, (ErrorRates((0, np.inf), 2, 2, 0.5, 0.5, 1.0),))
    assert Calibration.from_values(json.loads(json.dumps(full.to_values(), allow_nan=False))) == full
    assert Calibration.from_values({"threshold": 1, "temperature": 2, "uncertain": [0, 1]}) == Calibration(1, 2, (0, 1))
    for wrong in ({"limits": {"beauty": [0, 1]}}, {"temperature": 0}, {"limits": {"noise": [1]}}, {"rates": [{}]}):
        with pytest.raises((ValueError, TypeError, KeyError)):
            Calibration.from_values({**full.to_values(), **wrong})
