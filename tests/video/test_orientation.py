"""Every display matrix is applied: mirrored, turned, both, in mp4, mov and mkv; any other angle by the nearest."""

import math
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from lipinc.video.orientation import Orientation, nearest_orientation
from lipinc.video.reader import VideoReader

MATRICES = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [(0, b, c, 0) for b in (1, -1) for c in (1, -1)]
"""a, b, c, d: a pixel at (p, q) is shown at (a p + c q, b p + d q), apart from the offset (ISO/IEC 14496-12)."""


def matrix_bytes(a: float, b: float, c: float, d: float, order: str = "=") -> bytes:
    numbers = (round(one * (1 << 16)) for one in (a, b, 0, c, d, 0, 0, 0))
    return struct.pack(f"{order}9i", *numbers, 1 << 30)


def shown(image: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """Move every pixel to where the matrix sends it."""
    q, p = np.mgrid[: image.shape[0], : image.shape[1]]
    x, y = a * p + c * q, b * p + d * q
    result = np.zeros((np.ptp(y) + 1, np.ptp(x) + 1, 3), np.uint8)
    result[y - y.min(), x - x.min()] = image
    return result


@pytest.mark.parametrize("matrix", MATRICES)
def test_pixels_move_to_where_the_matrix_sends_them(matrix) -> None:
    image = np.random.default_rng(0).integers(256, size=(3, 5, 3), dtype=np.uint8)
    upright = nearest_orientation(matrix_bytes(*matrix)).apply(image)
    assert np.array_equal(upright, shown(image, *matrix)) and upright.flags.c_contiguous


@pytest.mark.parametrize(
    ("degrees", "nearest"), [(3, 0), (44, 0), (46, 90), (100, 90), (200, 180), (269, 270), (-30, 0), (-80, 270)]
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_any_angle_becomes_the_nearest(degrees, nearest, mirrored) -> None:
    cosine, sine, sign = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), -1 if mirrored else 1
    matrix = matrix_bytes(sign * cosine, sign * sine, -sine, cosine)
    assert nearest_orientation(matrix) == Orientation(nearest, mirrored)


def test_a_matrix_without_a_direction_is_upright() -> None:
    assert nearest_orientation(matrix_bytes(0, 0, 0, 0)) == Orientation()


def set_matrix(file: Path, *matrix: int) -> None:
    """Write a display matrix into the track header of an mp4 file, 40 bytes after the start of its fields."""
    content = bytearray(file.read_bytes())
    place = content.index(b"tkhd") + 44
    content[place : place + 36] = matrix_bytes(*matrix, order=">")
    file.write_bytes(content)


def remux(source: Path, target: Path) -> None:
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        copy = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                written.mux(packet)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_videos_are_read_upright(tmp_path, write_video, matrix, suffix) -> None:
    image = np.zeros((48, 80, 3), np.uint8)
    image[:24, :30] = 255  # no two of the eight orientations look alike
    file = write_video(tmp_path / "stored.mp4", [image] * 3)
    set_matrix(file, *matrix)
    remux(file, tmp_path / f"v{suffix}")
    with VideoReader(tmp_path / f"v{suffix}") as video:
        frames = [frame.image for frame in video]
    expected = shown(image, *matrix)
    assert all(frame.shape == expected.shape for frame in frames)
    assert all(np.abs(frame.astype(int) - expected).mean() < 8 for frame in frames)
    orientation = nearest_orientation(matrix_bytes(*matrix))
    assert (video.stream.rotation, video.stream.mirrored) == (orientation.rotation, orientation.mirrored)
    assert bool(video.stream.notes) == (orientation != Orientation())
