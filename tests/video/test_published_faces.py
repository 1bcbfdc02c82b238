"""Mouths as the published code finds them: by rules on made-up points, and to the bit on real clips."""

import logging
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipinc.cache.build import build_cache
from lipinc.cache.store import Cache
from lipinc.commands.runner import run_command
from lipinc.config import CacheConfig, Config, MouthConfig, load_config
from lipinc.datasets import Folder
from lipinc.datasets.dataset import load_videos
from lipinc.errors import UserError
from lipinc.video import published_faces
from lipinc.video.clips import Clips, extract
from lipinc.video.faces import track_faces
from lipinc.video.landmarks import FaceMesh, to_68
from lipinc.video.landmarks.dlib_runtime import DlibFace, DlibLandmarks
from lipinc.video.landmarks.installed import require_landmarks
from lipinc.video.published_faces import align_face, crop_aligned, landmarks_caveat, scale_to_width
from tests.video.published_extraction import Oracle

OFFICIAL = load_config("official_v1")
MOUTH = replace(OFFICIAL.mouth, landmarks="dlib")


def points(**at: tuple[int, int]) -> np.ndarray:
    """68 landmarks, all at (100, 150) but those given, as in p62=(100, 140)."""
    found = np.full((68, 2), (100, 150))
    for name, place in at.items():
        found[int(name[1:])] = place
    return found


def pose(face: DlibFace | None, **changes) -> tuple[tuple[int, ...], list[float]]:
    """Size of the mouth in a picture of 256 px, and its ratios."""
    mouth, ratios = crop_aligned(np.zeros((256, 256, 3), np.uint8), face, replace(MOUTH, **changes))
    return mouth.shape[:2], ratios.tolist()


# The rules


@pytest.mark.parametrize(
    ("shape", "scaled"), [((225, 224), (803, 800)), ((1080, 1920), (450, 800)), ((1, 4000), (1, 800))]
)
def test_every_frame_gets_the_same_width(shape, scaled) -> None:
    assert scale_to_width(np.zeros((*shape, 3), np.uint8), 800).shape == (*scaled, 3)


def test_the_eyes_of_an_aligned_face_are_at_their_places() -> None:
    eyes = {"left": (300, 260), "right": (420, 200)}
    image = np.zeros((450, 800, 3), np.uint8)
    for colour, eye in enumerate(eyes.values()):
        image[eye[1] - 8 : eye[1] + 9, eye[0] - 8 : eye[0] + 9, colour] = 255
    found = np.zeros((68, 2), int)
    found[36:42], found[42:48] = eyes["left"], eyes["right"]
    found[36, 0] += 5  # a mean of 300.83, which is truncated
    aligned = align_face(image, found, MOUTH)
    assert aligned.shape == (256, 256, 3)
    for colour, x in enumerate((0.4, 0.6)):
        rows, columns = np.nonzero(aligned[..., colour] > 128)
        assert (columns.mean(), rows.mean()) == pytest.approx((256 * x, 256 * 0.4), abs=0.5)
    assert align_face(image, np.zeros((68, 2), int), MOUTH) is None


def test_the_mouth_is_the_box_of_the_lips_and_the_pose_is_relative_to_the_box_of_the_face() -> None:
    at = {
        "p48": (90, 150),
        "p54": (130, 151),
        "p60": (95, 150),
        "p64": (125, 150),
        "p62": (100, 140),
        "p66": (100, 160),
    }
    face = DlibFace(np.array([-20, 50, 180, 300]), points(**at, p4=(60, 150), p12=(130, 191)))
    # The part of the box in the picture is 180 px wide and 206 px high.
    assert pose(face) == ((21, 41), pytest.approx([20 / 206, 30 / 180, 30 / 180, 40 / 180]))


def test_a_mouth_beyond_the_upper_or_left_border_is_no_mouth_and_beyond_the_others_it_is_cut() -> None:
    face = DlibFace(np.array([50, 50, 200, 200]), points(p48=(90, 150), p54=(300, 290)))
    assert pose(face)[0] == (256 - 150, 256 - 90)
    for outside in ((-1, 150), (90, -1)):
        size, ratios = pose(replace(face, points=points(p48=outside)))
        assert size == (0, 0) and np.isnan(ratios).all()
    assert pose(replace(face, points=points() + 300))[0] == (0, 0)
    assert pose(None)[0] == (0, 0)


def test_frames_without_a_face_are_left_out_and_a_face_that_is_lost_has_no_pose(
    tmp_path, write_video, monkeypatch
) -> None:
    """In place of dlib: no face in dark pictures; none on the aligned face if the picture is bright."""
    eyes = {f"p{n}": (300 if n < 42 else 420, 150) for n in range(36, 48)}
    lips = {f"p{n}": (320 + 4 * (n - 48), 250 + (n - 48)) for n in range(48, 68)}

    class Stub:
        def __call__(self, grey: np.ndarray) -> DlibFace | None:
            level, aligned = grey[100:150, 100:150].mean(), grey.shape == (256, 256)
            if level < 50 or (aligned and level > 200):
                return None
            found = points(p48=(110, 150), p54=(140, 160)) if aligned else points(**eyes, **lips)
            return DlibFace(np.array([250, 50, 500, 350]) // (2 if aligned else 1), found)

    monkeypatch.setattr(published_faces, "DlibLandmarks", Stub)
    levels = [100, 0, 100, 230, 0, 100]
    video = write_video(tmp_path / "v.mp4", [np.full((200, 400, 3), level, np.uint8) for level in levels])
    with track_faces(video, MOUTH) as found:
        (face,) = found.faces
        assert (found.frames, found.repeats, found.turned) == (6, 0, 0)
        assert face.frame_ids.tolist() == [0, 2, 3, 5]
        assert np.isnan(face.ratios[2]).all() and np.isfinite(face.ratios[[0, 1, 3]]).all()
        assert face.mouths(np.array([0, 3]), MOUTH).shape == (2, 64, 144, 3)
        # The frames are enlarged by two: boxes and heights are those of the file.
        assert face.boxes[0].tolist() == [160, 125, 199, 135] and face.quality.face_height == 150


# Settings, and what is said without dlib


def test_published_extraction_knows_neither_repeats_nor_native_mouths() -> None:
    with pytest.raises(UserError, match="use --mouth.repeats keep --mouth.cut aligned"):
        Config(mouth=MouthConfig(landmarks="dlib")).check()
    Config(mouth=MOUTH).check()


def test_a_cache_of_other_landmarks_is_refused(tmp_path) -> None:
    Cache(tmp_path, replace(MOUTH, landmarks="mediapipe"), OFFICIAL.sampling).prepare()
    with pytest.raises(UserError, match="mouth.landmarks is 'mediapipe' in the cache and 'dlib' in the config"):
        Cache(tmp_path, MOUTH, OFFICIAL.sampling).check()


def without_dlib(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)


def folder_config(tmp_path: Path, mouth: MouthConfig) -> Config:
    (tmp_path / "data" / "real").mkdir(parents=True)
    (tmp_path / "data" / "real" / "text.mp4").write_text("not a video")
    return replace(
        OFFICIAL, data=Folder(root=str(tmp_path / "data")), mouth=mouth, cache=CacheConfig(str(tmp_path / "c"))
    )


@pytest.mark.parametrize(
    ("landmarks", "module", "message"),
    [
        ("dlib", "dlib", "dlib needs packages that are not installed: python -m pip install dlib-bin"),
        ("mediapipe", "mediapipe", "mouth.landmarks mediapipe needs `pip install mediapipe==0.10.21`"),
        ("litert", "ai_edge_litert", "ai_edge_litert cannot be imported by"),
    ],
)
def test_missing_landmarks_are_one_line_and_leave_no_cache(
    tmp_path, monkeypatch, capsys, landmarks, module, message
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    config = folder_config(tmp_path, replace(MOUTH, landmarks=landmarks))
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: build_cache(config, load_videos(config.data), lambda *_: None) and None)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_the_official_configs_take_what_is_installed_and_extraction_says_so(tmp_path, monkeypatch, caplog) -> None:
    without_dlib(monkeypatch)
    for name in ("official_v1", "official_v2"):
        assert load_config(name).mouth.landmarks == MouthConfig.landmarks != "dlib"
    config = folder_config(tmp_path, load_config("official_v1").mouth)
    with caplog.at_level(logging.WARNING):
        build_cache(config, load_videos(config.data), lambda *_: None)
    assert "official_v1: mouths are found by MediaPipe's models, not by dlib" in caplog.text
    assert "pip install dlib-bin face_recognition_models" in caplog.text


def test_only_clips_for_the_published_weights_have_the_caveat() -> None:
    other = replace(MOUTH, landmarks="mediapipe")
    assert landmarks_caveat(other, OFFICIAL.sampling)
    assert not landmarks_caveat(MOUTH, OFFICIAL.sampling)
    assert not landmarks_caveat(other, replace(OFFICIAL.sampling, published_quirks=False))


# With dlib


@pytest.fixture(scope="module")
def find_face() -> DlibLandmarks:
    try:
        require_landmarks("dlib")
    except UserError as error:
        pytest.skip(str(error))
    return DlibLandmarks()


def test_dlib_finds_the_points_of_the_scheme(astronaut, find_face) -> None:
    face = find_face(cv2.cvtColor(astronaut, cv2.COLOR_BGR2GRAY))
    mesh = FaceMesh(static=True)
    expected = to_68(mesh(astronaut)[0])
    assert face.points.shape == (68, 2) and face.points.dtype == face.box.dtype == np.int64
    inner = slice(36, 68)  # the jaw lies elsewhere on a head that is turned
    assert np.hypot(*(face.points - expected)[inner].T).max() < 0.06 * np.ptp(expected[:, 0])
    left, top, right, bottom = face.box
    assert left < face.points[30, 0] < right and top < face.points[30, 1] < bottom
    assert find_face(np.full((200, 200), 128, np.uint8)) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["real/adt07.mp4", "real/grid04.mp4", "fake/hdtf01_wav2lip.mp4"],
)
def test_clips_are_those_of_the_published_code(clips_root, find_face, name) -> None:
    """Tolerance: none. Another build of dlib or of OpenCV may round differently in both."""
    frame_ids, mouths = Oracle().extract(clips_root / name)
    clips = extract(clips_root / name, MOUTH, OFFICIAL.sampling)
    assert isinstance(clips, Clips), clips
    assert clips.frame_ids[0].tolist() == frame_ids
    assert np.array_equal(clips.frames[0], mouths)
    assert np.array_equal(clips.residues[0], mouths[1:] - mouths[:-1])
