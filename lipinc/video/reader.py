"""The frames of a video file, in order, and how wide ones are reduced."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"# VobSub", b"ID3")
"""What files begin with that FFmpeg takes for lists of other files, or for a tag that such a list may follow. One that
names itself is read for ever, and one that names another would have that judged in its place."""


class Unreadable(Exception):
    """Not one frame of the file can be decoded."""


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int
    """Counted from 0 in decoding order; the header's own count and seeking are not reliable."""
    time: float
    """Presentation time in s, as the container gives it."""
    image: np.ndarray
    """[H, W, 3] uint8 BGR, as the file has it, upright (rotation metadata is honoured)."""


def read_frames(
    path: str | os.PathLike, *, perturb: Callable[[int, np.ndarray], np.ndarray] | None = None
) -> Iterator[Frame]:
    """Decode a video from its first frame on. A file that breaks off gives the frames before the break.

    perturb: gives for the index and the image of a frame the image to go on with.
    Raises Unreadable if there is not one.
    """
    # An absolute path and a named backend: a file name is never taken for a URL or an image-sequence pattern.
    name = str(Path(path).absolute())
    if any("\ud800" <= c <= "\udfff" for c in name):  # bytes of no encoding, as Python passes them on: OpenCV dies
        raise Unreadable("its name or that of a folder above is not UTF-8; rename it")
    if _head(name).startswith(PLAYLISTS):
        raise Unreadable("a list of other files or a sound, not a video")
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
                    raise Unreadable(f"the first frame does not decode: {error.err}") from error
                break
            if not decoded:
                break
            if perturb is not None:
                image = perturb(index, image)
            yield Frame(index, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, image)
            index += 1
        if index == 0:
            raise Unreadable("it opens as a video, but no frame of it decodes")
    finally:
        capture.release()


def _head(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read(max(map(len, PLAYLISTS)))
    except OSError as error:
        raise Unreadable(error.strerror) from error


def fit(image: np.ndarray, width: int) -> np.ndarray:
    """An image [H, W, 3] uint8, reduced by the largest whole factor that leaves it at least `width` px wide.

    Only whole px are averaged: at 1080p this takes a twentieth of the time of an exact width, and pixels that share
    parts of others would share their noise, too. Rows and columns that do not fill a px are cut off.
    """
    factor = image.shape[1] // width
    if factor < 2:
        return image
    height, width = image.shape[0] // factor, image.shape[1] // factor
    whole = image[: max(1, height) * factor, : width * factor]
    return cv2.resize(whole, (width, max(1, height)), interpolation=cv2.INTER_AREA)
