"""Bands by condition: the quality of a video says which conditions it may have been through."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from lipinc.models.calibration import MAX_ACCUSED, Calibration, calibrate
from lipinc.models.condition_bands import MEASURES, ConditionBand, fit_bands, widest_band
from lipinc.video.quality import QUALITY_NAMES

BANDS = {"raw": (-1.0, 1.0), "social": (-3.0, 5.0)}


def quality(count: int, *, heavy: bool, seed: int = 0) -> np.ndarray:
    """Quality of videos from cameras, or of heavily compressed small copies of them."""
    rng = np.random.default_rng((seed, heavy))
    values = {
        "face_height": 400 * np.exp(rng.normal(scale=0.4, size=count)) * (0.4 if heavy else 1),
        "sharpness": rng.normal(-3, 0.5, count) - heavy,
        "noise": 0.4 * np.exp(rng.normal(scale=0.5, size=count)) * (0.3 if heavy else 1),
        "blockiness": rng.normal(0.05, 0.02, count) + 0.1 * heavy,
        "frame_rate": np.full(count, 25.0),
        "bits_per_pixel": 0.1 * np.exp(rng.normal(scale=0.5, size=count)) * (0.2 if heavy else 1),
        "repeats": np.zeros(count),
    }
    return np.stack([values[name] for name in QUALITY_NAMES], axis=1)


@pytest.fixture(scope="module")
def bands() -> tuple[ConditionBand, ...]:
    both = np.concatenate([quality(200, heavy=False), quality(200, heavy=True)])
    return fit_bands(both, np.repeat(["raw", "social"], 200), BANDS)


def test_a_video_has_the_widest_band_that_its_quality_allows(bands):
    low, high = widest_band(bands, quality(300, heavy=False, seed=1))
    assert np.mean((low == -1) & (high == 1)) > 0.9  # not compressed: only the band of raw videos
    low, high = widest_band(bands, quality(300, heavy=True, seed=1))
    assert np.mean((low == -3) & (high == 5)) > 0.95
    between = np.median([quality(200, heavy=one) for one in (False, True)], axis=1).mean(axis=0)
    between[QUALITY_NAMES.index("bits_per_pixel")], between[QUALITY_NAMES.index("noise")] = 0.045, 0.22
    assert [bound.item() for bound in widest_band(bands, between)] == [-3, 5]


def test_unknown_measures_rule_nothing_out(bands):
    unknown = np.full((2, len(QUALITY_NAMES)), np.nan)
    assert [bound.tolist() for bound in widest_band(bands, unknown)] == [[-3, -3], [5, 5]]
    sharp = unknown.copy()
    sharp[:, QUALITY_NAMES.index("bits_per_pixel")] = 0.4
    assert [bound.tolist() for bound in widest_band(bands, sharp)] == [[-1, -1], [1, 1]]


@pytest.mark.parametrize("known", [range(5), (0,), (1, 4)])
def test_the_density_is_that_of_a_normal_distribution(bands, known):
    rng = np.random.default_rng(0)
    measures = rng.normal(size=(7, len(MEASURES)))
    hidden = [i for i in range(len(MEASURES)) if i not in known]
    measures[:, hidden] = np.nan
    known = list(known)
    covariance = np.array(bands[0].covariance)[np.ix_(known, known)]
    reference = multivariate_normal(np.array(bands[0].mean)[known], covariance).logpdf(measures[:, known])
    found = bands[0].log_density(measures) - len(known) / 2 * np.log(2 * np.pi)
    np.testing.assert_allclose(found, np.atleast_1d(reference))


def test_one_condition_or_few_videos_have_no_bands():
    assert fit_bands(quality(99, heavy=False), np.full(99, "raw"), {"raw": (0.0, 1.0)}) == ()
    few = np.concatenate([quality(200, heavy=False), quality(20, heavy=True)])
    assert fit_bands(few, np.repeat(["raw", "social"], [200, 20]), BANDS) == ()


def test_a_measure_without_spread_is_no_problem():
    both = np.concatenate([quality(100, heavy=False), quality(100, heavy=True)])
    both[:, QUALITY_NAMES.index("noise")] = 1.0
    found = fit_bands(both, np.repeat(["raw", "social"], 100), BANDS)
    assert np.isfinite(widest_band(found, both)).all()


def scores(seed: int, count: int, *, heavy: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores and quality of videos; scores of heavily compressed ones say little."""
    rng = np.random.default_rng((seed, heavy, 7))
    label = np.repeat([0, 1], count)
    score = rng.normal(size=2 * count) * (3 if heavy else 1) + np.where(label == 1, 2, -2)
    return label, score, quality(2 * count, heavy=heavy, seed=seed)


def fitted(seed: int = 0) -> Calibration:
    label, score, measured = map(
        np.concatenate, zip(*(scores(seed, 200, heavy=one) for one in (False, True)), strict=True)
    )
    return calibrate(label, score, np.repeat(["raw", "social"], 400), measured)


def test_good_videos_are_decided_though_bad_ones_are_not():
    calibration = fitted()
    decided, accused = {}, {}
    for heavy in (False, True):
        label, score, measured = scores(99, 2000, heavy=heavy)
        decision = calibration.decide(score, measured)
        decided[heavy], accused[heavy] = np.mean(decision != 0), np.mean(decision[label == 0] == 1)
    assert decided[False] > 0.85 and decided[True] < 0.6
    assert max(accused.values()) < 2 * MAX_ACCUSED
    label, score, _ = scores(99, 2000, heavy=False)
    assert np.mean(calibration.decide(score) != 0) < 0.2  # by the worst condition, if the quality is unknown


def test_a_video_has_one_band_for_all_its_faces():
    calibration = fitted()
    raw, social = quality(1, heavy=False), quality(1, heavy=True)
    low, high = calibration.band(np.concatenate([raw, social]))
    assert low[1] < low[0] and high[0] < high[1]
    assert calibration.of_video(raw).uncertain == (low[0], high[0])
    both = calibration.of_video(np.concatenate([raw, social]))
    assert both.uncertain == (low[1], high[1]) == calibration.uncertain and not both.bands
    score = (high[0] + high[1]) / 2
    assert calibration.of_video(raw).decide(score) == 1 and both.decide(score) == 0


def test_bands_are_read_again_and_damaged_ones_are_refused(bands):
    calibration = fitted()
    values = json.loads(json.dumps(calibration.to_values(), allow_nan=False))
    assert Calibration.from_values(values) == calibration
    good = json.loads(json.dumps(asdict(bands[0])))
    for wrong in (
        {"mean": [0, 1]},
        {"covariance": np.zeros((5, 5)).tolist()},
        {"uncertain": [0]},
        {"uncertain": [0, "nan"]},
        {"covariance": None},
    ):
        with pytest.raises((ValueError, TypeError)):
            ConditionBand.from_values({**good, **wrong})
