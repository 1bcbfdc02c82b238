"""Rendered identities have a detectable face, their mouths move, and a forgery changes only its region."""

import cv2
import numpy as np
import pytest

from lipinc.demo.faces import FRAME, make_identity
from lipinc.demo.forgery import draw_generator, forge
from lipinc.demo.talking import Head, Mouth, TalkingHead, speech
from lipinc.demo.videos import render_video, talking_frames
from lipinc.video.landmarks import FaceMesh, to_68
from lipinc.video.mouth import pose_ratios
from lipinc.video.reader import read_frames

STILL = Head(0.0, (0.0, 0.0), 1.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def mesh():
    mesh = FaceMesh(static=True)
    yield mesh


def openness(mesh: FaceMesh, image: np.ndarray) -> float:
    (face,) = mesh(np.rint(image).clip(0, 255).astype(np.uint8))
    return pose_ratios(to_68(face).astype(np.float64))[0]


@pytest.mark.parametrize("number", [0, 1, 2, 3])  # both portraits, original and mirrored
def test_the_mouth_opens_by_the_requested_amount(mesh, number):
    head = TalkingHead(make_identity(number))
    closed, ajar, wide = (openness(mesh, head.render(STILL, Mouth(gap, 1.0))) for gap in (0.0, 0.2, 0.45))
    # The second portrait smiles: FaceMesh measures an openness of about 2 % for its closed lips.
    assert closed < (0.01 if number < 2 else 0.03)
    assert closed + 0.02 < ajar < wide - 0.02


def test_the_face_is_at_the_position_of_the_head_pose(mesh):
    head = TalkingHead(make_identity(3))
    pose = Head(0.03, (6.0, -4.0), 1.02, 0.0, 0.0)
    (face,) = mesh(head.render(pose, Mouth(0.0, 1.0)).astype(np.uint8))
    found = np.concatenate([face.min(axis=0), face.max(axis=0)])
    assert np.abs(found - head.box(pose)).max() < 6


def test_identities_of_one_portrait_differ():
    one, other = make_identity(0), make_identity(4)
    assert np.abs(one.canvas - other.canvas).mean() > 10
    assert np.abs(one.mesh - other.mesh).max() > 3


def test_speech_closes_and_opens_the_mouth_and_is_smooth():
    opening = np.array([mouth.opening for mouth in speech(np.random.default_rng(0), 75)])
    assert opening.min() < 0.02 and opening.max() > 0.3
    assert np.abs(np.diff(opening)).max() < 0.35


def test_a_forgery_changes_only_the_mouth_region():
    real = np.stack(list(talking_frames(number=2, frames=4)))
    fake = np.stack(list(talking_frames(number=2, frames=4, forged="mouth")))
    rows, columns = np.nonzero((real != fake).any(axis=(0, 3)))
    head = TalkingHead(make_identity(2))
    left, top, right, bottom = head.box(STILL)
    middle = (top + bottom) / 2
    assert rows.min() > middle - 6 and columns.min() > left - 8 and columns.max() < right + 8
    assert np.abs(real.astype(int) - fake)[:, int(middle) + 10 : bottom - 5, left + 15 : right - 15].mean() > 2


def test_a_forgery_flickers_even_if_nothing_moves():
    head = TalkingHead(make_identity(1))
    frame = head.render(STILL, Mouth(0.2, 1.0))
    rng = np.random.default_rng(0)
    generator = draw_generator(rng)
    one, two = (forge(frame, frame, head.box(STILL), generator, rng) for _ in range(2))
    left, top, right, bottom = head.box(STILL)
    change = np.abs(one - two).mean(axis=-1)
    assert change[(top + bottom) // 2 + 10 : bottom - 5, left + 15 : right - 15].mean() > 1
    assert change[: (top + bottom) // 2 - 2].max() == 0


@pytest.mark.parametrize("forged", [None, "mouth"])
def test_a_video_has_the_requested_frames_and_is_reproducible_to_the_byte(tmp_path, forged):
    for name in ("a.mp4", "b.mp4"):
        render_video(tmp_path / name, number=2, frames=9, forged=forged)
    frames = [frame.image for frame in read_frames(tmp_path / "a.mp4")]
    assert len(frames) == 9
    assert {frame.shape for frame in frames} == {(FRAME, FRAME, 3)}
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FPS) == 25
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.mp4", "b.mp4"]
