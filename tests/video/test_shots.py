"""CutFinder: the pictures with which another shot begins."""

import numpy as np
import pytest

from lipinc.demo.videos import talking_frames
from lipinc.video.shots import CutFinder


def cuts(images) -> list[int]:
    finder = CutFinder()
    return [number for number, image in enumerate(images) if finder.is_cut(image)]


def test_another_picture_begins_a_shot_and_movement_does_not():
    one, two = (list(talking_frames(number=number, frames=30)) for number in (0, 1))
    darker = [image // 3 for image in one]
    assert cuts(one) == cuts(two) == []
    assert cuts([*one, *darker, *one]) == [30, 60]


def test_a_flash_or_a_pan_is_no_series_of_cuts():
    rng = np.random.default_rng(0)
    scene = np.kron(rng.integers(0, 255, (20, 60, 3), dtype=np.uint8), np.ones((12, 12, 1), dtype=np.uint8))
    pan = [scene[:, 4 * step : 4 * step + 320] for step in range(90)]
    assert cuts(pan) == []
    assert len(cuts([*pan[:40], np.full_like(pan[40], 255), *pan[41:]])) <= 2


def test_another_size_begins_a_shot_and_the_first_picture_does_not():
    small, large = np.zeros((90, 160, 3), dtype=np.uint8), np.zeros((180, 320, 3), dtype=np.uint8)
    assert cuts([small, small, large, large, small]) == [2, 4]


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 2000, 3), (2160, 3840, 3)])
def test_any_size(shape):
    black, white = np.zeros(shape, dtype=np.uint8), np.full(shape, 255, dtype=np.uint8)
    assert cuts([black, black, white]) == [2]
