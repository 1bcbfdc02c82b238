"""What is said of a suspicious video, and on what grounds."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from lipinc.video.rejection import Reason


class Decision(str, Enum):
    """The closed list of answers."""

    FAKE = "fake"
    REAL = "real"
    UNCERTAIN = "uncertain"  # scores like this one were wrong too often on validation
    NO_VERDICT = "no verdict"  # refused, for one of the reasons of video/rejection.py


def decide(value: float, threshold: float, uncertain: tuple[float, float]) -> Decision:
    """The answer to a score, or to a probability, in units of the threshold and of the uncertain band."""
    if uncertain[0] < value < uncertain[1]:
        return Decision.UNCERTAIN
    return Decision.FAKE if value >= threshold else Decision.REAL


@dataclass(frozen=True)
class Assessment:
    """What is said of a face, or of a whole video: what its most suspicious face gives."""

    decision: Decision
    probability: float | None
    """Fake probability in 0..1 at even odds, calibrated on the checkpoint's validation videos; None without a verdict.
    It says what the validation data would: for videos of another kind it is a score, not a chance."""
    windows: int
    """Clips scored."""
    coverage: float
    """Share of the video's frames that show a usable mouth, 0..1."""
    reason: Reason | None
    """Why there is no verdict."""
    detail: str
    """The same for a person; empty where there is a verdict."""


@dataclass(frozen=True)
class WindowScore:
    """One clip of a face, scored."""

    start: float
    """Presentation time of its first local frame, in s."""
    end: float
    """Of its last local frame, in s."""
    frame_ids: tuple[int, ...]
    """Its frames in the file, counted from 0, local frames first."""
    probability: float
    """Fake probability of this clip alone, 0..1."""


@dataclass(frozen=True)
class Evidence:
    """The pictures of one window, and where in them the score comes from."""

    window: int
    """Position in the face's windows."""
    frames: np.ndarray
    """[N, H, W, 3] uint8 BGR, local frames first."""
    residues: np.ndarray
    """[N - 1, H, W, 3] uint8."""
    heat: np.ndarray
    """[N, H, W] float32 in 0..1: how much each place of each mouth moves the score (gradient x input), 1 the most."""


@dataclass(frozen=True)
class FaceVerdict:
    """What is said of one followed face."""

    rank: int
    """By its area over the video, 0 the largest."""
    thumbnail: np.ndarray
    """[H, W, 3] uint8 BGR."""
    assessment: Assessment
    windows: tuple[WindowScore, ...]
    """In the order of the video."""
    evidence: tuple[Evidence, ...]
    """Of the most and the least suspicious window (of the one, where there is one); empty unless asked for."""


@dataclass(frozen=True)
class Source:
    """What a verdict rests on, so that it can be checked later."""

    checkpoint: str
    """Name of its file."""
    checkpoint_sha256: str
    model: str
    """Name of the model."""
    threshold: float
    """A video counts as fake from this probability on."""
    uncertain: tuple[float, float]
    """Between these probabilities the answer is `uncertain`."""
    settings: dict[str, Any]
    """Of extraction, sampling and network, as in a config.json."""
    versions: dict[str, str]
    """Of Python and the packages that the numbers may depend on."""
    trained_on: str
    """What the checkpoint says of its training data; may be empty."""


@dataclass(frozen=True, repr=False)
class Verdict:
    """What is said of one video file."""

    file: str
    sha256: str
    """Of the file; empty if it cannot be read."""
    frames: int
    """Frames decoded."""
    duration: float
    """Presentation time of the last frame, in s."""
    assessment: Assessment
    """Of its most suspicious face."""
    faces: tuple[FaceVerdict, ...]
    """The faces asked for, the largest first."""
    source: Source

    def __repr__(self) -> str:
        said = self.assessment
        answer = f"{said.reason.value}: {said.detail}" if said.probability is None else f"{said.probability:.3f}"
        return f"<Verdict {said.decision.value} {answer}, {self.windows} windows, {self.file!r}>"

    @property
    def decision(self) -> Decision:
        return self.assessment.decision

    @property
    def probability(self) -> float | None:
        """Fake probability, 0..1."""
        return self.assessment.probability

    @property
    def windows(self) -> int:
        """Clips scored of the most suspicious face."""
        return self.assessment.windows

    @property
    def coverage(self) -> float:
        """Share of the frames with its usable mouth, 0..1."""
        return self.assessment.coverage

    @property
    def threshold(self) -> float:
        """Probability from which a video counts as fake."""
        return self.source.threshold

    @property
    def reason(self) -> Reason | None:
        """Why there is no verdict."""
        return self.assessment.reason

    def to_json(self) -> dict[str, Any]:
        """All of it but the pictures, as JSON can say it."""
        return {
            "file": self.file,
            **_assessment_values(self.assessment),
            "threshold": self.source.threshold,
            "uncertain_between": list(self.source.uncertain),
            "frames": self.frames,
            "duration_s": round(self.duration, 3),
            "sha256": self.sha256,
            "faces": [
                {
                    "rank": face.rank,
                    **_assessment_values(face.assessment),
                    "scores": [
                        {
                            "start_s": round(window.start, 3),
                            "end_s": round(window.end, 3),
                            "frame_ids": list(window.frame_ids),
                            "probability": round(window.probability, 4),
                        }
                        for window in face.windows
                    ],
                }
                for face in self.faces
            ],
            "model": self.source.model,
            "checkpoint": self.source.checkpoint,
            "checkpoint_sha256": self.source.checkpoint_sha256,
            "trained_on": self.source.trained_on,
            "settings": self.source.settings,
            "versions": self.source.versions,
        }


def _assessment_values(assessment: Assessment) -> dict[str, Any]:
    return {
        "verdict": assessment.decision.value,
        "probability": None if assessment.probability is None else round(assessment.probability, 4),
        "windows": assessment.windows,
        "coverage": round(assessment.coverage, 4),
        "reason": assessment.reason.value if assessment.reason else None,
        "detail": assessment.detail,
    }
