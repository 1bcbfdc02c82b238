import numpy as np
import pytest

from lipinc.detection.segments import DOUBTFUL, FAKE, MIN_WINDOWS, Segment, decide_in_part, find_segments, scatter

SPACING = 0.2
"""Seconds from window to window."""


def times(windows: int) -> tuple[np.ndarray, np.ndarray]:
    start = SPACING * np.arange(windows)
    return start, start + 0.16


def find(contrast: np.ndarray) -> tuple[Segment, ...]:
    """Segments of one scene."""
    return find_segments(*times(len(contrast)), contrast, np.zeros(len(contrast), dtype=int))


def surest(segments: tuple[Segment, ...]) -> float:
    return max((one.probability for one in segments), default=0.0)


def noise(windows: int, seed: int, correlation: float = 0.3) -> np.ndarray:
    """Autocorrelated noise with the standard deviation of real videos around their level."""
    steps = np.random.default_rng(seed).normal(size=windows)
    for position in range(1, windows):
        steps[position] = correlation * steps[position - 1] + np.sqrt(1 - correlation**2) * steps[position]
    return steps


@pytest.mark.parametrize("level", [-20.0, 0.0, 15.0])
@pytest.mark.parametrize(("first", "stop"), [(80, 100), (0, 20), (145, 165), (130, 165)])
def test_a_step_is_located_whatever_the_level_of_the_camera(level, first, stop):
    contrast = noise(165, seed=0) + level
    contrast[first:stop] += 4
    found = max(find(contrast), key=lambda one: one.probability)
    assert found.start == pytest.approx(SPACING * first, abs=0.5)
    assert found.end == pytest.approx(SPACING * (stop - 1) + 0.16, abs=0.5)
    assert found.probability > DOUBTFUL


def test_two_steps_are_two_segments_in_temporal_order():
    contrast = noise(300, seed=1)
    contrast[220:260] += 4
    contrast[40:60] += 4
    first, second = (one for one in find(contrast) if one.probability > 0.9)
    assert (first.start, second.start) == pytest.approx((8, 44), abs=0.5)
    assert first.end < second.start


def test_a_lower_stretch_is_not_suspicious():
    contrast = noise(160, seed=3)
    contrast[60:90] -= 4
    assert surest(find(contrast)) < DOUBTFUL


def test_a_higher_step_is_surer_and_a_longer_video_less_sure():
    def found(windows: int, step: float) -> float:
        contrast = noise(windows, seed=2)
        contrast[60:80] = step + 0.1 * contrast[60:80]
        return surest(find(contrast))

    assert found(160, 4) > found(160, 3)
    assert found(160, 3) > found(3000, 3)


@pytest.mark.parametrize("level", [-1.4, 1.0, 30.0])
def test_a_steady_level_is_left_to_the_whole_however_high(level):
    assert find(np.full(100, level)) == ()
    found = [find(noise(100, seed) + level) for seed in range(30)]
    assert sum(one.end - one.start for segments in found for one in segments) <= 0.02 * 30 * 100 * SPACING
    assert max(decide_in_part(-1, segments) for segments in found) < 1


def test_slow_drift_and_odd_windows_are_not_doubted():
    assert decide_in_part(-1, find(noise(200, seed=3) + np.linspace(-0.7, 0.7, 200))) == -1
    contrast = noise(200, seed=4)
    contrast[[30, 31, 90, 150]] = 60.0
    assert decide_in_part(-1, find(contrast)) == -1


def test_shots_are_compared_with_themselves():
    """A cut to another camera is no suspicion; a step within a scene is, and the scene alone says where."""
    contrast, scene = noise(300, seed=5), np.repeat([0, 1, 2], 100)
    contrast += np.repeat([0.0, 8.0, -8.0], 100)
    assert surest(find_segments(*times(300), contrast, scene)) < DOUBTFUL < surest(find(contrast))
    contrast[230:250] += 4
    found = max(find_segments(*times(300), contrast, scene), key=lambda one: one.probability)
    assert (found.start, found.end) == pytest.approx((46, 49.96), abs=0.5)


def test_a_stretch_ends_where_another_scene_comes_between():
    contrast, scene = noise(200, seed=6), np.zeros(200, dtype=int)
    contrast[60:100] += 4
    scene[80:85] = 1
    scene[90] = -1  # a jump cut in the same scene
    found = [one for one in find_segments(*times(200), contrast, scene) if one.probability > 0.9]
    assert [(one.start, one.end) for one in found] == [
        pytest.approx((12, 15.96), abs=0.5),
        pytest.approx((17, 19.96), abs=0.5),
    ]


def test_windows_with_a_cut_in_them_are_left_out():
    contrast, scene = noise(160, seed=6), np.zeros(160, dtype=int)
    contrast[60:70], scene[60:70] = 50.0, -1
    assert find_segments(*times(160), contrast, scene) == ()


def test_the_scatter_is_that_of_the_noise_whatever_the_level():
    contrast = noise(2000, seed=0, correlation=0)
    contrast[500:700] += 30
    assert scatter(7 * contrast) == pytest.approx(7, rel=0.05)
    assert np.isnan(scatter(contrast[:1]))


@pytest.mark.parametrize("windows", [0, 1, 2, 2 * MIN_WINDOWS - 1])
def test_too_few_windows_have_no_segment(windows):
    assert find(np.linspace(-9, 9, windows)) == ()


def test_equal_times_and_the_shortest_video_are_no_error():
    assert len(find(np.repeat([-4.0, 6.0], MIN_WINDOWS))) <= 1
    assert find_segments(np.zeros(40), np.zeros(40), np.arange(40.0), np.zeros(40, dtype=int)) == ()


def test_a_gap_in_time_does_not_move_a_segment():
    contrast = noise(160, seed=5)
    contrast[80:100] += 4
    start, end = times(160)
    start[90:], end[90:] = start[90:] + 20, end[90:] + 20  # the mouth is closed for 20 s
    found = max(find_segments(start, end, contrast, np.zeros(160, dtype=int)), key=lambda one: one.probability)
    assert (found.start, found.end) == pytest.approx((16, 39.96), abs=0.5)


def test_few_real_videos_of_any_length_are_doubted():
    """At most 2 % of the minutes are flagged, and of the videos at most 3 % accused, on autocorrelated noise."""
    for windows, videos in ((40, 60), (160, 60), (3000, 10)):
        found = [find(noise(windows, seed)) for seed in range(videos)]
        flagged = sum(one.end - one.start for segments in found for one in segments)
        assert flagged <= 0.02 * videos * windows * SPACING
        decisions = np.array([decide_in_part(-1, segments) for segments in found])
        assert np.mean(decisions == 1) <= 0.03
        assert np.mean(decisions == 0) <= 0.1


def test_hours_are_searched():
    contrast = noise(40_000, seed=6)
    contrast[20_000:20_040] += 4
    assert any(one.start == pytest.approx(4000, abs=0.5) for one in find(contrast))


@pytest.mark.parametrize(
    ("whole", "probabilities", "expected"),
    [
        (-1, (), -1),
        (-1, (0.5,), -1),
        (-1, (0.5, DOUBTFUL), 0),
        (-1, (FAKE,), 1),
        (0, (DOUBTFUL,), 0),
        (0, (FAKE, 0.1), 1),
        (1, (), 1),
        (1, (DOUBTFUL,), 1),
    ],
)
def test_segments_only_raise_the_decision(whole, probabilities, expected):
    segments = tuple(Segment(0.0, 3.0, probability) for probability in probabilities)
    assert decide_in_part(whole, segments) == expected
