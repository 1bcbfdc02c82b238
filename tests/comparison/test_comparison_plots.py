"""Plots of a comparison: what is drawn of scores that no axis can hold."""

import numpy as np
import pytest

from lipinc.comparison.comparison import Comparison
from lipinc.comparison.plots import plot_score_distributions
from tests.comparison.made_up import detector, records, scores, write_scores

VIDEOS = records()


@pytest.mark.parametrize("extreme", [(1.7e308, -1.7e308), (np.inf, -np.inf), (5e-324, 0.0)])
def test_extreme_scores_are_drawn(tmp_path, extreme):
    values = scores(VIDEOS, 1)
    values[:2] = extreme
    one = detector(write_scores(tmp_path / "a.csv", VIDEOS, values), VIDEOS)
    plot_score_distributions(Comparison([one, one], VIDEOS, bootstrap=1), tmp_path / "scores.png", "")
    assert (tmp_path / "scores.png").stat().st_size > 5000


def test_detectors_have_axes_of_their_own(tmp_path, monkeypatch):
    """Logits beside percentages, in several rows of panels."""
    drawn = []
    monkeypatch.setattr("lipinc.comparison.plots.save_figure", lambda figure, *_: drawn.append(figure))
    logits = detector(write_scores(tmp_path / "a.csv", VIDEOS, scores(VIDEOS, 1)), VIDEOS)
    percent = detector(write_scores(tmp_path / "b.csv", VIDEOS, np.linspace(1, 99, len(VIDEOS))), VIDEOS)
    plot_score_distributions(Comparison([logits, percent, logits, percent], VIDEOS, bootstrap=1), tmp_path, "")
    widths = [np.ptp(axes.get_xlim()) for axes in drawn[0].axes]
    assert widths[0] == widths[2] < 10 < 90 < widths[1] == widths[3]
