"""SceneFinder: cuts, and which scene a picture shows."""

import numpy as np
import pytest

from lipinc.demo.videos import talking_frames
from lipinc.video.scenes import MAX_SCENES, SceneFinder


def parts(images) -> list[tuple[int, int]]:
    """Number of the first image, and scene, of each part from one cut to the next."""
    finder, found = SceneFinder(), []
    for number, image in enumerate(images):
        finder.add(image)
        if finder.cuts == len(found):
            found.append((number, finder.scene))
        assert finder.cuts == len(found) - 1 and finder.scene == found[-1][1]
    return found


@pytest.fixture(scope="module")
def talk() -> list[np.ndarray]:
    return list(talking_frames(number=0, frames=30))


def test_another_picture_begins_a_scene_and_movement_does_not(talk):
    darker = [image // 3 for image in talk]
    assert parts(talk) == [(0, 0)]
    assert parts([*talk, *darker]) == [(0, 0), (30, 1)]


def test_an_interview_returns_to_each_of_its_scenes(talk):
    one, two, three = talk, [image // 3 for image in talk], [255 - image for image in talk]
    found = parts([*one, *two, *one, *three, *two])
    assert [number for _, number in found] == [0, 1, 0, 2, 1]


def test_a_jump_cut_stays_in_its_scene():
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(60, 190, (12, 16, 3), dtype=np.uint8), np.ones((12, 12, 1), dtype=np.uint8))
    moved = np.clip(image.astype(int) + 20, 0, 255).astype(np.uint8)
    assert parts([image] * 20 + [moved] * 20) == [(0, 0), (20, 0)]


def test_a_pan_is_no_cut():
    rng = np.random.default_rng(0)
    scene = np.kron(rng.integers(0, 255, (20, 60, 3), dtype=np.uint8), np.ones((12, 12, 1), dtype=np.uint8))
    assert len(parts([scene[:, 4 * step : 4 * step + 320] for step in range(90)])) == 1


def test_another_size_is_another_scene():
    small, large = np.zeros((90, 160, 3), dtype=np.uint8), np.zeros((180, 320, 3), dtype=np.uint8)
    assert parts([small, small, large, large, small]) == [(0, 0), (2, 1), (4, 0)]


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 2000, 3), (2160, 3840, 3)])
def test_any_size(shape):
    black, white = np.zeros(shape, dtype=np.uint8), np.full(shape, 255, dtype=np.uint8)
    assert parts([black, black, white]) == [(0, 0), (2, 1)]


def test_memory_is_bounded():
    finder = SceneFinder()
    rng = np.random.default_rng(0)
    for _ in range(3 * MAX_SCENES):
        image = np.zeros((64, 64, 3), dtype=np.uint8)
        image.reshape(-1)[rng.permutation(image.size)[: image.size // 2]] = 255
        finder.add(image)
        finder.add(image)
    assert finder.cuts == 3 * MAX_SCENES - 1 and len(finder._last) == MAX_SCENES
