"""Extracts the clips of a video file: decode, track faces, sample windows, crop mouths."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lipinc.config import MouthConfig, SamplingConfig
from lipinc.video.faces import track_faces
from lipinc.video.mouth import residues
from lipinc.video.reader import Unreadable
from lipinc.video.rejection import Reason, Rejection
from lipinc.video.sampling import Window, lip_movement, sample_windows
from lipinc.video.tracked_video import Face, TrackedVideo

STILL = 0.1
"""A video of which at most this fraction of the frames show a new picture is a still picture."""


@dataclass(frozen=True)
class Clips:
    """The clips of one video: K windows of N = L + G mouths, local frames first.

    All mouths have the size H x W, except native crops: there H and W are the maxima, and `sizes` has each window's own
    size.
    """

    frames: np.ndarray
    """(K, N, H, W, 3) uint8 BGR; 0 outside a window's own size."""
    residues: np.ndarray
    """(K, N - 1, H, W, 3) uint8."""
    sizes: np.ndarray
    """(K, 2) int32: height and width of each window's mouths, in px from the upper left corner."""
    frame_ids: np.ndarray
    """(K, N) int32: indices of the frames in the file, from 0."""
    times: np.ndarray
    """(K, N) float64: presentation times in s."""
    pose_ratios: np.ndarray
    """(K, N, 4) float32, in the order of mouth.POSE_RATIOS."""
    nearest: np.ndarray
    """(K,) uint8: 1 if global frames beyond the tolerance were taken (sampling.fallback)."""
    faces: np.ndarray
    """(K,) int32: rank of the face by its area summed over the video, 0 = largest."""
    quality: np.ndarray
    """(K, Q) float32: input quality of each window's face, in the order of quality.QUALITY_NAMES; nan is unknown."""
    video_frames: int
    """Number of decoded frames."""
    face_frames: int
    """Number of these frames with a usable mouth of the requested face (of the largest one, if several)."""
    repeats: int
    """Number of these frames that repeat the picture before them."""

    def window(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames (N, h, w, 3) and residues (N - 1, h, w, 3) of one window, at its own size."""
        height, width = self.sizes[number]
        return self.frames[number, :, :height, :width], self.residues[number, :, :height, :width]


@dataclass(frozen=True)
class SampledFace:
    """A requested face with its windows, or the reason why it has none."""

    rank: int
    """By area summed over the video, 0 = largest."""
    face: Face
    windows: list[Window] | Rejection


def extract(
    path: str | os.PathLike,
    mouth: MouthConfig,
    sampling: SamplingConfig,
    *,
    perturb: Callable[[int, np.ndarray], np.ndarray] | None = None,
) -> Clips | Rejection:
    """Extract the clips of a video file.

    Frames are streamed: memory does not grow with the length of the video. The result depends only on the arguments and
    the content of the file.

    Args:
        perturb: Changes each frame, given its index and image, before face detection; see
            synthesis.perturbations.make_perturbation.

    Returns:
        The clips, or the reason why there are none. A file that cannot be read is a Rejection too, not an exception.
    """
    if not os.path.exists(path):
        return Rejection(Reason.MISSING, "no such file")
    try:
        with track_faces(path, mouth, perturb=perturb) as video:
            sampled = sample_faces(video, mouth, sampling)
            return sampled if isinstance(sampled, Rejection) else _crop_clips(video, sampled, mouth)
    except Unreadable as error:
        return Rejection(Reason.UNREADABLE, str(error))


def sample_faces(video: TrackedVideo, mouth: MouthConfig, sampling: SamplingConfig) -> list[SampledFace] | Rejection:
    """Sample the windows of each face requested by `mouth.face`. Returns a Rejection if the video has no such face."""
    frames = "1 frame" if video.frames == 1 else f"{video.frames} frames"
    if video.repeats:
        frames += f" ({video.repeats} of them repeat the one before)"
    counts = {"frames": video.frames, "repeats": video.repeats}
    if video.pictures <= STILL * video.frames and video.frames >= sampling.min_frames:
        return Rejection(Reason.NO_MOVEMENT, f"{frames}: nothing moves", **counts)
    if video.pictures < sampling.min_frames:
        return Rejection(Reason.TOO_SHORT, f"{frames}, {sampling.min_frames} are needed", **counts)
    ranks = {"largest": [0], "all": list(range(mouth.max_faces))}.get(mouth.face) or [int(mouth.face)]
    requested = [(rank, video.faces[rank]) for rank in ranks if rank < len(video.faces)]
    if not requested:
        wanted = "" if ranks[0] == 0 else f", face {ranks[0]} was requested"
        found = "1 face" if len(video.faces) == 1 else f"{len(video.faces)} faces"
        return Rejection(Reason.NO_FACE, f"{found} in {frames}{wanted}", **counts)
    return [SampledFace(rank, face, _sample_face(face, sampling)) for rank, face in requested]


def _sample_face(face: Face, sampling: SamplingConfig) -> list[Window] | Rejection:
    shown = len(face.pictures)
    if shown < sampling.min_frames <= shown + face.repeats:
        detail = f"the face is in {shown + face.repeats} frames, but its mouth moves in {shown} of them only"
        return Rejection(Reason.NO_MOVEMENT, detail)
    windows = sample_windows(face.pictures, face.ratios, sampling, face.scenes)
    if isinstance(windows, list) and (moved := lip_movement(face.ratios)) < sampling.min_movement:
        detail = f"the lips move by {moved:.1%} of the face height, {sampling.min_movement:.1%} are needed"
        return Rejection(Reason.NO_MOVEMENT, detail)
    return windows


def _crop_clips(video: TrackedVideo, sampled: list[SampledFace], mouth: MouthConfig) -> Clips | Rejection:
    face_frames = len(sampled[0].face.frame_ids)
    chosen = [(one, window) for one in sampled if not isinstance(one.windows, Rejection) for window in one.windows]
    if not chosen:
        rejection = sampled[0].windows
        return Rejection(rejection.reason, rejection.detail, video.frames, face_frames, video.repeats)
    frames, sizes = _pad_to_common_size([one.face.mouths(window.positions, mouth) for one, window in chosen])
    return Clips(
        frames=frames,
        residues=residues(frames, mouth.residue),
        sizes=sizes,
        frame_ids=np.stack([one.face.frame_ids[window.positions] for one, window in chosen]).astype(np.int32),
        times=np.stack([one.face.times[window.positions] for one, window in chosen]),
        pose_ratios=np.stack([one.face.ratios[window.positions] for one, window in chosen]).astype(np.float32),
        nearest=np.array([window.nearest for _, window in chosen], dtype=np.uint8),
        faces=np.array([one.rank for one, _ in chosen], dtype=np.int32),
        quality=np.stack([one.face.quality.to_array() for one, _ in chosen]),
        video_frames=video.frames,
        face_frames=face_frames,
        repeats=video.repeats,
    )


def _pad_to_common_size(windows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Stack K windows (N, h, w, 3), zero-padded, to (K, N, H, W, 3). Also returns their sizes (K, 2)."""
    sizes = np.array([window.shape[1:3] for window in windows], dtype=np.int32)
    frames = np.zeros((len(windows), len(windows[0]), *sizes.max(axis=0), 3), dtype=np.uint8)
    for padded, window, (height, width) in zip(frames, windows, sizes, strict=True):
        padded[:, :height, :width] = window
    return frames, sizes
