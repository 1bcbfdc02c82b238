"""Paired metrics and differences: their values, intervals and p-values."""

import numpy as np
import pytest

from lipinc.comparison.paired import FALSE_POSITIVE_RATES, METRICS, Paired
from lipinc.evaluation.metrics import compute_metrics, roc_counts
from tests.comparison.made_up import records, scores
from tests.predicted import predictions

VIDEOS = records(20)
LABEL = [int(video.label) for video in VIDEOS]
PEOPLE = [video.identity for video in VIDEOS]


def paired(*values, thresholds=None, bootstrap=200) -> Paired:
    thresholds = np.array([1.0] * len(values) if thresholds is None else thresholds)
    decisions = np.where(np.array(values) >= thresholds[:, None], 1, -1)
    return Paired(predictions(LABEL, values[0], PEOPLE), np.array(values), decisions, thresholds, bootstrap, seed=0)


def test_metrics_and_intervals_are_those_of_an_evaluation():
    values = scores(VIDEOS, 1.5)
    found = paired(values, scores(VIDEOS, 1, seed=1))
    expected = compute_metrics(predictions(LABEL, values, PEOPLE), 1.0, bootstrap=200)
    for name in ("auc", "ap", "eer", "accuracy", "reals_accused", "decided"):
        one, other = found.metric(0, name), expected[name]
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


@pytest.mark.parametrize(("limit", "expected"), [(0, 0.5), (0.01, 0.5), (0.25, 0.75), (0.5, 1.0), (1, 1.0)])
def test_the_true_positive_rate_is_one_that_a_threshold_reaches(limit, expected):
    label, score = np.array([1, 1, 0, 1, 0, 1, 0, 0]), np.array([9, 8, 7, 6, 5, 4, 3, 2])
    assert roc_counts(label, score).tpr_at_fpr(limit) == expected


def test_differences_of_equal_detectors_are_nothing():
    values = scores(VIDEOS, 1)
    found = paired(values, 5 * values, thresholds=[1.0, 5.0])
    for name in METRICS:
        one = found.difference(0, 1, name)
        assert (one.interval.value, one.interval.low, one.interval.high, one.p) == (0, 0, 0, 1)


def test_a_better_detector_is_found_and_the_pairing_counts():
    """The same noise in both: their difference is known much better than either."""
    noise = scores(VIDEOS, 0)
    label = np.array(LABEL)
    found = paired(noise + 1.6 * label, noise + 1.2 * label)
    one = found.difference(0, 1, "auc")
    width = one.interval.high - one.interval.low
    alone = found.metric(0, "auc").high - found.metric(0, "auc").low
    assert one.interval.low > 0 and one.p == pytest.approx(2 / 201) and width < alone
    back = found.difference(1, 0, "auc")
    assert (back.interval.value, back.interval.low) == pytest.approx((-one.interval.value, -one.interval.high))


def test_the_people_are_the_unit_of_the_bootstrap():
    """Twenty copies of a person's videos tell no more than one."""
    values, others = scores(VIDEOS, 1), scores(VIDEOS, 1, seed=1)
    once = paired(values, others).difference(0, 1, "auc").interval
    copied = Paired(
        predictions(LABEL * 5, np.tile(values, 5), PEOPLE * 5),
        np.tile([values, others], 5),
        np.ones((2, 5 * len(LABEL)), dtype=int),
        np.array([1.0, 1.0]),
        200,
        seed=0,
    )
    several = copied.difference(0, 1, "auc").interval
    assert (several.low, several.high) == pytest.approx((once.low, once.high))


def test_without_a_threshold_nobody_is_accused():
    found = paired(scores(VIDEOS, 1), scores(VIDEOS, 1, seed=1), thresholds=[np.nan, 1.0])
    for name in ("accuracy", "reals_accused", "decided"):
        assert np.isnan(found.metric(0, name).value) and np.isfinite(found.metric(1, name).value)
        assert np.isnan(found.difference(0, 1, name).p)


def test_the_band_holds_the_curve():
    values = scores(VIDEOS, 1)
    low, high = paired(values, values).band(0)
    counts = roc_counts(np.array(LABEL), values)
    curve = [counts.tpr_at_fpr(rate) for rate in FALSE_POSITIVE_RATES]
    assert (low <= curve).all() and (curve <= high + 0.05).all()  # the band interpolates between points


def test_one_person_has_no_intervals():
    one = predictions([0, 1], [0.0, 1.0], ["ann", "ann"])
    found = Paired(one, np.array([[0.0, 1.0], [1.0, 0.0]]), np.ones((2, 2), int), np.zeros(2), 50, seed=0)
    assert (found.metric(0, "auc").value, found.metric(1, "auc").value) == (1, 0)
    assert np.isnan([found.metric(0, "auc").low, found.difference(0, 1, "auc").p, found.band(0)[0][0]]).all()
