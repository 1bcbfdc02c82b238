"""FaceMesh and the face detectors: what they find, on one and on several faces, in any process and thread."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lipinc.video.landmarks import FaceDetector, FaceMesh


def detect_meshes(*images: np.ndarray, **options) -> list[list[np.ndarray]]:
    mesh = FaceMesh(**options)
    return [mesh(image) for image in images]


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
    detect = FaceDetector()
    (face,) = detect(astronaut)
    assert detect(np.full_like(astronaut, 128)) == []
    assert len(detect(np.hstack([astronaut, hopper[:320, :320]]))) == 2
    left, top, right, bottom = face.box
    mesh = detect_meshes(astronaut, static=True)[0][0]
    assert 0.5 <= face.score <= 1
    assert left < mesh[:, 0].mean() < right and top < mesh[:, 1].mean() < bottom
    assert 0.5 < (right - left) / np.ptp(mesh[:, 0]) < 1.5


def test_videos_that_take_turns_do_not_change_each_other(astronaut, hopper) -> None:
    """They share the interpreters of their thread."""
    frames = [np.roll(astronaut, shift, axis=1) for shift in range(3)]
    alone = detect_meshes(*frames)
    mesh, other = FaceMesh(), FaceMesh(refine=False)
    for image, (expected,) in zip(frames, alone, strict=True):
        (found,) = mesh(image)
        other(hopper)
        assert np.array_equal(found, expected)


def test_threads_find_the_same(astronaut) -> None:
    frames = [np.roll(astronaut, shift, axis=1) for shift in range(3)]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: detect_meshes(*frames), range(6)))
    assert all(np.array_equal(found, results[0]) for found in results)


def test_a_fork_finds_the_same(astronaut) -> None:
    """MediaPipe's own runtime hangs there."""
    (expected,) = detect_meshes(astronaut)
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(detect_meshes(astronaut)[0], expected) else 1)
    assert os.waitpid(child, 0)[1] == 0
