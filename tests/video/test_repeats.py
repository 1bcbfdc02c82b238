"""A repeated picture is no new picture, whatever a codec made of it, and a moving one is."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lipinc.config import MouthConfig, SamplingConfig
from lipinc.demo.videos import talking_frames
from lipinc.video.clips import Clips, extract
from lipinc.video.faces import track_faces
from lipinc.video.reader import Frame, read_frames
from lipinc.video.rejection import Reason, Rejection
from lipinc.video.repeats import MAX_HOLD, MouthPictures, RepeatFilter, largest_change
from lipinc.video.writer import encode

MOUTH, SAMPLING = MouthConfig(), replace(SamplingConfig(), windows=3)


def blob(x: float, level: int = 200, side: int = 96) -> np.ndarray:
    image = np.full((side, side, 3), 60, dtype=np.uint8)
    return cv2.circle(image, (round(8 * x), side // 2 * 8), 12 * 8, (level,) * 3, -1, cv2.LINE_AA, shift=3)


def new_pictures(images: list[np.ndarray]) -> list[int]:
    repeats = RepeatFilter()
    return [index for index, image in enumerate(images) if not repeats.is_repeat(image)]


def test_the_largest_change_is_that_of_one_block() -> None:
    before = np.zeros((35, 50), dtype=np.uint8)
    after = before.copy()
    after[8:16, 16:24] = 10
    assert largest_change(before, after) == 10
    assert largest_change(before[:3, :3], after[8:11, 16:19]) == 10  # smaller than a block
    after[34, 49] = 255  # fills no block
    assert largest_change(before, after) == 10


@pytest.mark.parametrize("pattern", [(1,), (2,), (4,), (1, 2), (1, 1, 1, 2), (3, 1, 2)])
def test_exact_repeats_in_any_cadence_are_left_out(pattern) -> None:
    counts = np.resize(pattern, 40)
    images = [blob(20 + step) for step, count in enumerate(counts) for _ in range(count)]
    assert new_pictures(images) == np.concatenate([[0], np.cumsum(counts)[:-1]]).tolist()


@pytest.mark.parametrize(("crf", "missed"), [(10, 0.02), (23, 0.1), (35, 0.35)])
@pytest.mark.parametrize("fps", [30, 50])
def test_repeats_are_found_after_compression(tmp_path, crf, missed, fps) -> None:
    number = np.arange(2 * fps) * 25 // fps
    talk = list(talking_frames(number=3, frames=51))
    video = tmp_path / "v.mp4"
    encode((Frame(i, i / fps, talk[n]) for i, n in enumerate(number)), video, crf=crf, preset="fast")
    new = new_pictures([frame.image for frame in read_frames(video)])
    repeated = np.diff(number, prepend=-1) == 0
    assert repeated[new].sum() <= missed * repeated.sum()
    assert len(new) >= 0.85 * (~repeated).sum()


def test_a_mouth_that_moves_in_a_still_picture_is_new() -> None:
    images = [np.full((600, 800, 3), 90, dtype=np.uint8) for _ in range(10)]
    for index, image in enumerate(images):
        image[400 : 404 + 2 * index, 300:330] = 30
    assert new_pictures(images) == list(range(10))


def test_pictures_of_a_dark_video_are_new() -> None:
    assert new_pictures([blob(20 + 2 * step, level=80) for step in range(25)]) == list(range(25))


def test_another_size_is_a_new_picture() -> None:
    assert new_pictures([blob(30), blob(30), blob(30, side=100), blob(30, side=100)]) == [0, 2]


def test_repeated_frames_give_the_clips_of_the_video_without_them(tmp_path, write_video) -> None:
    talk = list(talking_frames(number=3, frames=60))
    plain, doubled = (
        extract(write_video(tmp_path / f"{name}.avi", frames, fps=fps, codec="ffv1", pix_fmt="bgr0"), MOUTH, SAMPLING)
        for name, frames, fps in (("plain", talk, 25), ("doubled", np.repeat(talk, 2, axis=0), 50))
    )
    assert isinstance(plain, Clips) and plain.repeats <= 1
    assert (doubled.video_frames, doubled.repeats) == (120, 60 + plain.repeats)
    assert doubled.face_frames == plain.face_frames
    assert np.array_equal(doubled.frames, plain.frames) and np.array_equal(doubled.frame_ids, 2 * plain.frame_ids)
    assert np.allclose(doubled.times, plain.times)


def test_min_frames_counts_pictures(tmp_path, write_video) -> None:
    video = write_video(tmp_path / "v.mp4", np.repeat(list(talking_frames(number=3, frames=25)), 2, axis=0), fps=50)
    rejection = extract(video, MOUTH, SAMPLING)
    assert (rejection.reason, rejection.frames, rejection.repeats) == (Reason.TOO_SHORT, 50, rejection.repeats)
    assert rejection.repeats >= 22 and f"{rejection.repeats} of them repeat" in rejection.detail
    kept = extract(video, replace(MOUTH, repeats="keep"), replace(SAMPLING, fallback="nearest"))
    assert isinstance(kept, Clips) and kept.repeats == 0


@pytest.mark.parametrize("change", ["nothing", "noise", "shake", "zoom"])
def test_a_photograph_gets_no_clips(tmp_path, write_video, astronaut, change) -> None:
    random, size = np.random.default_rng(0), astronaut.shape[:2]
    frames = []
    for index in range(45):
        image = astronaut
        if change == "noise":
            image = (image + random.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8)
        elif change == "shake":
            shift = np.float32([[1, 0, 6 * np.sin(index / 3)], [0, 1, 4 * np.cos(index / 4)]])
            image = cv2.warpAffine(image, shift, size, borderMode=cv2.BORDER_REPLICATE)
        elif change == "zoom":
            image = cv2.resize(image, None, fx=1 + index / 200, fy=1 + index / 200)[: size[0], : size[1]]
        frames.append(image)
    rejection = extract(write_video(tmp_path / "v.mp4", frames), MOUTH, SAMPLING)
    assert isinstance(rejection, Rejection) and rejection.reason is Reason.NO_MOVEMENT
    assert ("nothing moves" in rejection.detail) == (change == "nothing")


def test_a_freeze_makes_no_window(tmp_path, write_video) -> None:
    talk = list(talking_frames(number=3, frames=60))
    video = write_video(tmp_path / "v.avi", [*talk[:30], *[talk[29]] * 40, *talk[30:]], codec="ffv1", pix_fmt="bgr0")
    clips = extract(video, MOUTH, replace(SAMPLING, windows=99))
    assert clips.repeats in (40, 41)
    assert not np.isin(clips.frame_ids, range(30, 70)).any()
    local = clips.frame_ids[:, :5]
    assert not ((local[:, 0] <= 29) & (local[:, -1] >= 70)).any()  # the pictures around it are not adjacent


def test_a_mouth_that_is_repeated_in_a_moving_picture_counts_once(tmp_path, write_video) -> None:
    # A talking head of 25 pictures per second under a caption that runs at 50.
    frames = np.repeat(list(talking_frames(number=3, frames=50)), 2, axis=0)
    for index, frame in enumerate(frames):
        frame[-12:] = 0
        frame[-12:, (3 * index) % 200 : (3 * index) % 200 + 20] = 255
    with track_faces(write_video(tmp_path / "v.mp4", frames, fps=50), MOUTH) as video:
        assert video.repeats == 0
        (face,) = video.faces
        assert 45 <= len(face.frame_ids) <= 60
        # Most mouths count once. How many depends on the last bits of the rendered frames: 0.69 on Debian 13.
        assert np.mean(np.diff(face.frame_ids) == 2) > 0.6 and np.mean(np.diff(face.pictures) == 1) > 0.95


def test_numbers_of_mouth_pictures() -> None:
    random, lips = np.random.default_rng(0), np.array([[10.0, 10.0], [50.0, 40.0]])
    images = random.integers(0, 255, (6, 64, 64, 3), dtype=np.uint8)
    mouth = MouthPictures()
    assert [mouth.number(n, n / 25, images[n], lips) for n in range(2)] == [0, 1]
    assert mouth.number(2, 2 / 25, images[1], lips) is None
    assert mouth.number(3, 3 / 25, images[2], lips) == 2
    assert mouth.number(5, 5 / 25, images[3], lips) == 4  # one picture did not show it
    assert mouth.number(6, 5 / 25 + 2 * MAX_HOLD, images[4], lips) == 6  # held too long
    assert mouth.number(7, 6 / 25 + 2 * MAX_HOLD, images[5], lips) == 7
    assert mouth.number(8, 7 / 25 + 2 * MAX_HOLD, images[5][:20, :20], lips) is not None  # another size


def test_real_clips_keep_their_frames(clips_root) -> None:
    with track_faces(clips_root / "real/hdtf02.mp4", MOUTH) as video:
        assert video.frames == 81 and video.repeats <= 5


@pytest.mark.slow
def test_a_repeated_lip_sync_has_its_own_clips(clips_root, tmp_path, write_video) -> None:
    frames = [frame.image for frame in read_frames(clips_root / "fake/hdtf04_wav2lip.mp4")]
    video = write_video(tmp_path / "v.mp4", np.repeat(frames, 2, axis=0), fps=50)
    with track_faces(clips_root / "fake/hdtf04_wav2lip.mp4", MOUTH) as before, track_faces(video, MOUTH) as after:
        assert abs(after.pictures - before.pictures) <= 2
        assert abs(len(after.faces[0].frame_ids) - len(before.faces[0].frame_ids)) <= 3
