"""A video file to its clips: reader, landmarks, mouth and sampling in a row."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lipinc.config import MouthConfig, SamplingConfig
from lipinc.video.faces import Face, FollowedVideo, follow_faces
from lipinc.video.mouth import residues
from lipinc.video.reader import Unreadable
from lipinc.video.rejection import Reason, Rejection
from lipinc.video.sampling import Window, sample_windows


@dataclass(frozen=True)
class Clips:
    """The clips of one video: K windows of N = L + G mouths, local frames first."""

    frames: np.ndarray
    """[K, N, H, W, 3] uint8 BGR; 0 beyond a window's size."""
    residues: np.ndarray
    """[K, N - 1, H, W, 3] uint8."""
    sizes: np.ndarray
    """[K, 2] int32: height and width of each window's mouths, from the upper left corner. They are H and W, but for
    mouths cut natively."""
    frame_ids: np.ndarray
    """[K, N] int32: which frames of the file, counted from 0."""
    times: np.ndarray
    """[K, N] float64: their presentation times in s."""
    pose_ratios: np.ndarray
    """[K, N, 4] float32 in the order of mouth.POSE_RATIOS."""
    nearest: np.ndarray
    """[K] uint8: 1 where global frames beyond the tolerance were taken (sampling.fallback)."""
    faces: np.ndarray
    """[K] int32: rank of the face by its area over the video."""
    video_frames: int
    """Frames decoded."""
    face_frames: int
    """Of these, frames with a usable mouth of the (largest of the) faces asked for."""

    def window(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames [N, h, w, 3] and residues [N - 1, h, w, 3] of a window, at its own size."""
        height, width = self.sizes[number]
        return self.frames[number, :, :height, :width], self.residues[number, :, :height, :width]


@dataclass(frozen=True)
class SampledFace:
    """A face that was asked for, and its windows or why it has none."""

    rank: int
    """By its area over the video, 0 the largest."""
    face: Face
    windows: list[Window] | Rejection


def extract(
    path: str | os.PathLike,
    mouth: MouthConfig,
    sampling: SamplingConfig,
    *,
    perturb: Callable[[int, np.ndarray], np.ndarray] | None = None,
) -> Clips | Rejection:
    """The clips of a video file, or why there are none.

    perturb: changes each frame before anything is sought in it; see conditions.perturb.

    Frames stream: memory does not grow with the length of the video. The result depends on nothing but the file and
    the two configs.
    """
    if not os.path.exists(path):
        return Rejection(Reason.MISSING, "no such file")
    try:
        with follow_faces(path, mouth, perturb=perturb) as video:
            sampled = sample_faces(video, mouth, sampling)
            return sampled if isinstance(sampled, Rejection) else _clips(video, sampled, mouth)
    except Unreadable as error:
        return Rejection(Reason.UNREADABLE, str(error))


def sample_faces(video: FollowedVideo, mouth: MouthConfig, sampling: SamplingConfig) -> list[SampledFace] | Rejection:
    """The windows of each face that `mouth.face` asks for, or why there is no such face."""
    if video.frames < sampling.min_frames:
        return Rejection(Reason.TOO_SHORT, f"{_frames(video.frames)}, {sampling.min_frames} are needed", video.frames)
    ranks = {"largest": [0], "all": list(range(mouth.max_faces))}.get(mouth.face) or [int(mouth.face)]
    asked = [(rank, video.faces[rank]) for rank in ranks if rank < len(video.faces)]
    if not asked:
        wanted = "" if ranks[0] == 0 else f", face {ranks[0]} was asked for"
        return Rejection(Reason.NO_FACE, f"{len(video.faces)} faces in {_frames(video.frames)}{wanted}", video.frames)
    return [SampledFace(rank, face, sample_windows(face.frame_ids, face.ratios, sampling)) for rank, face in asked]


def _clips(video: FollowedVideo, sampled: list[SampledFace], mouth: MouthConfig) -> Clips | Rejection:
    face_frames = len(sampled[0].face.frame_ids)
    chosen = [(one, window) for one in sampled if not isinstance(one.windows, Rejection) for window in one.windows]
    if not chosen:
        refusal = sampled[0].windows
        return Rejection(refusal.reason, refusal.detail, video.frames, face_frames)
    frames, sizes = _in_one_array([one.face.mouths(window.positions, mouth) for one, window in chosen])
    return Clips(
        frames=frames,
        residues=residues(frames, mouth.residue),
        sizes=sizes,
        frame_ids=np.stack([one.face.frame_ids[window.positions] for one, window in chosen]).astype(np.int32),
        times=np.stack([one.face.times[window.positions] for one, window in chosen]),
        pose_ratios=np.stack([one.face.ratios[window.positions] for one, window in chosen]).astype(np.float32),
        nearest=np.array([window.nearest for _, window in chosen], dtype=np.uint8),
        faces=np.array([one.rank for one, _ in chosen], dtype=np.int32),
        video_frames=video.frames,
        face_frames=face_frames,
    )


def _in_one_array(windows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """K windows [N, h, w, 3] as [K, N, H, W, 3], filled up with 0, and their sizes [K, 2]."""
    sizes = np.array([window.shape[1:3] for window in windows], dtype=np.int32)
    frames = np.zeros((len(windows), len(windows[0]), *sizes.max(axis=0), 3), dtype=np.uint8)
    for into, window, (height, width) in zip(frames, windows, sizes, strict=True):
        into[:, :height, :width] = window
    return frames, sizes


def _frames(count: int) -> str:
    return f"{count} frame" if count == 1 else f"{count} frames"
