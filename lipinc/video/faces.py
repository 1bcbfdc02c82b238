"""The faces of a video, followed from its first frame to its last, and the mouth of every frame that shows one."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import cv2
import numpy as np

from lipinc.config import MouthConfig
from lipinc.video.face_tracking import FaceTracks
from lipinc.video.landmarks import FaceCounter, FaceMesh, lip_outline, quiet_native_logs, to_68
from lipinc.video.mouth import cut_mouth, cut_native, is_in_picture, measure, resize_mouth, to_one_size
from lipinc.video.reader import fit, read_frames

LOOK_EVERY = 12
"""Frames between two looks for a second face: about half a second. Following several faces doubles the cost of a
frame, so it is done only where there are several."""
MOUTHS_IN_MEMORY = 16 << 20
"""Bytes of mouths held in memory; those of longer videos go on to a temporary file."""
THUMBNAIL = 96
"""Longer side of a face's picture, in px."""

_SEEN = np.dtype(
    [("frame", "i8"), ("time", "f8"), ("ratios", "f8", 4), ("offset", "i8"), ("height", "i4"), ("width", "i4")]
)


@dataclass(frozen=True)
class Face:
    """One person's face through a video. Its mouths can be read while the video is open."""

    thumbnail: np.ndarray
    """[H, W, 3] uint8 BGR: the face where it was first seen."""
    _seen: np.ndarray
    _store: BinaryIO

    @property
    def frame_ids(self) -> np.ndarray:
        """[F] int64: the frames of the file that show its mouth, counted from 0."""
        return self._seen["frame"]

    @property
    def times(self) -> np.ndarray:
        """[F] float64: their presentation times in s."""
        return self._seen["time"]

    @property
    def ratios(self) -> np.ndarray:
        """[F, 4] float64 in the order of mouth.POSE_RATIOS."""
        return self._seen["ratios"]

    def mouths(self, positions: np.ndarray, config: MouthConfig) -> np.ndarray:
        """The mouths of a window, at some positions [N] of the arrays above: [N, H, W, 3] uint8 BGR. Cut natively, they
        have the least height and width of them all."""
        mouths = [self._mouth(self._seen[position]) for position in positions]
        if config.cut == "native":
            return to_one_size(mouths)
        return np.stack([resize_mouth(mouth, config) for mouth in mouths])

    def _mouth(self, seen: np.void) -> np.ndarray:
        shape = (int(seen["height"]), int(seen["width"]), 3)
        self._store.seek(int(seen["offset"]))
        return np.frombuffer(self._store.read(int(np.prod(shape))), dtype=np.uint8).reshape(shape)


@dataclass(frozen=True)
class FollowedVideo:
    """What a whole video shows."""

    frames: int
    """Frames decoded."""
    duration: float
    """Presentation time of the last frame, in s."""
    faces: list[Face]
    """By their area summed over the video, the largest first."""


@contextmanager
def follow_faces(
    path: str | os.PathLike, config: MouthConfig, *, perturb: Callable[[int, np.ndarray], np.ndarray] | None = None
) -> Iterator[FollowedVideo]:
    """Decode a video once and follow its faces. What it gives depends on nothing but the file and the config.

    Frames stream and mouths go to a temporary file: memory does not grow with the length of the video, but for some
    64 bytes a face and frame. Raises reader.Unreadable.
    """
    with tempfile.SpooledTemporaryFile(MOUTHS_IN_MEMORY) as store:
        video = None
        with quiet_native_logs():
            if config.face == "largest":
                video = _follow(path, config, store, perturb, several=False)
            if video is None:
                video = _follow(path, config, store, perturb, several=True)
        yield video


def _follow(
    path: str | os.PathLike,
    config: MouthConfig,
    store: BinaryIO,
    perturb: Callable[[int, np.ndarray], np.ndarray] | None,
    *,
    several: bool,
) -> FollowedVideo | None:
    """several: follow up to config.max_faces faces; otherwise one, and None as soon as a second one is seen."""
    tracks = FaceTracks()
    frames, duration = 0, 0.0
    store.seek(0)
    with (
        FaceMesh(max_faces=config.max_faces if several else 1, refine=config.refine_landmarks) as mesh,
        FaceCounter() as counter,
    ):
        for frame in read_frames(path, perturb=perturb):
            image = fit(frame.image, config.working_width)
            if not several and frame.index % LOOK_EVERY == 0 and counter(image) > 1:
                return None
            frames, duration = frames + 1, frame.time
            faces = mesh(image)
            boxes = np.array([np.concatenate([face.min(axis=0), face.max(axis=0)]) for face in faces])
            for face, box, track in zip(faces, boxes, tracks.assign(frame.index, boxes), strict=True):
                face = face.astype(np.float64)
                lips = lip_outline(face)
                pose = measure(to_68(face), lips, config) if is_in_picture(lips, image) else None
                if pose is None:
                    continue
                if config.cut == "native":
                    # From the frame before it was reduced: half as many pixels say much less (docs/experiments.md).
                    mouth = cut_native(frame.image, lips * (frame.image.shape[1] // image.shape[1]), config.margin)
                else:
                    mouth = cut_mouth(image, pose)
                if mouth is None:
                    continue
                if track.thumbnail is None:
                    track.thumbnail = _thumbnail(image, box)
                seen = (frame.index, frame.time, pose.ratios, store.tell(), *mouth.shape[:2])
                track.seen += np.array(seen, dtype=_SEEN).tobytes()
                store.write(mouth.tobytes())
    faces = [
        Face(track.thumbnail, np.frombuffer(track.seen, dtype=_SEEN), store)
        for track in tracks.by_area()
        if track.thumbnail is not None
    ]
    return FollowedVideo(frames, duration, faces)


def _thumbnail(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(box[:2]).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(box[2:]).astype(int), (left + 1, top + 1), (width, height))
    face = image[top:bottom, left:right]
    scale = THUMBNAIL / max(face.shape[:2])
    size = (max(1, round(face.shape[1] * scale)), max(1, round(face.shape[0] * scale)))
    return cv2.resize(face, size, interpolation=cv2.INTER_AREA)
