"""A track follows one person."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipinc.video.face_tracking import MAX_MISSED_PICTURES, FaceTracks, iou


def box(x: float, y: float, side: float = 100) -> np.ndarray:
    return np.array([x, y, x + side, y + side], dtype=float)


def test_iou_of_known_boxes() -> None:
    assert iou(box(0, 0), box(0, 0)) == 1
    assert iou(box(0, 0), box(50, 0)) == pytest.approx(1 / 3)
    assert iou(box(0, 0), box(100, 0)) == 0
    assert iou(box(0, 0), box(25, 25, 50)) == pytest.approx(1 / 4)


@given(st.integers(0, 2**32), st.lists(st.booleans(), min_size=60, max_size=60))
def test_two_moving_people_are_never_swapped(seed, swaps) -> None:
    rng = np.random.default_rng(seed)
    places = np.array([[200.0, 200.0], [420.0, 220.0]])
    tracks, people = FaceTracks(), {}
    for frame, swap in enumerate(swaps):
        places += rng.uniform(-12, 12, (2, 2))
        places[0, 0], places[1, 0] = min(places[0, 0], 250), max(places[1, 0], 370)
        order = [1, 0] if swap else [0, 1]  # MediaPipe lists faces in any order
        assigned = tracks.assign(frame, np.array([box(*places[person], side=110) for person in order]))
        for person, track in zip(order, assigned, strict=True):
            assert people.setdefault(person, track) is track
    assert len(tracks.sorted_by_area()) == 2


def test_a_face_that_is_missing_for_up_to_a_second_keeps_its_track() -> None:
    tracks = FaceTracks()
    (one,) = tracks.assign(0, np.array([box(0, 0)]))
    assert tracks.assign(1, np.array([])) == []
    assert tracks.assign(MAX_MISSED_PICTURES, np.array([box(20, 5)])) == [one]
    assert tracks.assign(2 * MAX_MISSED_PICTURES, np.array([box(30, 5)])) == [one]
    (other,) = tracks.assign(3 * MAX_MISSED_PICTURES + 1, np.array([box(30, 5)]))
    assert other is not one


def test_a_new_face_gets_its_own_track() -> None:
    tracks = FaceTracks()
    (one,) = tracks.assign(0, np.array([box(0, 0)]))
    newcomer, same = tracks.assign(1, np.array([box(45, 0), box(5, 0)]))  # both overlap the old box enough
    assert same is one and newcomer is not one


def test_tracks_rank_by_area_summed_over_the_video() -> None:
    tracks = FaceTracks()
    small, large = tracks.assign(0, np.array([box(0, 0, 100), box(300, 0, 120)]))
    assert tracks.sorted_by_area() == [large, small]
    tracks.assign(1, np.array([box(0, 0, 100)]))
    assert tracks.sorted_by_area() == [small, large]
    assert (small.area, large.area) == (20_000, 14_400)


def test_tracks_of_equal_area_rank_by_their_first_frame() -> None:
    tracks = FaceTracks()
    first, second = tracks.assign(0, np.array([box(300, 0), box(0, 0)]))
    assert tracks.sorted_by_area()[0] is first and tracks.sorted_by_area()[1] is second
