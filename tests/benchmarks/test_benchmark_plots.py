import warnings

import cv2
import pytest

from benchmarks.plots import plot_growth, plot_steady_state
from tests.evaluation.test_plots import CURVE_BGR, pixels

SECOND_CURVE_BGR = (0x00, 0x9F, 0xE6)


@pytest.mark.parametrize("videos", [[100, 1000, 10000], [100]])
def test_growth_has_a_curve_a_step_of_the_work(tmp_path, videos):
    fewer = videos[:-1]
    seconds = {
        "one": (videos, [0.02 * count for count in videos]),
        "other": (fewer, [0.001 * count for count in fewer]),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_growth(seconds, {"one": (videos, [900.0] * len(videos))}, tmp_path / "growth.png", "title", "note")
    image = cv2.imread(str(tmp_path / "growth.png"))
    assert pixels(image, CURVE_BGR) > 20
    assert pixels(image, SECOND_CURVE_BGR) > 10


def test_steady_state_draws_every_process_over_the_videos_done(tmp_path):
    done, memory = [0, 50, 100], {"script": [130.0, 131.0, 131.0], "worker": [200.0, 210.0, 205.0]}
    plot_steady_state(done, memory, [23, 23, 24], ([50, 100], [2.0, 2.1]), tmp_path / "steady.png", "title", "note")
    image = cv2.imread(str(tmp_path / "steady.png"))
    assert pixels(image, CURVE_BGR) > 60  # in each of the three pictures
    assert pixels(image, SECOND_CURVE_BGR) > 20
