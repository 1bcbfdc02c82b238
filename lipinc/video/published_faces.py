"""Finds the mouths of a video as the published code does, for use with the published weights.

Source: V1 and V2, code. Differences from faces.py:
- every frame is scaled to one width, small ones are enlarged, and nothing is turned or followed: the face of a frame is
  the first one that dlib's detector lists, whoever's it is;
- landmarks and eye centres are whole px;
- the face is searched for again on the aligned picture. The mouth is the box of its 20 lip points there, and the pose
  is relative to the box of the detector;
- a frame without a face is left out. A frame whose face is not found again stays, without a pose: it ends searches of
  the published sampling (published_sampling.py).

Not copied: where a mouth begins beyond the left or upper border of the aligned face, the published code fails after it
has looked at the pose; here such a frame has no pose.
"""

import math
import os
from collections.abc import Callable
from typing import BinaryIO

import cv2
import numpy as np

from lipinc.config import MouthConfig, SamplingConfig
from lipinc.video.landmarks.dlib_runtime import DlibFace, DlibLandmarks
from lipinc.video.landmarks.installed import DLIB_PACKAGES
from lipinc.video.mouth import POSE_RATIOS, lip_box
from lipinc.video.quality import QualityMeter
from lipinc.video.reader import VideoReader
from lipinc.video.tracked_video import OBSERVATION, Face, TrackedVideo, make_thumbnail, measure_quality

MEASURED = (
    "on real clips boxes differed by up to 32 px of 256 and 73 % in height, the mean of the residues by a factor of up "
    "to 1.6"
)
"""Distance from dlib on real clips: python -m benchmarks.published_landmarks."""
NO_POSE = np.full(len(POSE_RATIOS), np.nan)


def track_first_face(
    path: str | os.PathLike,
    config: MouthConfig,
    mouth_file: BinaryIO,
    perturb: Callable[[int, np.ndarray], np.ndarray] | None,
    on_frame: Callable[[int, int | None], None] | None,
) -> TrackedVideo:
    """Decode a video and find the mouth of each frame. All faces count as one person's.

    Args:
        mouth_file: receives the mouths.
        perturb: see `faces.track_faces`.
        on_frame: see `faces.track_faces`.

    Raises:
        reader.Unreadable: no frame of the file can be decoded.
        ModuleNotFoundError: dlib or its model is not installed.
    """
    find_face, meter = DlibLandmarks(), QualityMeter()
    found, thumbnail = bytearray(), None
    frames, duration = 0, 0.0
    with VideoReader(path, perturb=perturb) as video:
        for frame in video:
            frames, duration = frames + 1, frame.time
            if on_frame is not None:
                on_frame(frames, video.promised_frames)
            image = scale_to_width(frame.image, config.working_width)
            face = find_face(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
            aligned = None if face is None else align_face(image, face.points, config)
            if aligned is None:
                continue
            scale = frame.image.shape[1] / image.shape[1]
            meter.add(frame.index, frame.image, scale * face.box[None])
            if thumbnail is None:
                thumbnail = make_thumbnail(image, face.box)
            # Red and blue are interchanged, as in the published code.
            mouth, ratios = crop_aligned(aligned, find_face(cv2.cvtColor(aligned, cv2.COLOR_RGB2GRAY)), config)
            observed = (frame.index, frame.index, 0, frame.time, ratios, scale * (face.box[3] - face.box[1]))
            place = (mouth_file.tell(), *mouth.shape[:2], lip_box(scale * face.points[48:], config.margin))
            found += np.array((*observed, *place), dtype=OBSERVATION).tobytes()
            mouth_file.write(mouth.tobytes())
    faces = []
    if found:
        observations = np.frombuffer(found, dtype=OBSERVATION)
        quality = measure_quality(observations, meter, video, frames, repeats=0)
        faces.append(Face(thumbnail, 0, quality, observations, mouth_file))
    return TrackedVideo(frames, repeats=0, turned=0, duration=duration, faces=faces, stream=video.stream)


def landmarks_caveat(mouth: MouthConfig, sampling: SamplingConfig) -> str:
    """Say how far clips are from those that the published weights were trained on; "" if they are the same.

    `sampling.published_quirks` marks the clips for these weights.
    """
    if not sampling.published_quirks or mouth.landmarks == "dlib":
        return ""
    return (
        "mouths are found by MediaPipe's models, not by dlib as those that the published weights were trained on: "
        f"{MEASURED} (docs/results.md). Remedy: pip install {' '.join(DLIB_PACKAGES.values())}, then make checkpoint "
        "and clips again"
    )


def scale_to_width(image: np.ndarray, width: int) -> np.ndarray:
    """Scale an image (H, W, 3) uint8 to a width in px, as imutils.resize does."""
    height = max(1, int(image.shape[0] * (width / image.shape[1])))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def align_face(image: np.ndarray, points: np.ndarray, config: MouthConfig) -> np.ndarray | None:
    """Rotate and scale a face so that its eyes come to rest at `config.eye` and at its mirror image.

    Args:
        image: (H, W, 3) uint8.
        points: (68, 2) int landmarks in px.

    Returns:
        (S, S, 3) uint8 with S = config.aligned_size; None if the eyes coincide.
    """
    left, right = (points[eye].mean(axis=0).astype(int) for eye in (slice(36, 42), slice(42, 48)))
    x, y = left - right
    distance = np.sqrt(x**2 + y**2)
    if distance == 0:
        return None
    size = config.aligned_size
    scale = (1 - config.eye[0] - config.eye[0]) * size / distance
    middle = (left + right) // 2
    transform = cv2.getRotationMatrix2D(tuple(map(int, middle)), np.degrees(np.arctan2(y, x)) - 180, scale)
    transform[:, 2] += np.array([size * 0.5, size * config.eye[1]]) - middle
    return cv2.warpAffine(image, transform, (size, size), flags=cv2.INTER_CUBIC)


def crop_aligned(aligned: np.ndarray, face: DlibFace | None, config: MouthConfig) -> tuple[np.ndarray, np.ndarray]:
    """Crop the mouth of an aligned face (S, S, 3) uint8.

    Args:
        face: the face as it was found on this picture; None: it was not.

    Returns:
        The mouth (h, w, 3) uint8 and its pose ratios (4,) float64 in the order of POSE_RATIOS; an empty mouth and nan
        if there is no face, or if its mouth is not on the picture.
    """
    nothing = aligned[:0, :0], NO_POSE
    if face is None:
        return nothing
    left, top, right, bottom = lip_box(face.points[48:], config.margin)
    mouth = aligned[max(top, 0) : bottom, max(left, 0) : right]
    if left < 0 or top < 0 or not mouth.size:
        return nothing
    return mouth, _pose_ratios(face, aligned)


def _pose_ratios(face: DlibFace, aligned: np.ndarray) -> np.ndarray:
    size = np.array(aligned.shape[1::-1])
    width, height = np.minimum(face.box[2:], size) - np.maximum(face.box[:2], 0)

    def distance(a: int, b: int) -> float:
        return math.dist(face.points[a], face.points[b])

    gap, lips = distance(62, 66), distance(60, 64)
    return np.array([gap / height, lips / width, distance(48, 4) / width, distance(54, 12) / width])
