"""Re-encoding keeps frames and times and loses only detail."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from lipinc.demo.videos import talking_frames
from lipinc.synthesis.compression import reencode, resize
from lipinc.synthesis.perturbations import Encoding, encodings_of
from lipinc.video.reader import Frame, Unreadable, read_frames
from lipinc.video.repeats import RepeatFilter
from lipinc.video.writer import encode


@pytest.fixture
def moving(astronaut) -> list[np.ndarray]:
    """A portrait that drifts, [81, 121, 3]: odd sides."""
    small = cv2.resize(astronaut, (160, 160), interpolation=cv2.INTER_AREA)
    return [small[20 + n : 101 + n, 5 + n : 126 + n] for n in range(12)]


def test_frames_and_times_are_kept(tmp_path, write_video, moving) -> None:
    rate = Fraction(30000, 1001)
    source = write_video(tmp_path / "a.mkv", moving, fps=rate, pix_fmt="yuv444p", crf="0")
    assert reencode(source, tmp_path / "out" / "a.mkv", Encoding(18)) == 12
    before, after = list(read_frames(source)), list(read_frames(tmp_path / "out" / "a.mkv"))
    assert np.allclose([frame.time for frame in after], [frame.time for frame in before], atol=1e-4)
    for a, b in zip(before, after, strict=True):
        assert b.image.shape == (80, 120, 3)  # the odd row and column are cut off
        assert cv2.PSNR(np.ascontiguousarray(a.image[:80, :120]), b.image) > 27
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.mkv"]


def test_equal_frames_give_equal_bytes_whatever_the_memory_contains(tmp_path) -> None:
    frames = [Frame(n, n / 25, image) for n, image in enumerate(talking_frames(number=1, frames=30))]
    random, files = np.random.default_rng(0), set()
    for _ in range(6):
        garbage = [random.integers(0, 255, (400, 400, 3), dtype=np.uint8) for _ in range(50)]
        del garbage
        encode(frames, tmp_path / "a.mp4", crf=18, preset="veryfast")
        files.add((tmp_path / "a.mp4").read_bytes())
    assert len(files) == 1


def test_higher_rate_factor_gives_a_smaller_file_and_a_worse_picture(tmp_path, write_video, moving) -> None:
    source = write_video(tmp_path / "a.mp4", moving, pix_fmt="yuv444p")
    sizes, errors = [], []
    original = list(read_frames(source))
    for crf in (10, 28, 45):
        target = tmp_path / f"{crf}.mp4"
        reencode(source, target, Encoding(crf))
        sizes.append(target.stat().st_size)
        pairs = zip(original, read_frames(target), strict=True)
        errors.append(np.mean([np.abs(a.image[:80, :120].astype(int) - b.image).mean() for a, b in pairs]))
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)


def test_the_same_input_gives_the_same_bytes(tmp_path, write_video, moving) -> None:
    source = write_video(tmp_path / "a.mp4", moving, pix_fmt="yuv444p")
    for name in ("1.mp4", "2.mp4"):
        reencode(source, tmp_path / name, Encoding(28))
    assert (tmp_path / "1.mp4").read_bytes() == (tmp_path / "2.mp4").read_bytes()


def test_unreadable_source_leaves_nothing_behind(tmp_path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(Unreadable):
        reencode(tmp_path / "a.mp4", tmp_path / "out" / "a.mp4", Encoding(28))
    assert list((tmp_path / "out").iterdir()) == []


def test_colours_are_kept(tmp_path, write_video) -> None:
    for number, colour in enumerate(((120, 120, 120), (90, 120, 180), (60, 80, 140), (10, 20, 30))):
        frame = Frame(0, 0.0, np.full((64, 96, 3), colour, dtype=np.uint8))
        encode([frame], tmp_path / f"{number}.mp4", crf=4, preset="medium")
        (back,) = read_frames(tmp_path / f"{number}.mp4")
        assert np.abs(back.image.astype(int) - colour).max() <= 2


def test_frames_of_another_size_are_fitted_without_distortion(tmp_path) -> None:
    """As in a recording whose resolution changes: a square stays a square."""
    large, small = np.full((64, 128, 3), 200, np.uint8), np.full((30, 30, 3), 200, np.uint8)
    frames = [Frame(0, 0.0, large), Frame(1, 0.04, small), Frame(2, 0.08, large)]
    assert encode(frames, tmp_path / "a.mp4", crf=1, preset="veryfast") == 3
    images = [frame.image for frame in read_frames(tmp_path / "a.mp4")]
    assert [image.shape for image in images] == [(64, 128, 3)] * 3
    bright = images[1].mean(axis=2) > 100
    assert bright[:, 34:94].all() and not bright[:, :30].any() and not bright[:, 98:].any()


@pytest.mark.parametrize(
    ("condition", "size", "frames"),
    [("half", (60, 40), 12), ("up", (180, 120), 12), ("social", (720, 480), 12), ("twice", (120, 80), 12)],
)
def test_versions_of_platforms(tmp_path, write_video, moving, condition, size, frames) -> None:
    source = write_video(tmp_path / "a.mkv", [image[:80, :120] for image in moving], pix_fmt="yuv444p")
    assert reencode(source, tmp_path / "out" / "b.mp4", *encodings_of(condition)) == frames
    before, after = list(read_frames(source)), list(read_frames(tmp_path / "out" / "b.mp4"))
    assert [frame.image.shape for frame in after] == [(size[1], size[0], 3)] * frames
    assert np.allclose([frame.time for frame in after], [frame.time for frame in before], atol=1e-3)
    for a, b in zip(before, after, strict=True):
        assert cv2.PSNR(resize(a.image, *size), b.image) > 24
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.mp4"]


def test_repeats_show_each_picture_twice(tmp_path, write_video, moving) -> None:
    source = write_video(tmp_path / "a.mkv", [image[:80, :120] for image in moving], fps=25, pix_fmt="yuv444p")
    assert reencode(source, tmp_path / "b.mp4", *encodings_of("repeats")) == 24
    after = list(read_frames(tmp_path / "b.mp4"))
    assert np.allclose([frame.time for frame in after], np.arange(24) / 50, atol=1e-3)
    repeats = RepeatFilter()
    assert [repeats.is_repeat(frame.image) for frame in after] == [False, True] * 12


def test_resize_is_that_of_ffmpeg(astronaut) -> None:
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(astronaut), format="bgr24")
    for width, height in ((256, 256), (768, 768)):
        expected = picture.reformat(width, height, "gbrp", interpolation="BICUBIC").to_ndarray(format="bgr24")
        assert np.abs(resize(astronaut, width, height).astype(int) - expected).mean() < 1.5
