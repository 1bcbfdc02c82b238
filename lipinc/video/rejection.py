"""Reasons why a video yields no clips: a closed list, so that rejections can be counted and compared between labels."""

from dataclasses import dataclass
from enum import Enum


class Reason(str, Enum):
    """The reason of a rejection, as written in the manifest."""

    MISSING = "missing"  # the file in the index does not exist
    UNREADABLE = "unreadable"  # it cannot be opened as a video, or no frame can be decoded
    TOO_SHORT = "too_short"  # fewer frames than sampling.min_frames
    NO_FACE = "no_face"  # too few frames show the requested face
    NO_MOVEMENT = "no_movement"  # nothing moves, or the lips do not: a photograph
    MOUTH_CLOSED = "mouth_closed"  # no run of adjacent frames with an open mouth
    NO_SIMILAR_POSE = "no_similar_pose"  # open mouths, but too few other frames with a similar pose
    TIME_LIMIT = "time_limit"  # processing took longer than cache.time_limit
    DAMAGED = "damaged"  # its clip file was changed after it was written; the next run makes it again
    CRASHED = "crashed"  # the process that read it died, or a bug raised an error: see the detail


class Unreadable(Exception):
    """No frame of the file can be decoded. The message says why."""


@dataclass(frozen=True)
class Rejection:
    """The result for a video that yields no clips."""

    reason: Reason
    detail: str
    """For humans: what was found and what was required."""
    frames: int = 0
    """Number of decoded frames."""
    face_frames: int = 0
    """Number of these frames that show the requested face."""
    repeats: int = 0
    """Number of decoded frames that repeat the picture before them."""
