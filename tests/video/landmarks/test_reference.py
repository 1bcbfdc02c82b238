"""The landmarks equal those of MediaPipe's own runtime to the bit.

Equal bits need the same float32 kernels in LiteRT and in MediaPipe, which choose them by processor, and a C library
with the functions that MediaPipe was tested on (lipinc/video/landmarks/float32.py). On x86-64 with AVX-512 and glibc
2.28 to 2.40 every bit is checked; elsewhere the landmarks may differ by 0.1 px, and the test says so.
"""

import itertools
import platform
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipinc.config import MouthConfig, SamplingConfig
from lipinc.video.clips import extract
from lipinc.video.landmarks import FaceDetector, FaceMesh, runtime
from lipinc.video.reader import read_frames

TOLERANCE = 0.1
"""Maximum difference on other systems, in px."""


def bits_are_equal() -> bool:
    info, (library, version) = Path("/proc/cpuinfo"), platform.libc_ver()
    has_avx512 = platform.machine() == "x86_64" and info.exists() and "avx512f" in info.read_text()
    return has_avx512 and library == "glibc" and (2, 28) <= tuple(map(int, version.split(".")))[:2] <= (2, 40)


@pytest.fixture(scope="module")
def reference():
    """MediaPipe's own runtime. Skips where Python has none."""
    pytest.importorskip("mediapipe", reason="mediapipe 0.10.21 exists for Python 3.10 to 3.12")
    if not bits_are_equal():
        warnings.warn(f"another processor or C library: landmarks are compared to {TOLERANCE} px", stacklevel=2)
    return runtime("mediapipe")


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype and found.shape == expected.shape
    if bits_are_equal():
        assert np.array_equal(found, expected)
    else:
        assert np.abs(found - expected).max() <= TOLERANCE


def assert_same_meshes(frames: list[np.ndarray], reference, **options) -> int:
    """Returns the number of faces found."""
    ours, theirs = FaceMesh(**options), reference.FaceMesh(**options)
    faces = 0
    for frame in frames:
        found, expected = ours(frame), theirs(frame)
        assert len(found) == len(expected)
        for face, other in zip(found, expected, strict=True):
            assert_same(face, other)
        faces += len(found)
    return faces


def assert_same_detections(frames: list[np.ndarray], reference, **options) -> None:
    ours, theirs = FaceDetector(**options), reference.FaceDetector(**options)
    for frame in frames:
        found, expected = ours(frame), theirs(frame)
        assert len(found) == len(expected)
        for face, other in zip(found, expected, strict=True):
            assert_same(face.box, other.box)
            assert_same(np.float64(face.score), np.float64(other.score))


def _scenes(first: list[np.ndarray], second: list[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Kinds of pictures, from the frames of two people."""
    size = first[0].shape[1::-1]
    second = [cv2.resize(frame, size) for frame in second]
    black = np.zeros_like(first[0])
    return {
        "two faces": [np.hstack(pair) for pair in zip(first, second, strict=True)],
        "cuts": [*first[:4], *second[:4], *first[4:8]],
        "black frames": [*first[:3], black, *first[3:6], black, black, *first[6:9]],
        "panning": [np.roll(frame, 11 * number, axis=1) for number, frame in enumerate(first)],
        "portrait": [frame[:, size[0] // 5 : -(size[0] // 5)].copy() for frame in first],
        "upscaled": [cv2.resize(frame, None, fx=2.3, fy=2.3, interpolation=cv2.INTER_CUBIC) for frame in first[:6]],
        "small": [cv2.copyMakeBorder(frame, 120, 80, 160, 200, cv2.BORDER_CONSTANT) for frame in first[:6]],
        "on its side": [np.ascontiguousarray(np.rot90(frame)) for frame in first[:6]],
        "size changes": [*first[:3], *(cv2.resize(frame, None, fx=0.6, fy=0.7) for frame in first[3:6])],
    }


@pytest.fixture(scope="module")
def portraits(astronaut, hopper) -> dict[str, list[np.ndarray]]:
    """Scenes from two photographs: available everywhere."""
    shake = np.random.default_rng(0).integers(-3, 4, (10, 2))
    first, second = ([np.roll(image, tuple(shift), (0, 1)) for shift in shake] for image in (astronaut, hopper))
    return _scenes(first, second)


SCENES = (
    "two faces",
    "cuts",
    "black frames",
    "panning",
    "portrait",
    "upscaled",
    "small",
    "on its side",
    "size changes",
)
OPTIONS = (
    {},
    {"refine": False},
    {"static": True},
    {"max_faces": 2},
    {"max_faces": 4, "refine": False, "static": True},
)


@pytest.mark.parametrize("scene", SCENES)
def test_photographs_give_the_same_meshes(portraits, reference, scene) -> None:
    faces = [assert_same_meshes(portraits[scene], reference, **options) for options in OPTIONS]
    assert min(faces) > 3
    if scene == "two faces":
        assert faces[3] == 20


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("full_range", [False, True])
def test_photographs_give_the_same_detections(portraits, reference, scene, full_range) -> None:
    assert_same_detections(portraits[scene], reference, full_range=full_range)


@pytest.fixture(scope="module")
def frames_of(clips_root) -> Callable[[str, int], list[np.ndarray]]:
    return lambda name, count: [frame.image for frame in itertools.islice(read_frames(clips_root / name), count)]


@pytest.mark.slow
def test_real_clips_give_the_same_scenes(frames_of, reference) -> None:
    scenes = _scenes(frames_of("real/hdtf04.mp4", 12), frames_of("fake/hdtf09_musetalk.mp4", 12))
    for frames in scenes.values():
        for options in OPTIONS:
            assert_same_meshes(frames, reference, **options)
        for full_range in (False, True):
            assert_same_detections(frames, reference, full_range=full_range)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["real/hdtf04.mp4", "real/grid01.mp4", "real/frk07.webm", "real/rsd01.mp4", "fake/hdtf04_wav2lip.mp4"]
)
def test_real_clips_give_the_same_meshes_throughout(frames_of, reference, name) -> None:
    assert assert_same_meshes(frames_of(name, 150), reference) > 40


@pytest.mark.slow
def test_real_clips_give_the_same_mouths(clips_root, reference) -> None:
    """The whole extraction, in which one part after the other chooses frames by the landmarks."""
    found, expected = (
        extract(clips_root / "real" / "hdtf04.mp4", MouthConfig(landmarks=name), SamplingConfig(windows=6))
        for name in ("litert", "mediapipe")
    )
    for name in ("frames", "residues", "frame_ids", "pose_ratios"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))
