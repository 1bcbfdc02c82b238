"""DeLong's test against published values and against its definition."""

import numpy as np
import pytest

from lipinc.comparison.delong import auc_covariance, delong_test
from lipinc.evaluation.metrics import auc

OVARIAN_CANCER = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""
"""Albumin, total protein, K-G score and outcome of 43 patients: the example of DeLong, DeLong, Clarke-Pearson (1988),
as in SAS/STAT User's Guide, The LOGISTIC Procedure, "Comparing Receiver Operating Characteristic Curves"."""


def test_the_example_of_the_paper_has_the_values_of_sas():
    albumin, protein, kg, label = np.array(OVARIAN_CANCER.split(), dtype=float).reshape(-1, 4).T
    kg = 10 - kg
    areas, covariance = auc_covariance(label, np.stack([albumin, kg, protein]))
    assert areas.round(4).tolist() == [0.7366, 0.7258, 0.6478]
    assert np.sqrt(np.diag(covariance)).round(4).tolist() == [0.0927, 0.1028, 0.1000]
    found = delong_test(label, albumin, kg)
    assert (round(found.difference, 4), round(found.standard_error, 4)) == (0.0108, 0.0953)
    assert (round(found.z**2, 4), round(found.p, 4)) == (0.0127, 0.9102)
    found = delong_test(label, protein, kg)
    assert (round(found.difference, 4), round(found.standard_error, 4)) == (-0.0780, 0.1046)
    assert (round(found.z**2, 4), round(found.p, 4)) == (0.5554, 0.4561)


def test_it_is_the_covariance_of_the_u_statistic_with_ties():
    random = np.random.default_rng(0)
    label = (random.random(60) < 0.4).astype(int)
    scores = random.integers(0, 6, (3, 60)).astype(float) + label
    areas, covariance = auc_covariance(label, scores)
    fakes, reals = scores[:, label == 1], scores[:, label == 0]
    wins = (fakes[:, :, None] > reals[:, None]) + 0.5 * (fakes[:, :, None] == reals[:, None])
    expected = np.cov(wins.mean(axis=2)) / fakes.shape[1] + np.cov(wins.mean(axis=1)) / reals.shape[1]
    np.testing.assert_allclose(covariance, expected, rtol=1e-9)
    np.testing.assert_allclose(areas, [auc(label, one) for one in scores])


def test_detectors_that_rank_alike_do_not_differ():
    label, score = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.3, 0.9])
    assert delong_test(label, score, 10 * score).p == 1


@pytest.mark.parametrize("label", [[1, 1, 1], [0, 1, 1]])
def test_without_two_videos_of_each_class_there_is_no_test(label):
    assert np.isnan(delong_test(np.array(label), np.arange(3.0), np.arange(3.0)[::-1]).p)
