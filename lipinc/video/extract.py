"""A video file to its clips: reader, landmarks, mouth and sampling in a row."""

import os
import tempfile
from dataclasses import dataclass

import numpy as np

from lipinc.config import MouthConfig, SamplingConfig
from lipinc.video.landmarks import FaceCounter, FaceMesh, lip_outline, quiet_native_logs, to_68
from lipinc.video.mouth import cut_mouth, is_in_picture, measure, residues, resize_mouth
from lipinc.video.reader import Unreadable, read_frames
from lipinc.video.rejection import Reason, Rejection
from lipinc.video.sampling import sample_windows
from lipinc.video.tracks import FaceTracks, Track

LOOK_EVERY = 12
"""Frames between two looks for a second face: about half a second. Following several faces doubles the cost of a
frame, so it is done only where there are several."""
MOUTHS_IN_MEMORY = 64 << 20
"""Bytes of mouths held in memory; those of longer videos go on to a temporary file."""


@dataclass(frozen=True)
class Clips:
    """The clips of one video: K windows of N = L + G mouths, local frames first."""

    frames: np.ndarray
    """[K, N, H, W, 3] uint8 BGR."""
    residues: np.ndarray
    """[K, N - 1, H, W, 3] uint8."""
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


@dataclass(frozen=True)
class _Entry:
    """One mouth of one frame, as it is kept until the windows are known."""

    frame: int
    time: float
    ratios: np.ndarray
    offset: int
    shape: tuple[int, ...]


def extract(path: str | os.PathLike, mouth: MouthConfig, sampling: SamplingConfig) -> Clips | Rejection:
    """The clips of a video file, or why there are none.

    Frames stream: memory does not grow with the length of the video. The result depends on nothing but the file and
    the two configs.
    """
    if not os.path.exists(path):
        return Rejection(Reason.MISSING, "no such file")
    try:
        with quiet_native_logs():
            if mouth.face == "largest":
                clips = _extract(path, mouth, sampling, several=False)
                if clips is not None:
                    return clips
            return _extract(path, mouth, sampling, several=True)
    except Unreadable as error:
        return Rejection(Reason.UNREADABLE, str(error))


def _extract(
    path: str | os.PathLike, mouth: MouthConfig, sampling: SamplingConfig, *, several: bool
) -> Clips | Rejection | None:
    """several: follow up to mouth.max_faces faces; otherwise one, and None as soon as a second one is seen."""
    tracks = FaceTracks()
    video_frames = 0
    max_faces = mouth.max_faces if several else 1
    with (
        tempfile.SpooledTemporaryFile(MOUTHS_IN_MEMORY) as store,
        FaceMesh(max_faces=max_faces, refine=mouth.refine_landmarks) as mesh,
        FaceCounter() as counter,
    ):
        for frame in read_frames(path, working_width=mouth.working_width):
            if not several and frame.index % LOOK_EVERY == 0 and counter(frame.image) > 1:
                return None
            video_frames += 1
            faces = mesh(frame.image)
            boxes = np.array([np.concatenate([face.min(axis=0), face.max(axis=0)]) for face in faces])
            for face, track in zip(faces, tracks.assign(frame.index, boxes), strict=True):
                face = face.astype(np.float64)
                lips = lip_outline(face)
                pose = measure(to_68(face), lips, mouth) if is_in_picture(lips, frame.image) else None
                if pose is None:
                    continue
                cut = cut_mouth(frame.image, pose)
                track.entries.append(_Entry(frame.index, frame.time, pose.ratios, store.tell(), cut.shape))
                store.write(cut.tobytes())
        if video_frames < sampling.min_frames:
            detail = f"{video_frames} frames, {sampling.min_frames} are needed"
            return Rejection(Reason.TOO_SHORT, detail, video_frames)
        return _clips(tracks.by_area(), store, video_frames, mouth, sampling)


def _clips(
    tracks: list[Track],
    store: tempfile.SpooledTemporaryFile,
    video_frames: int,
    mouth: MouthConfig,
    sampling: SamplingConfig,
) -> Clips | Rejection:
    ranks = {"largest": [0], "all": list(range(mouth.max_faces))}.get(mouth.face) or [int(mouth.face)]
    asked = [(rank, tracks[rank].entries) for rank in ranks if rank < len(tracks)]
    if not asked:
        wanted = "" if ranks[0] == 0 else f", face {ranks[0]} was asked for"
        return Rejection(Reason.NO_FACE, f"{len(tracks)} faces in {video_frames} frames{wanted}", video_frames)
    refusals: list[Rejection] = []
    parts = []
    for rank, entries in asked:
        frame_ids = np.array([entry.frame for entry in entries], dtype=np.int64)
        ratios = np.array([entry.ratios for entry in entries]).reshape(-1, 4)
        windows = sample_windows(frame_ids, ratios, sampling)
        if isinstance(windows, Rejection):
            refusals.append(windows)
            continue
        for window in windows:
            chosen = [entries[position] for position in window.positions]
            parts.append((rank, window.nearest, chosen, np.stack([_load(store, entry, mouth) for entry in chosen])))
    face_frames = len(asked[0][1])
    if not parts:
        return Rejection(refusals[0].reason, refusals[0].detail, video_frames, face_frames)
    frames = np.stack([mouths for _, _, _, mouths in parts])
    return Clips(
        frames=frames,
        residues=residues(frames, mouth.residue),
        frame_ids=np.array([[entry.frame for entry in chosen] for _, _, chosen, _ in parts], dtype=np.int32),
        times=np.array([[entry.time for entry in chosen] for _, _, chosen, _ in parts]),
        pose_ratios=np.array([[entry.ratios for entry in chosen] for _, _, chosen, _ in parts], dtype=np.float32),
        nearest=np.array([nearest for _, nearest, _, _ in parts], dtype=np.uint8),
        faces=np.array([rank for rank, _, _, _ in parts], dtype=np.int32),
        video_frames=video_frames,
        face_frames=face_frames,
    )


def _load(store: tempfile.SpooledTemporaryFile, entry: _Entry, mouth: MouthConfig) -> np.ndarray:
    store.seek(entry.offset)
    cut = np.frombuffer(store.read(int(np.prod(entry.shape))), dtype=np.uint8).reshape(entry.shape)
    return resize_mouth(cut, mouth)
