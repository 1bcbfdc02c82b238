"""Why a video gives no clips: a closed list, so that refusals can be counted and compared between labels."""

from dataclasses import dataclass
from enum import Enum


class Reason(str, Enum):
    """One word a refusal, as it stands in the manifest."""

    MISSING = "missing"  # the index names a file that is not there
    UNREADABLE = "unreadable"  # it cannot be opened as a video, or not one frame decodes
    TOO_SHORT = "too_short"  # fewer frames than sampling.min_frames
    NO_FACE = "no_face"  # too few frames show the face asked for
    MOUTH_CLOSED = "mouth_closed"  # no run of adjacent frames with an open mouth
    NO_SIMILAR_POSE = "no_similar_pose"  # open mouths, but too few frames of the same pose elsewhere
    TIME_LIMIT = "time_limit"  # it was not done within cache.time_limit
    DAMAGED = "damaged"  # its clips are no longer what was written; made again by the next run
    CRASHED = "crashed"  # the process that read it died, or an error that is a bug: see the detail


@dataclass(frozen=True)
class Rejection:
    """A video that was read as far as possible and refused."""

    reason: Reason
    detail: str
    """For a person: what was found and what was needed."""
    frames: int = 0
    """Frames decoded."""
    face_frames: int = 0
    """Of these, frames that show the face asked for."""
