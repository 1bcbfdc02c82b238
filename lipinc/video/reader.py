"""Decodes the frames of a video file or of a folder of pictures, in order, and downscales wide frames."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lipinc.video.container import ContainerFile
from lipinc.video.frame_folders import FrameFolder
from lipinc.video.rejection import Unreadable
from lipinc.video.streams import StreamInfo

__all__ = ["Frame", "Unreadable", "VideoReader", "downscale", "read_frames"]


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int
    """From 0, counted while decoding: the frame count in the header and seeking are not reliable."""
    time: float
    """Presentation time in s, from the container, 0 for the first frame. Never less than that of the frame before."""
    image: np.ndarray
    """(H, W, 3) uint8 BGR at the size of the frame in the file, upright (its display matrix is applied)."""


class VideoReader:
    """The frames of a video, to be iterated once.

    >>> with VideoReader("talk.mp4") as video:
    ...     images = [frame.image for frame in video]
    >>> video.stream.codec
    'h264'
    """

    def __init__(
        self, path: str | os.PathLike, *, perturb: Callable[[int, np.ndarray], np.ndarray] | None = None
    ) -> None:
        """Open a video file, or a folder of pictures (see frame_folders.py).

        Args:
            perturb: Function of a frame's index and image that returns the image to use instead.

        Raises:
            Unreadable: it is no video.
        """
        self._source = FrameFolder(Path(path)) if os.path.isdir(path) else ContainerFile(Path(path))
        self._perturb = perturb

    def __iter__(self) -> Iterator[Frame]:
        """Decode frame by frame. A truncated file yields the frames before the break.

        Raises:
            Unreadable: no frame can be decoded.
        """
        for index, (time, image) in enumerate(self._source):
            yield Frame(index, time, image if self._perturb is None else self._perturb(index, image))

    @property
    def stream(self) -> StreamInfo:
        """What is read, and how; complete after the last frame. Works after closing, too."""
        return self._source.info

    @property
    def promised_frames(self) -> int | None:
        """The number of frames according to the header, which may be wrong; None: unknown."""
        return self._source.promised_frames

    @property
    def coded_bytes(self) -> int:
        """Size of the coded frames read so far, without sound; 0 for a folder of pictures."""
        return self._source.coded_bytes

    @property
    def clock_offset(self) -> float | None:
        """What was added to the last frame's time stamp in the file to get its time, in s; None if it has no stamp. It
        changes where the clock of the file is reset."""
        return self._source.clock_offset

    @property
    def color_matrix(self) -> int:
        """Matrix coefficients (Rec. ITU-T H.273, table 4; 2: unknown) to write to a file of these pictures, converted
        by BT.601, so that players show them like the original. Known after the first frame."""
        return self._source.color_matrix

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_frames(
    path: str | os.PathLike, *, perturb: Callable[[int, np.ndarray], np.ndarray] | None = None
) -> Iterator[Frame]:
    """Decode a video, frame by frame: a `VideoReader` that closes itself.

    Raises:
        Unreadable: no frame can be decoded.
    """
    with VideoReader(path, perturb=perturb) as video:
        yield from video


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
