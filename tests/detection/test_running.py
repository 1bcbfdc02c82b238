"""The running fake probability, and the box of a mouth at each moment."""

import numpy as np
import pytest

from lipinc.detection.running import RunningProbability, box_at
from lipinc.detection.verdict import MouthTrack, WindowScore


def running(*windows: tuple[float, float, float]) -> RunningProbability:
    return RunningProbability([WindowScore(start, end, (), probability) for start, end, probability in windows])


def test_a_window_holds_up_to_the_middle_of_the_gap_to_its_neighbour() -> None:
    at = running((1, 2, 0.2), (4, 5, 0.8))
    expected = {0.99: None, 1: 0.2, 2: 0.2, 2.99: 0.2, 3.01: 0.8, 4.5: 0.8, 5: 0.8, 5.01: None}
    assert {time: at(time) for time in expected} == pytest.approx(expected)
    assert at.edges.tolist() == [1, 2, 3, 4, 5] and at.values == pytest.approx([0.2, 0.2, 0.8, 0.8])


def test_windows_that_overlap_are_averaged() -> None:
    at = running((0, 2, 0.2), (1, 3, 0.6), (1, 2, 0.7))
    assert [at(0.5), at(1.5), at(2.5)] == pytest.approx([0.2, 0.5, 0.6])


def test_without_windows_there_is_no_probability() -> None:
    assert running()(0) is None


def test_a_window_whose_frames_share_a_time_counts() -> None:
    assert running((1, 1, 0.4), (2, 2, 0.8))(1.9) == pytest.approx(0.8)


def test_many_windows_are_the_mean_of_those_that_cover_a_moment() -> None:
    draw = np.random.default_rng(0)
    windows = [(start, start + draw.uniform(0.5, 3), draw.uniform()) for start in np.sort(draw.uniform(0, 20, 50))]
    at = running(*windows)
    for time in draw.uniform(0, 20, 200):
        covering = [probability for start, end, probability in windows if start <= time <= end]
        if covering:
            assert at(time) == pytest.approx(np.mean(covering))


def test_boxes_are_interpolated_over_a_quarter_of_a_second_and_no_longer() -> None:
    boxes = np.array([[10, 20, 30, 40], [20, 20, 40, 50], [0, 0, 9, 9]], dtype=np.int32)
    track = MouthTrack(0, np.array([10, 15, 25]), np.array([0.4, 0.6, 1.0]), boxes)
    assert box_at(track, 10, 0.4).tolist() == [10, 20, 30, 40]
    assert box_at(track, 11, 0.45) == pytest.approx([12.5, 20, 32.5, 42.5])
    assert box_at(track, 20, 0.8) is None  # 0.4 s apart
    assert box_at(track, 9, 0.39) is None and box_at(track, 26, 1.1) is None
    exact = MouthTrack(0, np.array([0, 2]), np.array([0.1, 0.35]), boxes[:2])
    assert box_at(exact, 1, 0.225) == pytest.approx([15, 20, 35, 45])
