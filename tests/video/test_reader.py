"""Frames of any container are decoded in order, with their times; a file that is no video is unreadable."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lipinc.video.reader import Unreadable, downscale, read_frames

BITS = 10


def numbered(count: int, *, height: int = 64, width: int = 8 * BITS) -> list[np.ndarray]:
    """Grey frames that encode their number as vertical bars, which survive any codec."""
    frames = []
    for number in range(count):
        bars = np.array([225 if number >> bit & 1 else 30 for bit in range(BITS)], dtype=np.uint8)
        row = bars[np.arange(width) * BITS // width]
        frames.append(np.broadcast_to(row[None, :, None], (height, width, 3)).copy())
    return frames


def read_number(image: np.ndarray) -> int:
    centres = ((np.arange(BITS) + 0.5) * image.shape[1] / BITS).astype(int)
    return sum(1 << bit for bit, x in enumerate(centres) if image[:, x].mean() > 128)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("v.mp4", "libx264", "yuv420p"),
        ("v.mp4", "libx264", "yuv444p"),
        ("v.mp4", "libx264", "yuv420p10le"),
        ("v.mp4", "libx264", "gray"),
        ("v.mp4", "mpeg4", "yuv420p"),
        ("v.mov", "libx264", "yuv420p"),
        ("v.mkv", "libx264", "yuv420p"),
        ("v.avi", "mpeg4", "yuv420p"),
        ("v.avi", "mjpeg", "yuvj420p"),
        ("v.webm", "libvpx-vp9", "yuv420p"),
    ],
)
def test_frames_of_any_container_have_the_right_order_and_times(tmp_path, write_video, name, codec, pix_fmt) -> None:
    frames = list(read_frames(write_video(tmp_path / name, numbered(40), codec=codec, pix_fmt=pix_fmt)))
    assert [frame.index for frame in frames] == list(range(40))
    assert [read_number(frame.image) for frame in frames] == list(range(40))
    assert np.allclose([frame.time for frame in frames], np.arange(40) / 25, atol=1.1e-3)
    assert all(frame.image.dtype == np.uint8 and frame.image.shape == (64, 80, 3) for frame in frames)


def test_times_come_from_the_container(tmp_path, write_video) -> None:
    path = write_video(tmp_path / "v.mp4", numbered(30), fps=Fraction(30000, 1001))
    assert np.allclose([frame.time for frame in read_frames(path)], np.arange(30) * 1001 / 30000, atol=1e-3)


def test_frame_numbers_do_not_wrap_at_256(tmp_path, write_video) -> None:
    frames = list(read_frames(write_video(tmp_path / "v.mp4", numbered(300))))
    assert [(frame.index, read_number(frame.image)) for frame in frames] == [(n, n) for n in range(300)]


@pytest.mark.parametrize(
    ("width", "shape"), [(800, (64, 80, 3)), (41, (64, 80, 3)), (40, (32, 40, 3)), (26, (21, 26, 3)), (20, (16, 20, 3))]
)
def test_wide_frames_are_downscaled_by_an_integer_factor_and_others_not(tmp_path, write_video, width, shape) -> None:
    frames = list(read_frames(write_video(tmp_path / "v.mp4", numbered(3, width=80))))
    assert [downscale(frame.image, width).shape for frame in frames] == [shape] * 3
    assert [read_number(downscale(frame.image, width)) for frame in frames] == [0, 1, 2]


def test_downscaled_frames_are_means_of_whole_pixels() -> None:
    image = np.random.default_rng(0).integers(256, size=(65, 131, 3), dtype=np.uint8)
    small = downscale(image, 40)  # the factor is 131 // 40 = 3; remaining rows and columns are cut off
    blocks = image[:63, :129].reshape(21, 3, 43, 3, 3).astype(float)
    assert np.abs(small - blocks.mean(axis=(1, 3))).max() <= 0.5 + 1e-6


def test_odd_sizes_are_kept(tmp_path, write_video) -> None:
    path = write_video(tmp_path / "v.mp4", numbered(5, height=63, width=81), pix_fmt="yuv444p")
    frames = list(read_frames(path))
    assert [frame.image.shape for frame in frames] == [(63, 81, 3)] * 5
    assert [read_number(frame.image) for frame in frames] == list(range(5))


def test_channels_are_blue_green_red(tmp_path, write_video) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 2] = 255
    frame = next(read_frames(write_video(tmp_path / "v.mp4", [image] * 3)))
    blue, green, red = frame.image.mean(axis=(0, 1))
    assert red > 230 and blue < 25 and green < 25


@pytest.mark.parametrize(
    "name",
    [
        "two words.mp4",
        'it\'s "quoted".mp4',
        "frame%03d.mp4",
        "口型 é ñ 🎥.mp4",
        "a?b#c&d=1.mp4",
        "[1]*{2}.mp4",
        "http:__x|y.mp4",
        "-i.mp4",
        "no suffix",
        "wrong.avi",
    ],
)
def test_file_names_are_never_interpreted(tmp_path, write_video, monkeypatch, name) -> None:
    write_video(tmp_path / "v.mp4", numbered(4)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert [read_number(frame.image) for frame in read_frames(name)] == [0, 1, 2, 3]


def test_a_truncated_file_yields_the_frames_before_the_break(tmp_path, write_video) -> None:
    frames = np.random.default_rng(0).integers(0, 60, (40, 64, 80, 3), dtype=np.uint8) + np.array(numbered(40)) // 2
    path = write_video(tmp_path / "v.mp4", frames, container={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    numbers = [frame.index for frame in read_frames(path)]
    assert 5 < len(numbers) < 40
    assert numbers == list(range(len(numbers)))


def test_a_video_of_one_frame_yields_it(tmp_path, write_video) -> None:
    assert len(list(read_frames(write_video(tmp_path / "v.mp4", numbered(1))))) == 1


def _sound_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    "words",
    ["#EXTM3U\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile '{other}'\n", "ID3"],
    ids=["hls", "concat", "tag"],
)
def test_a_playlist_is_not_followed(tmp_path, write_video, words) -> None:
    other = write_video(tmp_path / "other.mp4", numbered(4))
    path = tmp_path / "v.mp4"
    path.write_text(words.format(other=other.name))
    with pytest.raises(Unreadable, match="a playlist"):
        list(read_frames(path))


@pytest.mark.parametrize("kind", ["text", "empty", "folder", "sound", "no index", "noise", "missing"])
def test_a_file_that_is_no_video_is_unreadable(tmp_path, write_video, kind) -> None:
    path = tmp_path / "v.mp4"
    if kind == "text":
        path.write_text("<html>404: not found</html>\n" * 50)
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "sound":
        _sound_only(path)
    elif kind == "no index":
        write_video(path, numbered(40))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(20_000))
    with pytest.raises(Unreadable):
        list(read_frames(path))
