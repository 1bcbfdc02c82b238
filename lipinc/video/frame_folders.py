"""Folders of frames: numbered pictures that are read as a video."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from lipinc.video.colors import BT601
from lipinc.video.rejection import Unreadable
from lipinc.video.streams import StreamInfo

FRAME_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""Lower case; files are matched without regard to case."""
FRAME_RATE = 25
"""Frames per second that are assumed: pictures have no times."""
MIN_FRAMES = 8
"""Number of pictures from which a folder is taken for a video: no clip needs fewer frames."""


def list_frames(folder: str | os.PathLike) -> list[Path]:
    """List the pictures of a folder in the order of their numbers.

    The names must differ in one number only, which counts on by one from picture to picture, with or without leading
    zeros: 1.png ... 10.png, or frame_0001.jpg ... Other kinds of files and hidden files are left out.

    Raises:
        Unreadable: they are not numbered like this; the message names the first picture that is not.
        OSError: the folder cannot be listed.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if is_picture(entry.name) and entry.is_file()]
    if not names:
        raise Unreadable("a folder without pictures, not a video")
    # Texts and numbers by turns, in natural order.
    keys = {name: [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", name.casefold())] for name in names}
    names.sort(key=lambda name: [(isinstance(part, str), part) for part in keys[name]])
    counter = _first_difference(*(keys[name] for name in names[:2])) if len(names) > 1 else 0
    for before, after in zip(names, names[1:], strict=False):
        expected = list(keys[before])
        if isinstance(expected[counter], int):
            expected[counter] += 1
        if keys[after] != expected or keys[after] == keys[before]:
            raise Unreadable(f"the pictures of the folder are not numbered one by one: {after} follows {before}")
    return [Path(folder, name) for name in names]


def is_picture(name: str) -> bool:
    """Whether a file name is that of a picture."""
    return os.path.splitext(name)[1].lower() in FRAME_SUFFIXES and not name.startswith(".")


def is_frame_folder(folder: str | os.PathLike) -> bool:
    """Whether a folder is taken for a video without being asked for: enough pictures, numbered one by one."""
    try:
        return len(list_frames(folder)) >= MIN_FRAMES
    except (Unreadable, OSError):
        return False


class FrameFolder:
    """The pictures of a folder. Iterate once."""

    def __init__(self, folder: Path) -> None:
        """List a folder.

        Raises:
            Unreadable: it holds no numbered pictures.
        """
        try:
            self._files = list_frames(folder)
        except OSError as error:
            raise Unreadable(error.strerror) from error
        self.promised_frames = len(self._files)
        self.coded_bytes = 0
        self._shape: tuple[int, ...] = (0, 0, 0)

    clock_offset = None
    color_matrix = BT601

    def close(self) -> None:
        """Nothing stays open."""

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield time in s and picture (H, W, 3) uint8 BGR of each frame.

        Raises:
            Unreadable: a picture is damaged, or its size differs from that of the first one.
        """
        for number, file in enumerate(self._files):
            image = _read_picture(file)
            if number == 0:
                self._shape = image.shape
            elif image.shape != self._shape:
                sizes = " and ".join(f"{width}x{height}" for height, width, _ in (self._shape, image.shape))
                raise Unreadable(f"{self._files[0].name} and {file.name} differ in size: {sizes}")
            yield number / FRAME_RATE, image

    @property
    def info(self) -> StreamInfo:
        """What is read; complete after the first frame."""
        suffix = self._files[0].suffix[1:].lower()
        return StreamInfo(
            container="pictures",
            codec={"jpg": "jpeg"}.get(suffix, suffix),
            decoder="OpenCV",
            width=self._shape[1],
            height=self._shape[0],
            frame_rate=FRAME_RATE,
            bit_rate=0,
            pixel_format="bgr24",
            notes=(f"a folder of {len(self._files)} pictures: {FRAME_RATE} frames per second were assumed",),
        )


def _first_difference(one: list, other: list) -> int:
    """The position of the first difference of two lists; 0 if there is none."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)


def _read_picture(file: Path) -> np.ndarray:
    try:
        image = cv2.imdecode(np.fromfile(file, dtype=np.uint8), cv2.IMREAD_COLOR)
    except OSError as error:
        raise Unreadable(f"{file.name}: {error.strerror}") from error
    except cv2.error:  # an empty file, or a picture of an absurd size
        image = None
    if image is None:
        raise Unreadable(f"the picture {file.name} is damaged")
    return image
