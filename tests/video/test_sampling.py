"""Local and global frames: the paper's rules by example and by property, the published code's against an oracle."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipinc.config import SamplingConfig
from lipinc.video.published_sampling import published_runs
from lipinc.video.rejection import Reason, Rejection
from lipinc.video.sampling import Window, find_global_frames, find_local_runs, lip_movement, sample_windows

DEFAULT = SamplingConfig()
QUIRKS = replace(DEFAULT, published_quirks=True)


def poses(openness: list[float] | np.ndarray) -> np.ndarray:
    """Pose ratios of frames that differ only in openness, given in percent."""
    ratios = np.tile([0.0, 0.40, 0.25, 0.25], (len(openness), 1))
    ratios[:, 0] = np.asarray(openness) / 100
    return ratios


def sample_frame_ids(frame_ids, ratios: np.ndarray, config: SamplingConfig = DEFAULT) -> list[list[int]]:
    """Frame ids of the windows; fails on a rejection."""
    windows = sample_windows(np.asarray(frame_ids), ratios, config)
    assert isinstance(windows, list), windows
    return [np.asarray(frame_ids)[window.positions].tolist() for window in windows]


def rejection_reason(frame_ids, ratios: np.ndarray, config: SamplingConfig = DEFAULT) -> Reason:
    rejection = sample_windows(np.asarray(frame_ids), ratios, config)
    assert isinstance(rejection, Rejection), rejection
    return rejection.reason


@st.composite
def videos(draw) -> tuple[np.ndarray, np.ndarray]:
    """Frame ids with gaps, and pose ratios of a mouth that opens and closes."""
    count = draw(st.integers(0, 90))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    frame_ids = np.cumsum(rng.choice([1, 1, 1, 1, 1, 1, 2, 9], count)) + draw(st.integers(0, 400))
    spread = draw(st.sampled_from([0.0, 0.01, 0.03, 0.1]))
    ratios = np.abs(np.array([0.03, 0.4, 0.25, 0.25]) + spread * rng.standard_normal((count, 4)))
    ratios[rng.random(count) < draw(st.sampled_from([0.0, 0.1, 0.4])), 0] = 0
    return frame_ids, ratios


configs = st.builds(
    SamplingConfig,
    local_frames=st.integers(1, 6),
    global_frames=st.integers(1, 5),
    windows=st.integers(1, 5),
    min_frames=st.integers(0, 31),
    tolerance=st.integers(0, 6),
    min_gap=st.integers(1, 9),
    fallback=st.sampled_from(["refuse", "nearest"]),
)


@given(videos(), configs)
def test_windows_keep_every_rule_of_the_paper(video, config) -> None:
    frame_ids, ratios = video
    windows = sample_windows(frame_ids, ratios, config)
    if isinstance(windows, Rejection):
        assert windows.reason in (Reason.NO_FACE, Reason.MOUTH_CLOSED, Reason.NO_SIMILAR_POSE) and windows.detail
        return
    assert 1 <= len(windows) <= config.windows
    seen: set[int] = set()
    last = -1
    for window in windows:
        local = frame_ids[window.positions[: config.local_frames]]
        others = frame_ids[window.positions[config.local_frames :]]
        assert len(local) == config.local_frames and len(others) == config.global_frames
        assert np.all(np.diff(local) == 1)
        assert np.all(ratios[window.positions[: config.local_frames], 0] >= config.min_openness)
        assert np.all(np.diff(others) >= config.min_gap)
        assert np.abs(others[:, None] - local).min() >= config.min_gap
        if not window.nearest:
            percent = np.rint(100 * ratios[window.positions])
            target = percent[config.local_frames - 1]
            assert np.abs(percent[config.local_frames :] - target).max() <= config.tolerance
        assert window.nearest <= (config.fallback == "nearest")
        assert seen.isdisjoint(local.tolist()) and local[0] > last
        seen.update(local.tolist())
        last = local[-1]


@given(videos(), configs)
def test_the_first_usable_run_is_taken_and_no_usable_run_is_rejected(video, config) -> None:
    frame_ids, ratios = video
    config = replace(config, windows=1, fallback="refuse")
    windows = sample_windows(frame_ids, ratios, config)
    usable = [
        run
        for run in find_local_runs(frame_ids, ratios, config)
        if find_global_frames(run, frame_ids, ratios, config) is not None
    ]
    if len(frame_ids) < config.min_frames or not usable:
        assert isinstance(windows, Rejection)
    else:
        assert windows[0].positions[: config.local_frames].tolist() == usable[0].tolist()


# Local frames


def test_the_first_run_with_an_open_mouth_is_taken() -> None:
    openness = [0.5] * 3 + [2] * 4 + [0] + [2] * 60
    assert sample_frame_ids(range(68), poses(openness))[0][:5] == [8, 9, 10, 11, 12]


def test_the_minimum_openness_is_inclusive() -> None:
    assert sample_frame_ids(range(40), poses([1.0] * 40))[0][:5] == [0, 1, 2, 3, 4]
    assert rejection_reason(range(40), poses([0.999] * 40)) is Reason.MOUTH_CLOSED


def test_a_frame_without_a_face_interrupts_a_run() -> None:
    frame_ids = [0, 1, 2, 4, 5, 6, 7, 8, *range(9, 60)]
    assert sample_frame_ids(frame_ids, poses([3] * len(frame_ids)))[0][:5] == [4, 5, 6, 7, 8]
    every_fourth_missing = [frame for frame in range(100) if frame % 4]
    assert rejection_reason(every_fourth_missing, poses([3] * 75)) is Reason.MOUTH_CLOSED


def test_frame_ids_may_exceed_255() -> None:
    frame_ids = np.arange(1000, 1100)
    (window,) = sample_frame_ids(frame_ids, poses([3] * 100))
    assert window[:5] == [1000, 1001, 1002, 1003, 1004] and min(window[5:]) >= 1008


# Global frames


def test_the_nearest_poses_are_taken_and_ordered_by_time() -> None:
    openness = np.full(60, 5.0)
    openness[5:] = 7
    openness[[50, 20, 35]] = [5.1, 5.2, 5.3]
    assert sample_frame_ids(range(60), poses(openness))[0] == [0, 1, 2, 3, 4, 20, 35, 50]


def test_global_frames_keep_the_minimum_gap_to_local_frames_and_each_other() -> None:
    # All poses are equal, so the earliest allowed frames are taken. The gap of 4 counts from the last local frame, 4.
    assert sample_frame_ids(range(40), poses([5] * 40))[0] == [0, 1, 2, 3, 4, 8, 12, 16]
    # Local frames are 12-16. Frame 8 is far enough from them; 9 is not, although its pose is nearer.
    openness = np.zeros(40)
    openness[12:17] = 5
    openness[[2, 8, 9]] = [5.2, 5.2, 5.1]
    config = replace(DEFAULT, global_frames=2)
    assert sample_frame_ids(range(40), poses(openness), config)[0] == [12, 13, 14, 15, 16, 2, 8]


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize(("shift", "expected"), [(0.03, True), (-0.03, True), (0.0351, False), (-0.0351, False)])
def test_each_ratio_must_be_within_the_tolerance(column, shift, expected) -> None:
    ratios = np.tile([0.10, 0.40, 0.25, 0.25], (40, 1))
    ratios[5:, column] += shift
    found = find_global_frames(np.arange(5), np.arange(40), ratios, DEFAULT)
    assert (found is not None) == expected


def test_the_earliest_frames_are_taken_if_the_nearest_leave_no_room() -> None:
    # 12 is nearest. 9 and 16 are far enough from each other, but neither is 5 frames from 12.
    openness = np.zeros(40)
    openness[:5] = 5
    openness[[9, 12, 16]] = [6, 5, 6]
    config = replace(DEFAULT, global_frames=2, min_gap=5)
    assert sample_frame_ids(range(40), poses(openness), config)[0][5:] == [9, 16]


def test_the_fallback_takes_the_nearest_poses_and_marks_the_window() -> None:
    openness = np.zeros(40)
    openness[:5] = 5
    ratios = poses(openness)
    ratios[5:, 1] += 0.2
    ratios[[36, 12, 20, 22], 1] = [0.45, 0.46, 0.48, 0.47]
    assert rejection_reason(range(40), ratios) is Reason.NO_SIMILAR_POSE
    fallback = replace(DEFAULT, fallback="nearest")
    (window,) = sample_windows(np.arange(40), ratios, fallback)
    assert window.nearest and window.positions.tolist() == [0, 1, 2, 3, 4, 12, 22, 36]
    (within,) = sample_windows(np.arange(40), poses([5] * 40), fallback)
    assert not within.nearest


def test_global_frames_come_from_the_same_scene_if_it_has_enough() -> None:
    openness = np.zeros(60)
    openness[30:35] = 5
    openness[[2, 8, 14, 40, 46, 52, 58]] = [5, 5, 5, 6, 7, 7, 7]  # nearer poses in the first scene
    scenes = np.repeat([0, 1], 30)

    def global_frames(openness: np.ndarray, config: SamplingConfig) -> list[int]:
        windows = sample_windows(np.arange(60), poses(openness), config, scenes)
        return [window.positions[5:].tolist() for window in windows]

    fallback = replace(DEFAULT, fallback="nearest")
    assert global_frames(openness, DEFAULT) == [[40, 46, 52]]
    openness[[46, 52, 58]] = 30  # too different: another scene is next, or the nearest poses of the same one
    assert global_frames(openness, DEFAULT) == [[2, 8, 14]]
    (frames,) = global_frames(openness, fallback)
    assert 40 in frames and min(frames) >= 35


def test_rejections_have_the_right_reason() -> None:
    assert rejection_reason(range(30), poses([5] * 30)) is Reason.NO_FACE
    assert rejection_reason([], np.zeros((0, 4))) is Reason.NO_FACE
    assert rejection_reason(range(40), poses([0] * 40)) is Reason.MOUTH_CLOSED
    assert rejection_reason(range(40), poses([5, 5, 5, 5, 0] * 8)) is Reason.MOUTH_CLOSED
    assert rejection_reason(range(40), poses([20] * 5 + [0] * 35)) is Reason.NO_SIMILAR_POSE


# Several windows


def test_windows_are_spread_over_the_video() -> None:
    starts = [window[0] for window in sample_frame_ids(range(300), poses([5] * 300), replace(DEFAULT, windows=4))]
    assert starts == [0, 75, 150, 225]


def test_a_short_video_yields_fewer_windows() -> None:
    windows = sample_frame_ids(range(40), poses([5] * 12 + [0] * 28), replace(DEFAULT, windows=9, tolerance=9))
    assert [window[:5] for window in windows] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


# The quirks of the published code


def published_choice(ratios: np.ndarray) -> tuple[list[int], list[int]] | None:
    """The choice of the published code, in its own style: a frame counter, `range`, `int`, and an exception for a frame
    without a pose (nan)."""
    percent = [None if np.isnan(frame[0]) else [int(100 * value) for value in frame] for frame in ratios.tolist()]
    run: list[int] = []
    for last, frame in enumerate(ratios.tolist()):
        try:
            if percent[last] is None:
                raise IndexError
            if 100 * frame[0] < 1:
                run = []
                continue
            run.append(last)
            if len(run) != 5:
                continue
            hits, other = [], 0
            while other < len(ratios) and len(hits) < 3:
                if other == last:
                    other += 1
                    continue
                if percent[other] is None:
                    raise IndexError
                if all(mine in range(x - 3, x + 3) for mine, x in zip(percent[last], percent[other], strict=True)):
                    hits.append(other)
                    other += 3
                other += 1
            if len(hits) == 3:
                return run, hits
            run = []
        except IndexError:
            pass
    return None


@given(videos(), st.sets(st.integers(0, 60), max_size=4))
def test_quirks_reproduce_the_published_code(video, lost) -> None:
    frame_ids, ratios = video
    # Keep ratios away from whole percents, where floating-point rounding would decide.
    ratios = np.round(ratios, 4) + 3e-5
    ratios[[frame for frame in lost if frame < len(ratios)]] = np.nan
    windows = sample_windows(frame_ids, ratios, QUIRKS)
    expected = published_choice(ratios) if len(frame_ids) >= 31 else None
    if expected is None:
        assert isinstance(windows, Rejection)
    else:
        assert windows[0].positions.tolist() == expected[0] + expected[1]


def test_quirk_a_frame_without_a_pose_ends_the_search_until_the_mouth_closes() -> None:
    openness = np.full(40, 20.5)
    openness[4], openness[31] = 9.5, 0
    ratios, one = poses(openness), replace(QUIRKS, global_frames=1)
    assert sample_frame_ids(range(40), ratios, one)[0] == [5, 6, 7, 8, 9, 0]  # nothing is like frame 4
    ratios[5] = np.nan
    assert sample_frame_ids(range(40), ratios, one)[0] == [32, 33, 34, 35, 36, 0]


def test_quirk_a_frame_without_a_pose_interrupts_no_run_and_is_not_seen_next_to_a_hit() -> None:
    ratios = poses(np.full(40, 5.5))
    ratios[[2, 6]] = np.nan
    assert sample_frame_ids(range(40), ratios, QUIRKS)[0] == [0, 1, 3, 4, 5, 0, 4, 8]
    ratios[8] = np.nan
    assert rejection_reason(range(40), ratios, QUIRKS) is Reason.NO_SIMILAR_POSE


def test_frames_without_a_pose_are_in_no_window_of_the_papers_rule() -> None:
    ratios = poses(np.full(60, 5.5))
    ratios[[2, 20, 30]] = np.nan
    for config in (DEFAULT, replace(DEFAULT, tolerance=0, fallback="nearest")):
        (window,) = sample_frame_ids(range(60), ratios, config)
        assert window[:5] == [3, 4, 5, 6, 7] and not {2, 20, 30} & set(window)
    assert np.isfinite(lip_movement(ratios))


def test_quirk_local_frames_can_be_global_frames() -> None:
    openness = np.full(40, 5.5)
    openness[0] = 12.5
    openness[6:22] = 12.5
    assert sample_frame_ids(range(40), poses(openness), QUIRKS)[0] == [0, 1, 2, 3, 4, 1, 5, 22]
    openness[0] = 0
    openness[5:] = 5.5
    # Only the last local frame, 5, is excluded.
    assert sample_frame_ids(range(40), poses(openness), QUIRKS)[0] == [1, 2, 3, 4, 5, 1, 6, 10]


@pytest.mark.parametrize(("difference", "expected"), [(-3, False), (-2, True), (3, True), (4, False)])
def test_quirk_the_tolerance_is_asymmetric(difference, expected) -> None:
    """The last local frame may lie 3 percent below another frame, but only 2 above it."""
    openness = np.full(40, 10.5 + difference)
    openness[:5] = 10.5
    found = published_runs(poses(openness), replace(QUIRKS, min_gap=5))[0][1]
    # Local frame 0 matches in any case; the other two must come from the frames after 4.
    assert (found is not None) == expected


def test_quirk_a_gap_does_not_interrupt_a_run() -> None:
    frame_ids = [frame for frame in range(100) if frame % 4]
    assert sample_frame_ids(frame_ids, poses([5] * 75), QUIRKS)[0][:5] == [1, 2, 3, 5, 6]


def test_window_lists_local_frames_first() -> None:
    openness = np.concatenate([np.full(4, 5.0), np.zeros(20), np.full(30, 5.0)])
    (window,) = sample_windows(np.arange(54), poses(openness), DEFAULT)
    assert isinstance(window, Window)
    assert window.positions[:5].tolist() == [24, 25, 26, 27, 28]
    assert window.positions[5:].tolist() == [0, 32, 36]
