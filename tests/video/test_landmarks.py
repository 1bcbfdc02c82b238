"""The 68-point landmarks from MediaPipe's mesh, on real faces."""

import os
import sys

import cv2
import numpy as np
import pytest

from lipinc.video.landmarks import MESH_POINTS_OF_68, FaceDetector, FaceMesh, lip_outline, quiet_native_logs, to_68

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
    with quiet_native_logs(), FaceMesh(**options) as mesh:
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


def test_parsed_points_equal_the_landmark_objects(astronaut) -> None:
    with quiet_native_logs(), FaceMesh(static=True) as mesh:
        found = mesh._mesh.process(cv2.cvtColor(astronaut, cv2.COLOR_BGR2RGB)).multi_face_landmarks[0].landmark
        (points,) = mesh(astronaut)
    height, width = astronaut.shape[:2]
    assert np.array_equal(points, np.float32([(p.x, p.y) for p in found]) * np.float32([width, height]))


def test_lip_outline_holds_all_lip_points(faces) -> None:
    for face in faces:
        outline, lips = lip_outline(face), to_68(face)[48:]
        assert outline.shape == (20, 2)
        assert np.all(outline.min(axis=0) <= lips.min(axis=0)) and np.all(outline.max(axis=0) >= lips.max(axis=0))


def test_new_instances_agree_to_the_bit(astronaut) -> None:
    frames = [np.roll(astronaut, shift, axis=1) for shift in range(5)]
    first, second = detect_meshes(*frames), detect_meshes(*frames)
    assert all(len(found) == 1 for found in first)
    assert np.array_equal(first, second)


def test_number_of_points_and_of_faces(astronaut, hopper) -> None:
    both = np.hstack([astronaut, hopper[:320, :320]])
    assert [face.shape for face in detect_meshes(both, max_faces=4, static=True)[0]] == [(478, 2), (478, 2)]
    assert [face.shape for face in detect_meshes(both, max_faces=1, refine=False, static=True)[0]] == [(468, 2)]
    assert detect_meshes(np.full_like(astronaut, 128), static=True) == [[]]


def test_faces_are_detected(astronaut, hopper) -> None:
    with quiet_native_logs(), FaceDetector() as detect:
        (face,) = detect(astronaut)
        assert detect(np.full_like(astronaut, 128)) == []
        assert len(detect(np.hstack([astronaut, hopper[:320, :320]]))) == 2
    left, top, right, bottom = face.box
    mesh = detect_meshes(astronaut, static=True)[0][0]
    assert 0.5 <= face.score <= 1
    assert left < mesh[:, 0].mean() < right and top < mesh[:, 1].mean() < bottom
    assert 0.5 < (right - left) / np.ptp(mesh[:, 0]) < 1.5


def test_native_logs_are_discarded_in_the_block_only(capfd) -> None:
    with pytest.raises(KeyError), quiet_native_logs():
        os.write(2, b"native noise\n")
        raise KeyError
    os.write(2, b"a message to the user\n")
    assert capfd.readouterr().err == "a message to the user\n"


def test_threads_that_silence_stderr_at_once_give_it_back(capfd):
    """In turn, the first one leaves before the second one does: it must not restore what the other one has saved."""
    first, second = quiet_native_logs(), quiet_native_logs()
    first.__enter__()
    second.__enter__()
    os.write(2, b"noise")
    first.__exit__(None, None, None)
    os.write(2, b"noise")
    second.__exit__(None, None, None)
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


def test_a_closed_stderr_needs_no_silence(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    saved = os.dup(2)
    os.close(2)
    try:
        with quiet_native_logs():
            pass
        with pytest.raises(OSError):
            os.fstat(2)
    finally:
        os.dup2(saved, 2)
        os.close(saved)
