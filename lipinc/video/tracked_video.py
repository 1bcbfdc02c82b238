"""A decoded video with its tracked faces: what every way to find faces returns."""

from dataclasses import dataclass
from typing import BinaryIO

import cv2
import numpy as np

from lipinc.config import MouthConfig
from lipinc.video.mouth import POSE_RATIOS, crop_to_common_size, resize_mouth
from lipinc.video.quality import Quality, QualityMeter
from lipinc.video.reader import VideoReader
from lipinc.video.streams import StreamInfo

THUMBNAIL_SIDE = 96
"""Longer side of a thumbnail, in px."""

OBSERVATION = np.dtype(
    [
        ("frame", "i8"),
        ("picture", "i8"),
        ("scene", "i4"),
        ("time", "f8"),
        ("ratios", "f8", len(POSE_RATIOS)),
        ("face_height", "f4"),
        ("offset", "i8"),  # of the mouth's pixels in the temporary file
        ("height", "i4"),
        ("width", "i4"),
        ("box", "i4", 4),
    ]
)
"""What is known about a face in one frame."""


@dataclass(frozen=True)
class Face:
    """One person's face over the whole video. `mouths` works only inside the `track_faces` block."""

    thumbnail: np.ndarray
    """(H, W, 3) uint8 BGR: the face in the first frame with a usable mouth."""
    repeats: int
    """Number of frames that show its mouth as in the frame before, although something else moves."""
    quality: Quality
    """Input quality: sharpness, noise and compression are measured outside all faces, and are those of the video."""
    _observations: np.ndarray
    _mouth_file: BinaryIO

    @property
    def frame_ids(self) -> np.ndarray:
        """(F,) int64: indices in the file of the frames that show its mouth, from 0."""
        return self._observations["frame"]

    @property
    def pictures(self) -> np.ndarray:
        """(F,) int64, increasing: numbers of the pictures that these frames show, from 0. Two frames show adjacent
        pictures if their numbers are adjacent, although repeats of the first one may lie between them. At a cut, a
        number is left out."""
        return self._observations["picture"]

    @property
    def scenes(self) -> np.ndarray:
        """(F,) int32: numbers of the scenes that these frames show, from 0 (video/scenes.py)."""
        return self._observations["scene"]

    @property
    def times(self) -> np.ndarray:
        """(F,) float64: presentation times of these frames, in s."""
        return self._observations["time"]

    @property
    def ratios(self) -> np.ndarray:
        """(F, 4) float64, in the order of mouth.POSE_RATIOS; nan, without a mouth to read, where the published
        extraction has lost the face on the aligned picture."""
        return self._observations["ratios"]

    @property
    def boxes(self) -> np.ndarray:
        """(F, 4) int32: left, top, right, bottom of the mouth with its margin, in px of the turned frame at full size;
        right and bottom are exclusive. May extend beyond the frame."""
        return self._observations["box"]

    def mouths(self, positions: np.ndarray, config: MouthConfig) -> np.ndarray:
        """Read the mouths of one window.

        Args:
            positions: (N,) int: indices into the arrays above.

        Returns:
            (N, H, W, 3) uint8 BGR: config.height x config.width, or for native crops the smallest height and width of
            the N mouths.
        """
        mouths = [self._read_mouth(self._observations[position]) for position in positions]
        if config.cut == "native":
            return crop_to_common_size(mouths)
        return np.stack([resize_mouth(mouth, config) for mouth in mouths])

    def _read_mouth(self, observation: np.void) -> np.ndarray:
        shape = (int(observation["height"]), int(observation["width"]), 3)
        self._mouth_file.seek(int(observation["offset"]))
        return np.frombuffer(self._mouth_file.read(int(np.prod(shape))), dtype=np.uint8).reshape(shape)


@dataclass(frozen=True)
class TrackedVideo:
    """A decoded video with its tracked faces."""

    frames: int
    """Number of decoded frames."""
    repeats: int
    """Number of these frames that repeat the picture before them (video/repeats.py). No face is searched in them."""
    turned: int
    """Degrees by which the pictures were turned counter-clockwise to stand faces upright: 0, 90, 180 or 270."""
    duration: float
    """Presentation time of the last frame, in s."""
    faces: list[Face]
    """Sorted by area summed over the video, largest first."""
    stream: StreamInfo
    """What was read, and how, with notes on turned and repeated pictures."""

    @property
    def pictures(self) -> int:
        """Number of frames that show a new picture."""
        return self.frames - self.repeats


def measure_quality(
    observations: np.ndarray, meter: QualityMeter, video: VideoReader, frames: int, repeats: int
) -> Quality:
    """The input quality of a face, after the last frame.

    Args:
        observations: (F,) OBSERVATION.
        meter: has measured the pictures of the video.
        video: the reader.
        frames: number of decoded frames.
        repeats: number of these frames that repeat the picture before them.
    """
    sharpness, noise, blockiness = meter.medians
    return Quality(
        face_height=float(np.median(observations["face_height"])),
        sharpness=sharpness,
        noise=noise,
        blockiness=blockiness,
        frame_rate=_picture_rate(observations["picture"], observations["time"]),
        bits_per_pixel=_bits_per_pixel(video, frames - repeats),
        repeats=repeats / frames,
    )


def make_thumbnail(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The part of an image (H, W, 3) uint8 in a box (4,), in px, at the size of a thumbnail."""
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(box[:2]).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(box[2:]).astype(int), (left + 1, top + 1), (width, height))
    face = image[top:bottom, left:right]
    scale = THUMBNAIL_SIDE / max(face.shape[:2])
    size = (max(1, round(face.shape[1] * scale)), max(1, round(face.shape[0] * scale)))
    return cv2.resize(face, size, interpolation=cv2.INTER_AREA)


def _bits_per_pixel(video: VideoReader, pictures: int) -> float:
    # Not by the bit rate in the header, which may include sound or be a maximum (MPEG-1).
    # Without repeats, which cost next to nothing.
    pixels = pictures * video.stream.width * video.stream.height
    return 8 * video.coded_bytes / pixels if video.coded_bytes and pixels else np.nan


def _picture_rate(pictures: np.ndarray, times: np.ndarray) -> float:
    """Adjacent pictures per second, from their numbers (F,) and times (F,) in s; nan if there are none."""
    steps = np.diff(times)[np.diff(pictures) == 1]
    steps = steps[steps > 0]
    # Twice the usual step and more is a pause, in which nothing moved.
    return 1 / float(steps[steps < 1.75 * np.median(steps)].mean()) if len(steps) else np.nan
