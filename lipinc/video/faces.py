"""Decodes a video once, tracks its faces, and crops the mouth in every frame that shows one."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO

import cv2
import numpy as np

from lipinc.config import MouthConfig
from lipinc.video.face_finding import FaceFinder
from lipinc.video.face_tracking import FaceTracks
from lipinc.video.landmarks import lip_outline, to_68
from lipinc.video.mouth import (
    POSE_RATIOS,
    crop_mouth,
    crop_native,
    crop_to_common_size,
    estimate_pose,
    is_inside_image,
    lip_box,
    resize_mouth,
)
from lipinc.video.native_logs import quiet_native_logs
from lipinc.video.quality import Quality, QualityMeter
from lipinc.video.reader import VideoReader, downscale
from lipinc.video.repeats import RepeatFilter
from lipinc.video.streams import StreamInfo
from lipinc.video.upright import TurnVote, turn

CHECK_INTERVAL = 12
"""Pictures between two checks for additional faces and for faces on their head: about half a second. Tracking several
faces doubles the cost of a frame, so it is done only if there are several."""
NOTED_REPEATS = 0.1
"""Fraction of repeated frames that is worth a note. A few frames are left out of most videos: in a pause, nothing
moves."""
MAX_MOUTH_BYTES_IN_MEMORY = 16 << 20
"""Above this, the mouths of a video go to a temporary file."""
THUMBNAIL_SIDE = 96
"""Longer side of a thumbnail, in px."""

_OBSERVATION = np.dtype(
    [
        ("frame", "i8"),
        ("picture", "i8"),
        ("time", "f8"),
        ("ratios", "f8", len(POSE_RATIOS)),
        ("face_height", "f4"),
        ("offset", "i8"),  # of the mouth's pixels in the temporary file
        ("height", "i4"),
        ("width", "i4"),
        ("box", "i4", 4),
    ]
)


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
        pictures if their numbers are adjacent, although repeats of the first one may lie between them."""
        return self._observations["picture"]

    @property
    def times(self) -> np.ndarray:
        """(F,) float64: presentation times of these frames, in s."""
        return self._observations["time"]

    @property
    def ratios(self) -> np.ndarray:
        """(F, 4) float64, in the order of mouth.POSE_RATIOS."""
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


@contextmanager
def track_faces(
    path: str | os.PathLike,
    config: MouthConfig,
    *,
    perturb: Callable[[int, np.ndarray], np.ndarray] | None = None,
    on_frame: Callable[[int, int | None], None] | None = None,
) -> Iterator[TrackedVideo]:
    """Decode a video once and track its faces. The result depends only on the arguments and the content of the file.

    Frames are streamed and mouths go to a temporary file: memory does not grow with the length of the video, except
    for some 92 bytes per face and frame.

    Args:
        perturb: Changes each frame, given its index and image, before face detection.
        on_frame: Called after each frame with the number of frames read, and with the number that the header promises
            (None: unknown). Some videos are read twice.

    Raises:
        reader.Unreadable: no frame of the file can be decoded.
    """
    with tempfile.SpooledTemporaryFile(MAX_MOUTH_BYTES_IN_MEMORY) as mouth_file:
        with quiet_native_logs():
            result = _Plan(several=config.face != "largest")
            while isinstance(result, _Plan):
                result = _track(path, config, mouth_file, perturb, on_frame, result)
        yield result


@dataclass(frozen=True)
class _Plan:
    """How a video is tracked. What its first pictures show may call for another plan."""

    several: bool
    """Track up to mouth.max_faces faces instead of one, which takes twice as long."""
    quarter_turns: int | None = None
    """Quarter turns, counter-clockwise, that stand the faces upright; None: to be found out."""


def _track(
    path: str | os.PathLike,
    config: MouthConfig,
    mouth_file: BinaryIO,
    perturb: Callable[[int, np.ndarray], np.ndarray] | None,
    on_frame: Callable[[int, int | None], None] | None,
    plan: _Plan,
) -> TrackedVideo | _Plan:
    """Track the faces of a video by a plan. Returns a better plan as soon as the pictures call for one."""
    tracks, repeats, vote, meter = FaceTracks(), RepeatFilter(), TurnVote(), QualityMeter()
    frames, pictures, duration = 0, 0, 0.0
    quarter_turns = plan.quarter_turns or 0
    mouth_file.seek(0)
    finder = FaceFinder(config, several=plan.several)
    with VideoReader(path, perturb=perturb) as video:
        for frame in video:
            original = turn(frame.image, quarter_turns)
            image = downscale(original, config.working_width)
            frames, duration = frames + 1, frame.time
            if on_frame is not None:
                on_frame(frames, video.promised_frames)
            if config.repeats == "skip" and repeats.is_repeat(image):
                continue
            number, pictures = pictures, pictures + 1
            faces = finder(original, image)
            if number % CHECK_INTERVAL == 0:
                if not plan.several and finder.count_faces(original, image) > 1:
                    return replace(plan, several=True)
                if plan.quarter_turns is None and not vote.is_decided:
                    vote.add(finder.scores_of_turns(original, image), faces)
                    if vote.quarter_turns:
                        return replace(plan, quarter_turns=vote.quarter_turns)
            boxes = np.array([np.concatenate([face.min(axis=0), face.max(axis=0)]) for face in faces])
            scale = original.shape[1] // image.shape[1]
            if len(faces):
                meter.add(number, original, scale * boxes)
            for face, box, track in zip(faces, boxes, tracks.assign(number, boxes), strict=True):
                face = face.astype(np.float64)
                lips = lip_outline(face)
                pose = estimate_pose(to_68(face), lips, config) if is_inside_image(lips, image) else None
                if pose is None:
                    continue
                if config.cut == "native":
                    # From the frame at full size: half as many pixels carry much less evidence (docs/results.md).
                    mouth = crop_native(original, lips * scale, config.margin)
                else:
                    mouth = crop_mouth(image, pose)
                if mouth is None:
                    continue
                if track.thumbnail is None:
                    track.thumbnail = _thumbnail(image, box)
                picture = number
                if config.repeats == "skip":
                    picture = track.mouth_pictures.number(number, frame.time, image, lips)
                    if picture is None:
                        continue
                observed = (frame.index, picture, frame.time, pose.ratios, scale * (box[3] - box[1]))
                mouth_box = lip_box(lips * scale, config.margin)
                place = (mouth_file.tell(), *mouth.shape[:2], mouth_box)
                track.observations += np.array((*observed, *place), dtype=_OBSERVATION).tobytes()
                mouth_file.write(mouth.tobytes())
    turned, left_out, notes = 90 * quarter_turns, frames - pictures, list(video.stream.notes)
    found = []
    for track in tracks.sorted_by_area():
        if track.observations:
            observations = np.frombuffer(track.observations, dtype=_OBSERVATION)
            sharpness, noise, blockiness = meter.medians
            quality = Quality(
                face_height=float(np.median(observations["face_height"])),
                sharpness=sharpness,
                noise=noise,
                blockiness=blockiness,
                frame_rate=_picture_rate(observations["picture"], observations["time"]),
                bits_per_pixel=_bits_per_pixel(video, frames),
                repeats=left_out / frames,
            )
            found.append(Face(track.thumbnail, track.mouth_pictures.repeats, quality, observations, mouth_file))
    if turned:
        notes.append(f"the pictures were turned by {turned} degrees to stand the faces upright")
    if left_out > NOTED_REPEATS * frames:
        notes.append(f"{left_out} of {frames} frames repeat the picture before them and were left out")
    return TrackedVideo(frames, left_out, turned, duration, found, replace(video.stream, notes=tuple(notes)))


def _bits_per_pixel(video: VideoReader, frames: int) -> float:
    # Not by the bit rate in the header, which may include sound or be a maximum (MPEG-1).
    pixels = frames * video.stream.width * video.stream.height
    return 8 * video.coded_bytes / pixels if video.coded_bytes and pixels else np.nan


def _picture_rate(pictures: np.ndarray, times: np.ndarray) -> float:
    """Adjacent pictures per second, from their numbers (F,) and times (F,) in s; nan if there are none."""
    steps = np.diff(times)[np.diff(pictures) == 1]
    steps = steps[steps > 0]
    # Twice the usual step and more is a pause, in which nothing moved.
    return 1 / float(steps[steps < 1.75 * np.median(steps)].mean()) if len(steps) else np.nan


def _thumbnail(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(box[:2]).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(box[2:]).astype(int), (left + 1, top + 1), (width, height))
    face = image[top:bottom, left:right]
    scale = THUMBNAIL_SIDE / max(face.shape[:2])
    size = (max(1, round(face.shape[1] * scale)), max(1, round(face.shape[0] * scale)))
    return cv2.resize(face, size, interpolation=cv2.INTER_AREA)
