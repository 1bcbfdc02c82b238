"""The 68-point landmarks from MediaPipe's mesh, on real faces."""

import numpy as np
import pytest

from lipinc.video.landmarks import MESH_POINTS_OF_68, FaceMesh, lip_outline, to_68

MIRRORED = np.array(
    [
        *range(16, -1, -1),
        *range(26, 16, -1),
        *(27, 28, 29, 30, 35, 34, 33, 32, 31),
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
        *(64, 63, 62, 61, 60, 67, 66, 65),
    ]
)
"""For each of the 68 points, its mirror image."""


def detect_meshes(*images: np.ndarray, **options) -> list[list[np.ndarray]]:
    mesh = FaceMesh(**options)
    return [mesh(image) for image in images]


@pytest.fixture(scope="module")
def faces(astronaut, hopper) -> list[np.ndarray]:
    return [found[0] for found in detect_meshes(astronaut, hopper, static=True)]


def test_all_68_points_are_defined() -> None:
    assert len(MESH_POINTS_OF_68) == 68 and all(len(points) in (1, 2) for points in MESH_POINTS_OF_68)


def test_points_have_the_positions_of_the_68_point_scheme(faces) -> None:
    for face in faces:
        points = to_68(face)
        x, y = points.T
        assert points.shape == (68, 2)
        assert np.all(np.diff(x[:17]) > -1) and x[0] < x[8] < x[16]  # jaw, left to right
        assert y.argmax() == 8  # the chin is lowest
        assert x[36] < x[39] < x[42] < x[45]  # corners of the eyes
        assert y[27] < y[30] < y[33] < y[51] < y[62] <= y[66] + 0.5 < y[57] < y[8]  # down the middle
        assert x[48] < x[60] < x[62] < x[64] < x[54]  # corners of the mouth
        assert max(y[17:27]) < min(y[36:48])  # brows above the eyes


def test_a_mirrored_image_has_mirrored_points(astronaut, hopper, faces) -> None:
    mirrored = detect_meshes(astronaut[:, ::-1].copy(), hopper[:, ::-1].copy(), static=True)
    for image, face, (other,) in zip((astronaut, hopper), faces, mirrored, strict=True):
        points = to_68(face)
        expected = to_68(other)[MIRRORED]
        expected[:, 0] = image.shape[1] - 1 - expected[:, 0]
        # The meshes are not equal to the pixel. A wrong point would be off by at least 5 % of the face width.
        assert np.hypot(*(points - expected).T).max() < 0.04 * np.ptp(points[:, 0])


def test_lip_outline_holds_all_lip_points(faces) -> None:
    for face in faces:
        outline, lips = lip_outline(face), to_68(face)[48:]
        assert outline.shape == (20, 2)
        assert np.all(outline.min(axis=0) <= lips.min(axis=0)) and np.all(outline.max(axis=0) >= lips.max(axis=0))
