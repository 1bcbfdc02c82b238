"""Overlays: what is drawn where, and files that keep the times, the frames and the sound of the video."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from lipinc.detection import overlay
from lipinc.detection.detector import Detector
from lipinc.detection.overlay import FACE_COLORS, RED, Overlay, check_target, render_overlay, write_overlay
from lipinc.detection.segments import Segment
from lipinc.detection.verdict import Assessment, Decision, FaceVerdict, MouthTrack, Source, Verdict, WindowScore
from lipinc.errors import UserError
from lipinc.video.landmarks import FaceMesh, lip_outline
from lipinc.video.reader import read_frames
from lipinc.video.video_files import video_sha256

SOURCE = Source("tiny.safetensors", "c" * 64, "lipinc_v2", 0.5, (0.3, 0.6), {}, {}, "")
BOX = (60, 70, 100, 90)
FRAMES = 40
SIZE = (161, 181)  # height and width, both odd


def verdict(file: Path | str = "v.mp4", *, ranks: tuple[int, ...] = (0,), frames: int = FRAMES) -> Verdict:
    """A verdict on a video of 25 frames per second, with a window from 0.4 to 0.8 s and one from 1.2 to 1.4 s."""
    windows = (WindowScore(0.4, 0.8, (), 0.25), WindowScore(1.2, 1.4, (), 0.75))
    ids = np.arange(frames)
    assessment = Assessment(Decision.UNCERTAIN, 0.5, 2, 1.0, None, "")
    faces = tuple(
        FaceVerdict(
            rank,
            np.zeros((9, 9, 3), np.uint8),
            assessment,
            windows if rank == 0 else (),
            (),
            track=MouthTrack(0, ids, ids / 25, np.tile(np.int32(BOX) + 20 * rank, (frames, 1))),
        )
        for rank in ranks
    )
    digest = video_sha256(file) if Path(file).exists() else "a" * 64
    return Verdict(str(file), digest, frames, (frames - 1) / 25, assessment, faces, SOURCE)


def grey(count: int = FRAMES, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    return [np.full((*size, 3), 128, np.uint8)] * count


def is_color(picture: np.ndarray, color: tuple[int, int, int], tolerance: int = 0) -> np.ndarray:
    return np.abs(picture.astype(int) - color).max(axis=-1) <= tolerance


# Drawing


def test_the_box_surrounds_the_mouth_and_covers_none_of_it() -> None:
    drawing = Overlay(verdict(), *SIZE)
    picture = drawing.draw(grey()[0], 5, 0.2)
    left, top = drawing.layout.picture
    ys, xs = np.nonzero(is_color(picture[: SIZE[0]], FACE_COLORS[0]))
    edges = np.array([xs.min() - left, ys.min() - top, xs.max() + 1 - left, ys.max() + 1 - top])
    assert np.abs(edges - BOX).max() <= 4
    inside = picture[top + BOX[1] : top + BOX[3], left + BOX[0] : left + BOX[2]]
    assert (inside == 128).all()


def test_a_frame_without_a_mouth_has_no_box_and_its_picture_is_untouched() -> None:
    drawing = Overlay(verdict(frames=10), *SIZE)
    picture = drawing.draw(grey()[0], 30, 1.2)
    left, top = drawing.layout.picture
    assert (picture[top : top + SIZE[0], left : left + SIZE[1]] == 128).all()


@pytest.mark.parametrize("time", [0.0, 0.6, 1.56])
def test_the_cursor_is_at_the_present_moment(time) -> None:
    drawing = Overlay(verdict(), *SIZE)
    left, top, right, bottom = drawing.layout.plot
    row = drawing.draw(grey()[0], 0, time)[(top + bottom) // 2]
    cursor = np.flatnonzero((row > 200).all(axis=-1))
    assert cursor.mean() == pytest.approx(left + (right - left) * time / 1.56, abs=1)


def test_the_line_is_at_the_running_probability() -> None:
    drawing = Overlay(verdict(), *SIZE)
    picture = drawing.draw(grey()[0], 0, 0.0)
    left, top, right, bottom = drawing.layout.plot
    for time, probability in ((0.6, 0.25), (0.95, 0.25), (1.05, 0.75), (1.3, 0.75), (0.2, None), (1.5, None)):
        column = picture[top:bottom, round(left + (right - left) * time / 1.56)]
        line = np.flatnonzero(is_color(column, FACE_COLORS[0], 60))
        if probability is None:
            assert len(line) == 0
        else:
            assert line.mean() == pytest.approx((bottom - top) * (1 - probability), abs=1)


def test_faces_have_boxes_of_their_own_colour_and_numbers() -> None:
    two = Overlay(verdict(ranks=(0, 1)), *SIZE).draw(grey()[0], 5, 0.2)
    for color in FACE_COLORS[:2]:
        assert is_color(two[: SIZE[0]], color).sum() > 100
    alone = Overlay(verdict(ranks=(1,)), *SIZE).draw(grey()[0], 5, 0.2)
    assert is_color(alone[: SIZE[0]], FACE_COLORS[1]).sum() > 100  # --face 1


def test_suspicious_segments_are_red_below_and_around_the_mouth() -> None:
    plain = verdict()
    drawing = Overlay(replace(plain, faces=(replace(plain.faces[0], segments=(Segment(0.4, 0.8, 0.9),)),)), *SIZE)
    left, top, right, _ = drawing.layout.plot
    within, after = (drawing.draw(grey()[0], round(25 * time), time) for time in (0.6, 1.0))
    assert is_color(within[: SIZE[0]], RED).sum() > 100 and not is_color(after[: SIZE[0]], RED).any()
    assert is_color(after[: SIZE[0]], FACE_COLORS[0]).any()
    red = np.flatnonzero(is_color(after[top + 1], RED))
    assert red[[0, -1]] == pytest.approx([left + (right - left) * time / 1.56 for time in (0.4, 0.8)], abs=2)


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (101, 2001), (2000, 100), (1080, 1920), (2160, 3840)])
def test_any_size_gives_even_frames_whose_strip_has_room_for_its_text(size) -> None:
    drawing = Overlay(verdict(), *size)
    picture = drawing.draw(grey(1, size)[0], 0, 0.0)
    layout = drawing.layout
    assert picture.shape == (layout.canvas_height, layout.canvas_width, 3)
    assert layout.canvas_height % 2 == 0 and layout.canvas_width % 2 == 0 and layout.canvas_width >= 480
    left, top = layout.picture
    assert left >= 0 and left + size[1] <= layout.canvas_width and layout.plot[3] < layout.canvas_height
    last = picture[-max(2, layout.text // 8) :]
    assert (last == overlay.BACKGROUND).all()  # no text is cut off


def test_a_picture_that_changes_its_size_is_fitted_with_its_box() -> None:
    drawing = Overlay(verdict(), *SIZE)
    picture = drawing.draw(grey(1, (2 * SIZE[0], 2 * SIZE[1]))[0], 5, 0.2)
    left, top = drawing.layout.picture
    x, y = (BOX[0] + BOX[2]) // 4 + left, (BOX[1] + BOX[3]) // 4 + top  # the same box, in half the size
    assert (picture[y, x] == 128).all()
    assert (picture[y, x - 20 : x] != 128).any() and (picture[y, x : x + 20] != 128).any()


def test_names_that_the_font_lacks_are_escaped_and_long_ones_made_smaller() -> None:
    name = "модель é 口型 " + "long " * 20 + "\n.safetensors"
    named = replace(verdict(), source=replace(SOURCE, checkpoint=name))
    picture = Overlay(named, *SIZE).draw(grey()[0], 0, 0.0)
    other = Overlay(verdict(), *SIZE).draw(grey()[0], 0, 0.0)
    assert picture.shape == other.shape and (picture != other).any()


# Files


@pytest.fixture
def film(tmp_path) -> Callable[..., Path]:
    """film(name, codec="aac", sound_at=0.0, times=None, tracks=1): grey frames, and a tone from 1 s on."""

    def make(name: str, codec: str = "aac", sound_at: float = 0.0, times: list[int] | None = None, tracks=1) -> Path:
        rate = 48_000
        samples = np.arange(2 * rate)
        tone = (0.5 * np.sin(2 * np.pi * 440 * samples / rate) * (samples >= rate)).astype(np.float32)
        with av.open(str(tmp_path / name), "w") as container:
            video = container.add_stream("mpeg4" if name.endswith("avi") else "libx264", rate=25)
            video.height, video.width, video.pix_fmt = 160, 180, "yuv420p"
            sounds = [container.add_stream(codec, rate=rate, layout="mono") for _ in range(tracks)]
            for number, image in enumerate(grey(FRAMES, (160, 180))):
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                frame.pts, frame.time_base = (times or range(FRAMES))[number], Fraction(1, 25)
                container.mux(video.encode(frame))
            container.mux(video.encode())
            for track, stream in enumerate(sounds):
                for start in range(0, len(tone), 960):
                    part = (1 - track) * tone[None, start : start + 960]
                    if stream.codec_context.format.name == "s16":
                        part = (part * 32767).astype(np.int16)
                    frame = av.AudioFrame.from_ndarray(part, format=stream.codec_context.format.name, layout="mono")
                    frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                    frame.pts = start + round(sound_at * rate)
                    container.mux(stream.encode(frame))
                container.mux(stream.encode())
        return tmp_path / name

    return make


def rendered(video: Path) -> Path:
    target = video.with_name("overlay.mp4")
    render_overlay(verdict(video), target)
    return target


def packets(file: Path, kind: str) -> list[bytes]:
    with av.open(str(file)) as container:
        return [bytes(packet) for packet in container.demux(**{kind: 0}) if packet.size]


def tone_begins(file: Path) -> float:
    """When the tone begins, in s after the first picture."""
    with av.open(str(file)) as container:
        first = next(container.decode(video=0)).time
    with av.open(str(file)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray().astype(float).ravel()
            loud = np.flatnonzero(np.abs(samples) > 0.3 * (32767 if frame.format.name.startswith("s16") else 1))
            if len(loud):
                return frame.time + loud[0] / frame.sample_rate - first
    raise AssertionError("silence")


def test_a_file_keeps_frames_and_times_and_shows_the_box(film) -> None:
    times = [0, 1, 2, 5, 6, *range(20, 55)]  # a variable frame rate
    video = film("v.mp4", times=times)
    target = rendered(video)
    frames, source = list(read_frames(target)), list(read_frames(video))
    assert [frame.time for frame in frames] == pytest.approx([frame.time for frame in source], abs=1e-4)
    height, width = frames[0].image.shape[:2]
    assert height % 2 == 0 and width % 2 == 0
    left = (width - 180) // 2
    around = frames[5].image[BOX[1] - 5 : BOX[3] + 5, left + BOX[0] - 5 : left + BOX[2] + 5]
    assert is_color(around, FACE_COLORS[0], 60).sum() > 20
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    content = target.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")  # a browser can play while it loads


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts"])
def test_sound_that_mp4_can_hold_is_copied(film, name) -> None:
    video = film(name)
    target = rendered(video)
    sound = packets(video, "audio")
    if name == "v.ts":  # without the header of each packet, which mp4 stores once
        sound = [packet[7:] for packet in sound]
    assert len(sound) > 50 and packets(target, "audio") == sound
    assert tone_begins(target) == pytest.approx(tone_begins(video), abs=0.002)


@pytest.mark.parametrize(("name", "codec"), [("v.mov", "pcm_s16le"), ("v.mkv", "ac3"), ("v.avi", "pcm_s16le")])
def test_other_sound_is_encoded_as_aac_in_step_with_the_picture(film, name, codec) -> None:
    target = rendered(film(name, codec))
    with av.open(str(target)) as container:
        assert [stream.codec_context.name for stream in container.streams.audio] == ["aac"]
    assert tone_begins(target) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
@pytest.mark.parametrize(("sound_at", "first_picture"), [(0.5, 0), (0.0, 10)])
def test_sound_and_picture_keep_their_starting_times(film, codec, sound_at, first_picture) -> None:
    video = film("v.mov", codec, sound_at, times=[first_picture + number for number in range(FRAMES)])
    target = rendered(video)
    assert tone_begins(target) == pytest.approx(1 + sound_at - first_picture / 25, abs=0.03)
    with av.open(str(target)) as container:
        assert next(container.decode(video=0)).time == pytest.approx(first_picture / 25, abs=1e-3)


def test_where_recordings_are_joined_the_sound_follows_the_picture(film, tmp_path) -> None:
    one = film("one.ts")
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one.read_bytes() * 2)
    target = rendered(joined)
    with av.open(str(target)) as container:
        samples = [(f.time, np.abs(f.to_ndarray()).max()) for f in container.decode(audio=0)]
    with av.open(str(target)) as container:
        first = next(container.decode(video=0)).time
    loud = [time - first for time, level in samples if level > 0.3]
    second = [time for time in loud if time > FRAMES / 25 + 0.5]  # the tone of the first one ends before
    assert min(second) == pytest.approx(FRAMES / 25 + 1, abs=0.05)


@pytest.mark.parametrize("lost", [0.5, 1.0])
def test_damaged_or_missing_sound_keeps_no_picture_from_being_shown(film, lost) -> None:
    video = film("v.ts")
    content = np.frombuffer(video.read_bytes(), np.uint8).reshape(-1, 188).copy()
    sound = (content[:, 1] & 31 == 1) & (content[:, 2] == 1)  # PID 0x101
    dropped = sound & (np.random.default_rng(1).random(len(content)) < lost)
    content[dropped, 1:3] = 31, 255  # padding
    assert dropped.sum() > 20
    video.write_bytes(content.tobytes())
    assert len(list(read_frames(rendered(video)))) == FRAMES


def test_of_several_tracks_the_first_is_kept(film) -> None:
    target = rendered(film("v.mkv", tracks=2))
    with av.open(str(target)) as container:
        assert len(container.streams.audio) == 1
    assert tone_begins(target) == pytest.approx(1, abs=0.03)


def test_a_folder_of_frames_has_no_sound(tmp_path) -> None:
    for number, image in enumerate(grey()):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    render_overlay(verdict(tmp_path), tmp_path.parent / "overlay.mp4")
    with av.open(str(tmp_path.parent / "overlay.mp4")) as container:
        assert not container.streams.audio and container.streams.video[0].frames == FRAMES


def test_turned_pictures_are_turned(film, tmp_path) -> None:
    video = film("v.mp4")
    found = verdict(video)
    face = replace(found.faces[0], track=replace(found.faces[0].track, turned=90))
    render_overlay(replace(found, faces=(face,)), tmp_path / "o.mp4")
    image = next(read_frames(tmp_path / "o.mp4")).image
    layout = Overlay(found, 180, 160).layout
    assert image.shape[:2] == (layout.canvas_height, layout.canvas_width)


# Errors


def test_what_cannot_be_written_is_refused(film, tmp_path) -> None:
    video = film("v.mp4")
    (tmp_path / "link.mp4").symlink_to(video)
    (tmp_path / "folder.mp4").mkdir()
    frames = tmp_path / "frames"
    frames.mkdir()
    refusals = {
        video: "is read",
        tmp_path / "link.mp4": "is read",
        tmp_path / "folder.mp4": "it is a folder",
        tmp_path / "nowhere" / "o.mp4": "there is no folder",
        tmp_path / "o.avi": "ends with .mp4",
        tmp_path / "caf\udce9.mp4": "not UTF-8",
    }
    for target, reason in refusals.items():
        with pytest.raises(UserError, match=reason):
            check_target(target, video)
    with pytest.raises(UserError, match="lies in the folder of frames"):
        check_target(frames / "o.mp4", frames)
    check_target(tmp_path / "o.mp4", video)


def test_a_read_only_folder_is_refused(unprivileged) -> None:
    unprivileged.chmod(0o500)
    with pytest.raises(UserError, match="read-only"):
        check_target(unprivileged / "o.mp4", unprivileged / "v.mp4")
    unprivileged.chmod(0o700)


def test_a_verdict_without_an_answer_or_tracks_has_no_overlay(film, tmp_path) -> None:
    found = verdict(film("v.mp4"))
    refused = replace(found, assessment=replace(found.assessment, probability=None))
    with pytest.raises(UserError, match="there is no verdict"):
        write_overlay(refused, tmp_path / "o.mp4")
    without = replace(found, faces=(replace(found.faces[0], track=None),))
    with pytest.raises(UserError, match="track=True"):
        write_overlay(without, tmp_path / "o.mp4")


def test_a_video_that_has_changed_since_its_verdict_is_refused(film, tmp_path) -> None:
    video = film("v.mp4")
    found = verdict(video)
    film("v.mp4", sound_at=0.5)
    with pytest.raises(UserError, match="v.mp4 has changed since the verdict"):
        write_overlay(found, tmp_path / "o.mp4")
    video.unlink()
    with pytest.raises(UserError, match="No such file"):
        render_overlay(found, tmp_path / "o.mp4")
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_a_file_that_cannot_be_completed(film, tmp_path, monkeypatch) -> None:
    found = verdict(film("v.mp4"))
    target = tmp_path / "o.mp4"
    target.write_bytes(b"before")

    def call(_, function, found, temporary, **options):
        temporary.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(overlay.IsolatedProcess, "call", call)
    with pytest.raises(OSError, match="No space left"):
        write_overlay(found, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.mp4", "v.mp4"]
    assert target.read_bytes() == b"before"


# Real clips


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "quarter_turns"), [("fake/hdtf04_wav2lip.mp4", 0), ("fake/hdtf04_wav2lip.mp4", 2), ("real/adt01.mp4", 0)]
)
def test_boxes_surround_the_lips_of_a_real_clip(clips_root, tmp_path, checkpoint, write_video, name, quarter_turns):
    video = clips_root / name
    if quarter_turns:
        turned = [np.rot90(frame.image, quarter_turns) for frame in read_frames(video)]
        video = write_video(tmp_path / "turned.mp4", turned)
    found = Detector(checkpoint, device="cpu")(video, track=True)
    target = tmp_path / "o.mp4"
    render_overlay(found, target)
    frames = list(read_frames(target))
    assert len(frames) == found.frames
    left = Overlay(found, *next(read_frames(video)).image.shape[:2]).layout.picture[0]
    mesh = FaceMesh(static=True)
    for frame in frames[::20]:
        lips = lip_outline(mesh(frame.image)[0])
        box = found.faces[0].track.boxes[found.faces[0].track.frame_ids == frame.index][0] + (left, 0, left, 0)
        size = box[2:] - box[:2]
        low, high = lips.min(axis=0), lips.max(axis=0)
        assert (np.abs(np.concatenate([low, high]) - box) < 0.35 * np.tile(size, 2)).all()
        x, y = box[0] - 3, (box[1] + box[3]) // 2
        assert is_color(frame.image[y, x - 2 : x + 3], FACE_COLORS[0], 70).any()
    if not quarter_turns:
        with av.open(str(video)) as container:
            has_sound = bool(container.streams.audio)
        assert not has_sound or packets(target, "audio") == packets(video, "audio")
