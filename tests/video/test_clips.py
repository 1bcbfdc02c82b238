"""Extraction yields the right mouths of the right frames of the right person, or the right reason."""

from dataclasses import fields, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipinc.config import MouthConfig, SamplingConfig
from lipinc.demo.videos import render_video, talking_frames
from lipinc.video.clips import Clips, extract
from lipinc.video.faces import track_faces
from lipinc.video.landmarks import FaceMesh, lip_outline, to_68
from lipinc.video.mouth import crop_mouth, estimate_pose, residues, resize_mouth
from lipinc.video.rejection import Reason, Rejection

MOUTH, SAMPLING = MouthConfig(), SamplingConfig()


def extract_clips(path: Path, mouth: MouthConfig = MOUTH, sampling: SamplingConfig = SAMPLING) -> Clips:
    clips = extract(path, mouth, sampling)
    assert isinstance(clips, Clips), clips
    return clips


def extract_rejection(path: Path, mouth: MouthConfig = MOUTH, sampling: SamplingConfig = SAMPLING) -> Rejection:
    rejection = extract(path, mouth, sampling)
    assert isinstance(rejection, Rejection), rejection
    return rejection


def assert_equal_clips(one: Clips, other: Clips) -> None:
    for field in fields(Clips):
        assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), field.name


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def handheld_frames(image: np.ndarray, count: int, *, side: int, seed: int) -> list[np.ndarray]:
    """Frames (side, side, 3) of a portrait that shakes by a few px, as if held by hand."""
    at = np.arange(count)[:, None] / 25
    shifts = 4 * np.sin(2 * np.pi * np.array([0.7, 0.9]) * at + np.random.default_rng(seed).uniform(0, 6, 2))
    scale = side / image.shape[0]
    return [
        cv2.warpAffine(image, np.float32([[scale, 0, x], [0, scale, y]]), (side, side), borderMode=cv2.BORDER_REPLICATE)
        for x, y in shifts
    ]


@pytest.fixture(scope="module")
def talk(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("talk") / "talk.mp4"
    render_video(path, number=1, frames=60)
    return path


# Clips


def test_talking_face_yields_a_clip(talk) -> None:
    clips = extract_clips(talk)
    assert clips.frames.shape == (1, 8, 64, 144, 3) and clips.frames.dtype == np.uint8
    assert clips.residues.shape == (1, 7, 64, 144, 3) and clips.residues.dtype == np.uint8
    assert clips.frame_ids.shape == (1, 8) and clips.frame_ids.dtype == np.int32
    assert clips.pose_ratios.shape == (1, 8, 4) and clips.pose_ratios.dtype == np.float32
    assert np.allclose(clips.times, clips.frame_ids / 25, atol=1e-3)
    assert (clips.video_frames, clips.face_frames) == (60, 60)
    assert clips.nearest.tolist() == [0] and clips.faces.tolist() == [0]
    assert np.all(np.diff(clips.frame_ids[0, :5]) == 1)
    assert np.all(clips.pose_ratios[0, :5, 0] >= 0.01)
    assert np.array_equal(clips.residues, residues(clips.frames, "wrapped"))


def test_extraction_is_deterministic(talk) -> None:
    assert_equal_clips(extract_clips(talk), extract_clips(talk))


def test_residue_mode_and_mouth_size_are_settings(talk) -> None:
    clips = extract_clips(talk, replace(MOUTH, residue="absolute", height=32, width=72))
    assert clips.frames.shape == (1, 8, 32, 72, 3)
    assert np.array_equal(clips.residues, residues(clips.frames, "absolute"))


def test_several_windows_are_stacked(talk) -> None:
    clips = extract_clips(talk, sampling=replace(SAMPLING, windows=3, global_frames=2))
    assert clips.frames.shape[:2] == (len(clips.nearest), 7) and len(clips.nearest) > 1
    local = clips.frame_ids[:, :5]
    assert len(np.unique(local)) == local.size


def test_a_repeated_picture_of_a_still_portrait_has_a_constant_mouth(tmp_path, write_video, astronaut) -> None:
    every_frame, any_mouth = replace(MOUTH, residue="absolute", repeats="keep"), replace(SAMPLING, min_movement=0)
    clips = extract_clips(write_video(tmp_path / "v.mp4", [astronaut] * 40), every_frame, any_mouth)
    assert clips.residues.mean() < 6  # landmarks jitter even if nothing moves
    assert np.ptp(clips.pose_ratios[0], axis=0).max() < 0.01


# Rejections


def test_reasons(tmp_path, write_video, astronaut, hopper) -> None:
    small = cv2.resize(hopper, (224, 224), interpolation=cv2.INTER_AREA)

    missing = extract_rejection(tmp_path / "nowhere.mp4")
    assert (missing.reason, missing.frames) == (Reason.MISSING, 0)

    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "folder.mp4").mkdir()
    for name in ("text.mp4", "folder.mp4"):
        assert extract_rejection(tmp_path / name).reason is Reason.UNREADABLE

    short = extract_rejection(write_video(tmp_path / "short.mp4", [astronaut] * 30))
    assert (short.reason, short.frames) == (Reason.TOO_SHORT, 30)

    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), dtype=np.uint8)
    no_face = extract_rejection(write_video(tmp_path / "no_face.mp4", noise))
    assert (no_face.reason, no_face.frames, no_face.face_frames) == (Reason.NO_FACE, 40, 0)

    shaken = handheld_frames(small, 40, side=224, seed=0)
    without = [cv2.resize(image, (224, 224)) for image in noise[:20]]
    rare = extract_rejection(write_video(tmp_path / "rare.mp4", [*shaken[:20], *without]))
    assert (rare.reason, rare.frames) == (Reason.NO_FACE, 40) and 15 <= rare.face_frames <= 25

    closed = extract_rejection(write_video(tmp_path / "closed.mp4", shaken))
    assert (closed.reason, closed.frames) == (Reason.MOUTH_CLOSED, 40) and 38 <= closed.face_frames <= 40

    strict = replace(SAMPLING, min_openness=0, global_frames=20)
    no_pose = extract_rejection(tmp_path / "closed.mp4", sampling=strict)
    assert no_pose.reason is Reason.NO_SIMILAR_POSE

    assert all(r.detail for r in (missing, short, no_face, rare, closed, no_pose))


# Several people


def test_a_mouth_cut_off_by_the_image_border_is_not_used(tmp_path, write_video) -> None:
    frames = list(talking_frames(number=1, frames=60))
    mesh = FaceMesh(static=True)
    lips = lip_outline(mesh(frames[0])[0])
    middle = int(lips[:, 1].mean()) // 2 * 2
    write_video(tmp_path / "cut.mp4", [frame[:middle] for frame in frames])
    rejection = extract_rejection(tmp_path / "cut.mp4")
    assert rejection.reason is Reason.NO_FACE
    assert rejection.face_frames == 0 and rejection.frames == 60


@pytest.fixture(scope="module")
def pair(tmp_path_factory, write_video, astronaut, hopper) -> Path:
    """The astronaut (smiling, larger) on the right, Grace Hopper (lips closed, smaller) on the left."""
    left = handheld_frames(hopper, 45, side=240, seed=1)
    right = handheld_frames(astronaut[:240, 60:300], 45, side=240, seed=2)
    frames = [np.hstack(both) for both in zip(left, right, strict=True)]
    return write_video(tmp_path_factory.mktemp("pair") / "pair.mp4", frames, crf="12")


def test_faces_are_selected_by_rank_or_all(pair) -> None:
    photographs = replace(SAMPLING, min_movement=0)
    by_index = [extract(pair, replace(MOUTH, face=str(rank)), photographs) for rank in range(3)]
    closed, smiling = (0, 1) if isinstance(by_index[0], Rejection) else (1, 0)
    # The encoder's bits depend on the processor, and a frame of a shaken photograph may show no face.
    assert by_index[closed].reason is Reason.MOUTH_CLOSED and 43 <= by_index[closed].face_frames <= 45
    assert by_index[smiling].faces.tolist() == [smiling] and 43 <= by_index[smiling].face_frames <= 45
    assert by_index[2].reason is Reason.NO_FACE and "face 2" in by_index[2].detail
    every_face = extract_clips(pair, replace(MOUTH, face="all"), photographs)
    assert every_face.faces.tolist() == [smiling]
    assert np.array_equal(every_face.frames, by_index[smiling].frames)
    largest = extract(pair, MOUTH, photographs)
    assert (largest.reason is Reason.MOUTH_CLOSED) if closed == 0 else (largest.faces.tolist() == [0])


@pytest.fixture(scope="module")
def duo(tmp_path_factory, write_video) -> dict[str, Path]:
    """Two people who talk: each alone, and side by side with either of them larger."""
    folder = tmp_path_factory.mktemp("duo")
    one, two = (list(talking_frames(number=number, frames=40)) for number in (0, 1))

    def beside(a: list[np.ndarray], b: list[np.ndarray], scale: float) -> list[np.ndarray]:
        side = int(224 * scale)
        b = [cv2.resize(image, (side, side)) for image in b]
        a = [cv2.copyMakeBorder(image, 0, side - 224, 0, 0, cv2.BORDER_REPLICATE) for image in a]
        return [np.hstack(both) for both in zip(a, b, strict=True)]

    return {
        "one": write_video(folder / "one.mp4", one, crf="12"),
        "two": write_video(folder / "two.mp4", two, crf="12"),
        "both": write_video(folder / "both.mp4", beside(one, two, 1.5), crf="12"),
        "other": write_video(folder / "other.mp4", beside(two, one, 1.5), crf="12"),
    }


@pytest.mark.parametrize(("name", "ranked"), [("both", ("two", "one")), ("other", ("one", "two"))])
def test_the_mouth_never_jumps_to_another_person(duo, name, ranked) -> None:
    sampling = replace(SAMPLING, windows=3, min_openness=0, tolerance=20)
    alone = {person: extract_clips(duo[person], sampling=sampling) for person in ranked}
    every_face = extract_clips(duo[name], replace(MOUTH, face="all"), sampling)
    assert set(every_face.faces.tolist()) == {0, 1}
    for rank, person in enumerate(ranked):
        (stranger,) = set(ranked) - {person}
        for mouth in every_face.frames[every_face.faces == rank].reshape(-1, 64, 144, 3):
            own, other = (
                min(difference(mouth, seen) for seen in alone[who].frames.reshape(-1, 64, 144, 3))
                for who in (person, stranger)
            )
            assert own < other
    largest = extract_clips(duo[name], sampling=sampling)
    assert 38 <= largest.face_frames <= 40 and set(largest.faces.tolist()) == {0}
    assert np.array_equal(largest.frames, every_face.frames[every_face.faces == 0])


# Real clips


def decoded(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    images = []
    while (read := capture.read())[0]:
        images.append(read[1])
    return images


@pytest.mark.parametrize(
    ("name", "side", "working_width"),
    [("real/vox01.mp4", 224, 800), ("real/hdtf02.mp4", 1024, 800), ("real/hdtf02.mp4", 1024, 512)],
)
def test_mouths_of_a_real_clip_come_from_the_frames_in_frame_ids(clips_root, name, side, working_width) -> None:
    images = decoded(clips_root / name)
    assert images[0].shape[1] == side
    mouth = replace(MOUTH, working_width=working_width, repeats="keep")
    clips = extract_clips(clips_root / name, mouth, replace(SAMPLING, windows=2))
    assert clips.frames.shape[1:] == (8, 64, 144, 3) and clips.residues.shape[1:] == (7, 64, 144, 3)
    assert clips.video_frames == clips.face_frames == len(images)
    wanted = {
        int(frame): (window, place) for window, ids in enumerate(clips.frame_ids) for place, frame in enumerate(ids)
    }
    mesh = FaceMesh()
    static_mesh = FaceMesh(static=True)
    for frame, image in enumerate(islice(images, max(wanted) + 1)):
        if working_width == 512:
            image = cv2.resize(image, (512, 512), interpolation=cv2.INTER_AREA)
        face = mesh(image)[0].astype(np.float64)
        if frame not in wanted:
            continue
        pose = estimate_pose(to_68(face), lip_outline(face), MOUTH)
        assert np.array_equal(resize_mouth(crop_mouth(image, pose), MOUTH), clips.frames[wanted[frame]])
        assert np.allclose(pose.ratios, clips.pose_ratios[wanted[frame]], atol=1e-6)
        aligned = cv2.warpAffine(image, pose.transform, (256, 256), flags=cv2.INTER_CUBIC)
        again = to_68(static_mesh(aligned)[0])
        assert np.hypot(*(again[36:42].mean(axis=0) - (102.4, 102.4))) < 3
        assert np.hypot(*(again[42:48].mean(axis=0) - (153.6, 102.4))) < 3


@pytest.mark.parametrize("working_width", [800, 100])
def test_native_mouths_are_pixels_of_the_frames(talk, working_width) -> None:
    # Also if the frames are downscaled for face detection.
    aligned_mouth = replace(MOUTH, working_width=working_width)
    native = replace(aligned_mouth, cut="native", margin=0.15)
    clips, aligned = (extract_clips(talk, mouth, replace(SAMPLING, windows=4)) for mouth in (native, aligned_mouth))
    whole = extract_clips(talk, replace(native, working_width=800), replace(SAMPLING, windows=4))
    assert np.abs(clips.sizes.mean(axis=0) / whole.sizes.mean(axis=0) - 1).max() < 0.15
    assert np.array_equal(clips.frame_ids, aligned.frame_ids) and np.array_equal(clips.pose_ratios, aligned.pose_ratios)
    assert clips.frames.shape[2:4] == tuple(clips.sizes.max(axis=0))
    assert len(np.unique(clips.sizes, axis=0)) > 1  # each window has its own size
    images = decoded(talk)
    for number, ids in enumerate(clips.frame_ids):
        frames, residue = clips.window(number)
        height, width = clips.sizes[number]
        assert frames.shape == (8, height, width, 3) and np.array_equal(residue, residues(frames, "wrapped"))
        assert not clips.frames[number, :, height:].any() and not clips.frames[number, :, :, width:].any()
        for mouth, frame in zip(frames, ids, strict=True):
            match = cv2.matchTemplate(images[frame], mouth, cv2.TM_SQDIFF)
            _, _, (left, top), _ = cv2.minMaxLoc(match)
            assert np.array_equal(images[frame][top : top + height, left : left + width], mouth)


@pytest.mark.parametrize("working_width", [800, 100])
def test_boxes_are_where_the_mouths_were_cut_out(talk, working_width) -> None:
    native = replace(MOUTH, working_width=working_width, cut="native", margin=0.15)
    images = decoded(talk)
    with track_faces(talk, native) as video:
        face = video.faces[0]
        assert face.boxes.shape == (len(face.frame_ids), 4) and face.boxes.dtype == np.int32
        for position, (frame, box) in enumerate(zip(face.frame_ids, face.boxes, strict=True)):
            mouth = face.mouths(np.array([position]), native)[0]
            _, _, corner, _ = cv2.minMaxLoc(cv2.matchTemplate(images[frame], mouth, cv2.TM_SQDIFF))
            cut = np.array([*corner, corner[0] + mouth.shape[1], corner[1] + mouth.shape[0]])
            assert np.abs(box - cut).max() <= 1


def test_frames_downscaled_by_two_give_nearly_the_same_poses(clips_root) -> None:
    def ratios(working_width: int) -> tuple[np.ndarray, np.ndarray]:
        with track_faces(clips_root / "real/hdtf02.mp4", replace(MOUTH, working_width=working_width)) as video:
            return video.faces[0].frame_ids, video.faces[0].ratios

    (ids, full), (half_size_ids, half_size) = ratios(1024), ratios(512)
    assert np.array_equal(ids, half_size_ids)
    assert np.abs(full - half_size).mean() < 0.005  # half a percent of the face; see docs/performance.md


def test_no_window_spans_a_cut(write_video, tmp_path) -> None:
    frames = list(talking_frames(number=1, frames=48))
    path = write_video(tmp_path / "cuts.mp4", [*frames, *(frame // 2 for frame in frames), *frames])
    with track_faces(path, MOUTH) as video:
        (face,) = video.faces
        cut = np.searchsorted(face.frame_ids, [48, 96])
        assert (np.diff(face.pictures)[cut - 1] == 2).all() and np.array_equal(
            face.scenes, np.searchsorted([48, 96], face.frame_ids, side="right") % 2
        )
    clips = extract_clips(path, sampling=replace(SAMPLING, windows=100, fallback="nearest"))
    part = np.searchsorted([48, 96], clips.frame_ids, side="right")
    assert (part[:, :5] == part[:, :1]).all() and set(part[:, 0]) == {0, 1, 2}
    assert (part % 2 == part[:, :1] % 2).all()  # also the global frames
