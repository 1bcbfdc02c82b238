"""Rotated rectangles, and what is cut out of them."""

import hashlib
import platform

import cv2
import numpy as np
import pytest

from lipinc.video.landmarks.rects import Rect, associate, cut, intersection_over_union, square_around


def rect(x: float, y: float, side: float = 0.2, rotation: float = 0.0) -> Rect:
    return Rect(*map(np.float32, (x, y, side, side, rotation)))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors may round otherwise")
def test_opencv_cuts_as_the_tested_version() -> None:
    """Other versions warp by other rules, which moves landmarks: requirements.txt pins one on every Python."""
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    image = cv2.resize(image, (320, 240), interpolation=cv2.INTER_LINEAR)
    patches = [cut(image, rect(0.5, 0.45, 0.6, angle), 192).tobytes() for angle in (0.0, 0.1, -0.7, 3.0)]
    assert (
        hashlib.sha256(b"".join(patches)).hexdigest()
        == "58da62f8f3ddcdabb944c254503ea8ab97a0e97593496d65eb4adaef08d20bd1"
    )


def test_a_cut_is_upright_and_extends_beyond_the_image() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[:, 50:] = 200
    upright = cut(image, rect(0.5, 0.5, 0.4), 64)
    assert upright[:, :30].max() == 0 and upright[:, 34:].min() == 200
    # The right side of the image is the top of the cut.
    quarter = cut(image, rect(0.5, 0.5, 0.4, np.pi / 2), 64)
    assert quarter[:30].min() == 200 and quarter[34:].max() == 0
    assert cut(image, rect(1.0, 0.5, 0.4), 64)[:, -5:].min() == 200  # replicated
    assert cut(image, rect(1.0, 0.5, 0.4), 64, border=cv2.BORDER_CONSTANT)[:, -5:].max() == 0


def test_the_square_is_half_as_large_again_as_the_face_and_turned_with_its_eyes() -> None:
    corner, size, image_size = np.float32([0.2, 0.3]), np.float32([0.2, 0.1]), np.float32([200, 100])
    found = square_around(corner, size, np.float32([0.25, 0.35]), np.float32([0.35, 0.45]), image_size)
    assert found[:2] == pytest.approx((0.3, 0.35))
    assert found.width * 200 == pytest.approx(60) and found.height * 100 == pytest.approx(60)
    assert found.rotation == pytest.approx(np.arctan2(10, 20))


def test_overlaps() -> None:
    corner, size = np.float32([0, 0]), np.float32([2, 2])
    others = np.float32([[0, 0], [1, 0], [2, 0], [5, 5]])
    found = intersection_over_union(corner, size, others, np.float32([[2, 2]] * 4))
    assert found == pytest.approx([1, 1 / 3, 0, 0])


def test_a_tracked_face_replaces_the_detection_of_the_same_face() -> None:
    tracked, same, other = rect(0.5, 0.5), rect(0.51, 0.5), rect(0.1, 0.1)
    assert associate([same, other], [tracked]) == [other, tracked]
    assert associate([], [tracked, same]) == [same]  # two tracks that meet become one
