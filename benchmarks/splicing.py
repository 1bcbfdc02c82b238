"""Splices: plans of videos that are joined from clips, as sequences of their windows or as video files.

A plan is a list of pieces of clips. Joining the windows of the clips costs nothing, so it serves for many videos, and
for long ones; windows that a cut divides are lost. Joining the frames and encoding them is what a forger does.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lipinc.video.reader import Frame, read_frames

MAX_SHOTS = 1000
"""More than any clip has shots."""


@dataclass(frozen=True)
class Piece:
    """A piece of a clip."""

    clip: str
    begin: float
    """In s, in the clip."""
    end: float
    shot: int = 0
    """Pieces with the same number belong to one shot."""


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
    shot: np.ndarray
    """(W,) int: see `WindowScore.shot`."""
    duration: float
    """Of the clip or video, in s."""

    @property
    def compared(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The arguments of `find_segments`."""
        return self.start, self.end, self.contrast, self.shot


def one_after_another(clips: list[tuple[str, float]], seconds: float) -> list[Piece]:
    """Play clips, given with their durations, one after another until `seconds` are full: each is a shot.

    A single clip, repeated, stands for one long shot.
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
        start, end, shot = clip.start[inside], clip.end[inside], clip.shot[inside]
        shift = offset - piece.begin
        # Within a clip, shots are numbered from 0; a repeated clip continues each of its shots.
        shot = np.where(shot < 0, -1, shot + MAX_SHOTS * piece.shot)
        joined.append((start + shift, end + shift, clip.logit[inside], clip.contrast[inside], shot))
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
