"""Decodes the frames of a video file, in order, and downscales wide frames."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

PLAYLIST_SIGNATURES = (b"#EXTM3U", b"ffconcat", b"# VobSub", b"ID3")
"""First bytes of files that FFmpeg treats as playlists (lists of other files), and of ID3 tags, which may precede a
playlist. FFmpeg would read a playlist that contains itself for ever. A playlist that contains another file would get
the verdict of that file."""


class Unreadable(Exception):
    """No frame of the file can be decoded. The message says why."""


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int
    """From 0, counted while decoding: the frame count in the header and seeking are not reliable."""
    time: float
    """Presentation time in s, from the container."""
    image: np.ndarray
    """(H, W, 3) uint8 BGR at the size of the file, upright (rotation metadata is applied)."""


def read_frames(
    path: str | os.PathLike, *, perturb: Callable[[int, np.ndarray], np.ndarray] | None = None
) -> Iterator[Frame]:
    """Decode a video, frame by frame. A truncated file yields the frames before the break.

    Args:
        perturb: Function of a frame's index and image that returns the image to use instead.

    Raises:
        Unreadable: no frame can be decoded.
    """
    # With an absolute path and an explicit backend, a file name is never taken for a URL or an image-sequence pattern.
    name = str(Path(path).absolute())
    if any("\ud800" <= c <= "\udfff" for c in name):  # surrogates: bytes that are not UTF-8, on which OpenCV crashes
        raise Unreadable("its name or the name of a parent folder is not UTF-8; rename it")
    if _first_bytes(name).startswith(PLAYLIST_SIGNATURES):
        raise Unreadable("a playlist (a list of other files) or an audio file, not a video")
    capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            raise Unreadable("not a video that FFmpeg can open")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # off by default in OpenCV 4.11
        index = 0
        while True:
            try:
                decoded, image = capture.read()
            except cv2.error as error:
                if index == 0:
                    raise Unreadable(f"the first frame cannot be decoded: {error.err}") from error
                break
            if not decoded:
                break
            if perturb is not None:
                image = perturb(index, image)
            yield Frame(index, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, image)
            index += 1
        if index == 0:
            raise Unreadable("it opens as a video, but no frame can be decoded")
    finally:
        capture.release()


def _first_bytes(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read(max(map(len, PLAYLIST_SIGNATURES)))
    except OSError as error:
        raise Unreadable(error.strerror) from error


def downscale(image: np.ndarray, width: int) -> np.ndarray:
    """Downscale an image (H, W, 3) uint8 by the largest integer factor that leaves it at least `width` px wide.

    Each output pixel is the mean of whole input pixels. At 1080p this takes a twentieth of the time of scaling to an
    exact width; besides, output pixels that share input pixels would have correlated noise. Remaining rows and columns
    that do not fill an output pixel are cut off.
    """
    factor = image.shape[1] // width
    if factor < 2:
        return image
    height, width = image.shape[0] // factor, image.shape[1] // factor
    whole = image[: max(1, height) * factor, : width * factor]
    return cv2.resize(whole, (width, max(1, height)), interpolation=cv2.INTER_AREA)
