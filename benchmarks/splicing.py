"""Splices: plans of videos that are joined from clips, as sequences of their windows or as video files.

A plan is a list of pieces of clips. Joining the windows of the clips costs nothing, so it serves for many videos, and
for long ones; windows that a cut divides are lost. Joining the frames and encoding them is what a forger does.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lipinc.video.reader import Frame, read_frames

MAX_SCENES = 1000
"""More than any clip has scenes."""


@dataclass(frozen=True)
class Piece:
    """A piece of a clip."""

    clip: str
    begin: float
    """In s, in the clip."""
    end: float
    scene: int = 0
    """Pieces with the same number belong to one scene."""


@dataclass(frozen=True)
class Windows:
    """The scored windows of a clip or of a video, in temporal order."""

    start: np.ndarray
    """(W,) float64: presentation time of the first local frame, in s."""
    end: np.ndarray
    """(W,) float64, of the last local frame."""
    logit: np.ndarray
    """(W,) float64: calibrated logit(fake)."""
    contrast: np.ndarray
    """(W,) float64: see `MouthModel.contrast`."""
    scene: np.ndarray
    """(W,) int: see `WindowScore.scene`."""
    quality: np.ndarray
    """(W, Q) float64: input quality of the clip of each window, in the order of QUALITY_NAMES."""
    duration: float
    """Of the clip or video, in s."""

    @property
    def compared(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The arguments of `find_segments`."""
        return self.start, self.end, self.contrast, self.scene


def one_after_another(clips: list[tuple[str, float]], seconds: float) -> list[Piece]:
    """Play clips, given with their durations, one after another until `seconds` are full: each is a scene.

    A single clip, repeated, stands for one long scene.
    """
    pieces, number = [], 0
    while seconds > 1e-6:
        clip, duration = clips[number % len(clips)]
        pieces.append(Piece(clip, 0.0, min(duration, seconds), number if len(clips) > 1 else 0))
        seconds, number = seconds - duration, number + 1
    return pieces


def join_windows(pieces: Iterable[Piece], clips: Mapping[str, Windows]) -> Windows:
    """Join the windows that lie within the pieces of scored clips."""
    joined, offset = [], 0.0
    for piece in pieces:
        clip = clips[piece.clip]
        inside = (clip.start >= piece.begin - 1e-6) & (clip.end <= piece.end + 1e-6)
        start, end, scene = clip.start[inside], clip.end[inside], clip.scene[inside]
        shift = offset - piece.begin
        # Within a clip, scenes are numbered from 0; a repeated clip continues each of its scenes.
        scene = np.where(scene < 0, -1, scene + MAX_SCENES * piece.scene)
        values = clip.logit[inside], clip.contrast[inside], scene, clip.quality[inside]
        joined.append((start + shift, end + shift, *values))
        offset += piece.end - piece.begin
    return Windows(*(np.concatenate(parts) for parts in zip(*joined, strict=True)), offset)


def join_frames(pieces: Iterable[Piece], folder: Path) -> Iterator[Frame]:
    """Join the frames of pieces of the clips in a folder, with their distances in time."""
    index, offset = 0, 0.0
    for piece in pieces:
        for frame in read_frames(folder / piece.clip):
            if piece.begin <= frame.time < piece.end:
                yield Frame(index, offset + frame.time - piece.begin, frame.image)
                index += 1
        offset += piece.end - piece.begin
