"""Verdict data types: decision, evidence and provenance for one video."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lipinc.detection.decision import Decision
from lipinc.detection.segments import Segment
from lipinc.files.json_values import finite
from lipinc.video.error_rates import ErrorRates
from lipinc.video.quality import Quality
from lipinc.video.rejection import Reason
from lipinc.video.streams import StreamInfo

FORMAT = 2
"""Version of the JSON format, described in docs/json.md. It grows if a field changes its meaning or disappears."""


@dataclass(frozen=True)
class Assessment:
    """The decision on a face, or on a video, which has the assessment of its most suspicious face."""

    decision: Decision
    probability: float | None
    """Fake probability of the whole in 0..1 for equal priors, calibrated on videos that the detector was not trained
    on; None without a verdict. For videos unlike those it is a score, not a probability. Stretches have their own."""
    windows: int
    """Number of scored windows."""
    coverage: float | None
    """Fraction of the video's frames with a usable mouth, 0..1; None if no mouth was looked for, as in a video that is
    too short."""
    reason: Reason | None
    """Why there is no verdict; None if there is one."""
    detail: str
    """Why there is no verdict, why it is uncertain, or that it rests on a stretch, in words; empty otherwise."""


@dataclass(frozen=True)
class WindowScore:
    """The score of one window of a face."""

    start: float
    """Presentation time of the first local frame, in s."""
    end: float
    """Presentation time of the last local frame, in s."""
    frame_ids: tuple[int, ...]
    """Frame numbers in the file, from 0, local frames first."""
    probability: float
    """Fake probability of this window alone, 0..1."""
    contrast: float = 0.0
    """What windows of one scene are compared by, to find suspicious stretches: higher for what a forgery changes, in
    units of the scatter within real videos, or within this one (`MouthModel.standard_contrast`). Its level says
    nothing."""
    scene: int = 0
    """Number of its scene in the video, from 0; -1 if its local frames show several."""


@dataclass(frozen=True)
class Evidence:
    """The pictures of one window, with heat maps of their influence on the score."""

    window: int
    """Index in the windows of the face."""
    frames: np.ndarray
    """(N, H, W, 3) uint8 BGR, local frames first."""
    residues: np.ndarray
    """(N - 1, H, W, 3) uint8."""
    heat: np.ndarray
    """(N, H, W) float32 in 0..1: influence of each pixel on the score (gradient x input); the maximum is 1."""


@dataclass(frozen=True)
class Embeddings:
    """What the model knows about W windows of a face, before and after its last layer."""

    features: np.ndarray
    """(W, F) float32: the embedding of each window."""
    scores: np.ndarray
    """(W,) float64: logit(fake) - logit(real) of each window, before calibration."""


@dataclass(frozen=True)
class MouthTrack:
    """Where the mouth of a face is: one box for each frame that shows it."""

    turned: int
    """Degrees by which the pictures of the video were turned counter-clockwise: 0, 90, 180 or 270."""
    frame_ids: np.ndarray
    """(F,) int64, increasing: frame numbers in the file, from 0."""
    times: np.ndarray
    """(F,) float64: presentation times of these frames, in s."""
    boxes: np.ndarray
    """(F, 4) int32: left, top, right, bottom in px of the turned picture; right and bottom are exclusive."""


@dataclass(frozen=True)
class Still:
    """A mouth out of a suspicious stretch."""

    time: float
    """Presentation time in s."""
    frame_id: int
    """Frame number in the file, from 0."""
    picture: np.ndarray
    """(H, W, 3) uint8 BGR."""


@dataclass(frozen=True)
class FaceVerdict:
    """The verdict on one tracked face."""

    rank: int
    """Rank by area over the video; 0 is the largest."""
    thumbnail: np.ndarray
    """(H, W, 3) uint8 BGR."""
    assessment: Assessment
    windows: tuple[WindowScore, ...]
    """Scored windows in temporal order."""
    evidence: tuple[Evidence, ...]
    """Evidence of the most and the least suspicious window (one entry if there is one window); empty unless
    requested."""
    quality: Quality | None = None
    """Input quality, measured outside the faces; None without a verdict."""
    segments: tuple[Segment, ...] = ()
    """Suspicious stretches, in temporal order."""
    track: MouthTrack | None = None
    """None unless requested."""
    stills: tuple[Still, ...] = ()
    """Mouths of the suspicious stretches, in temporal order; empty unless evidence was requested."""
    embeddings: Embeddings | None = None
    """Those of `windows`; None unless requested, and without a verdict."""


@dataclass(frozen=True)
class Source:
    """Provenance of a verdict: checkpoint, settings and versions that reproduce it."""

    checkpoint: str
    """File name of the checkpoint."""
    checkpoint_sha256: str
    model: str
    """Model name."""
    threshold: float
    """Videos with at least this probability are called fake: "lip-sync found"."""
    uncertain: tuple[float, float]
    """Videos of the quality of this one strictly between these probabilities are called `uncertain`."""
    settings: dict[str, Any]
    """Mouth, sampling and model settings, as in a config.json."""
    versions: dict[str, str]
    """Versions of lipinc, of Python and of the packages that scores may depend on."""
    trained_on: str
    """The checkpoint's description of its training data; may be empty."""
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Measure of input quality -> its range in the videos of the calibration. A video outside is `uncertain`."""
    rates: tuple[ErrorRates, ...] = ()
    """How often the detector errs, by size of the face; empty if that was not measured."""

    def decide(self, probability: float) -> Decision:
        """Decide on a probability alone."""
        if self.uncertain[0] < probability < self.uncertain[1]:
            return Decision.UNCERTAIN
        return Decision.FAKE if probability >= self.threshold else Decision.REAL


@dataclass(frozen=True, repr=False)
class Verdict:
    """The verdict on one video file."""

    file: str
    sha256: str
    """SHA-256 of the file (of a folder of frames: see video_files.py); empty if it cannot be read."""
    frames: int
    """Number of decoded frames."""
    duration: float
    """Presentation time of the last frame, in s."""
    assessment: Assessment
    """Assessment of the most suspicious face."""
    faces: tuple[FaceVerdict, ...]
    """The selected faces, largest first."""
    source: Source
    stream: StreamInfo | None = None
    """The video stream that was read, and how; None if nothing could be read."""
    repeats: int = 0
    """Number of decoded frames that repeat the picture before them and were left out."""
    faces_seen: int = 0
    """Number of faces in the video, at most mouth.max_faces: more than `faces` if only one was asked for."""
    judged_at: str = ""
    """When the verdict was given, in UTC, as in 2026-11-26T21:47:23Z."""

    def __repr__(self) -> str:
        found = self.assessment
        result = f"{found.reason.value}: {found.detail}" if found.probability is None else f"{found.probability:.3f}"
        return f"<Verdict {found.decision.value} {result}, {self.windows} windows, {self.file!r}>"

    @property
    def decision(self) -> Decision:
        return self.assessment.decision

    @property
    def probability(self) -> float | None:
        """Fake probability, 0..1."""
        return self.assessment.probability

    @property
    def windows(self) -> int:
        """Number of scored windows of the most suspicious face."""
        return self.assessment.windows

    @property
    def coverage(self) -> float | None:
        """Fraction of frames with a usable mouth of the most suspicious face, 0..1; None if none was looked for."""
        return self.assessment.coverage

    @property
    def face(self) -> FaceVerdict | None:
        """The most suspicious face; None if no face was assessed."""
        return max(self.faces, key=lambda face: suspicion(face.assessment), default=None)

    @property
    def quality(self) -> Quality | None:
        """Input quality of the most suspicious face; None if there is none."""
        return None if self.face is None else self.face.quality

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Suspicious stretches of all faces, in temporal order."""
        found = [segment for face in self.faces for segment in face.segments]
        return tuple(sorted(found, key=lambda segment: segment.start))

    @property
    def rates(self) -> ErrorRates | None:
        """How often the detector errs on videos like this one; None if that was not measured."""
        height = float("nan") if self.quality is None else self.quality.face_height
        return next((one for one in self.source.rates if one.face_height[0] <= height < one.face_height[1]), None)

    @property
    def threshold(self) -> float:
        """Fake probability at the decision threshold."""
        return self.source.threshold

    @property
    def reason(self) -> Reason | None:
        """Why there is no verdict; None if there is one."""
        return self.assessment.reason

    def to_json(self) -> dict[str, Any]:
        """Return the verdict without pictures, as JSON values."""
        return {
            "format": FORMAT,
            "file": self.file,
            "judged_at": self.judged_at,
            **_assessment_values(self.assessment),
            "threshold": self.source.threshold,
            "uncertain_between": list(self.source.uncertain),
            "frames": self.frames,
            "repeated_frames": self.repeats,
            "duration_s": round(self.duration, 3),
            "sha256": self.sha256,
            "stream": None if self.stream is None else {**asdict(self.stream), "notes": list(self.stream.notes)},
            "faces_seen": self.faces_seen,
            "error_rates": None if self.rates is None else finite(asdict(self.rates)),
            "faces": [
                {
                    "rank": face.rank,
                    **_assessment_values(face.assessment),
                    "quality": None if face.quality is None else finite(asdict(face.quality)),
                    "segments": [_segment_values(segment) for segment in face.segments],
                    "scores": [
                        {
                            "start_s": round(window.start, 3),
                            "end_s": round(window.end, 3),
                            "frame_ids": list(window.frame_ids),
                            "probability": round(window.probability, 4),
                            "contrast": round(window.contrast, 3),
                            "scene": window.scene,
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
            "quality_limits": {name: list(limits) for name, limits in self.source.limits.items()},
            "settings": self.source.settings,
            "versions": self.source.versions,
        }


def suspicion(assessment: Assessment) -> tuple[int, float]:
    """Return a key by which assessments are sorted: the highest is that of the video."""
    return assessment.decision.suspicion, -1.0 if assessment.probability is None else assessment.probability


def _segment_values(segment: Segment) -> dict[str, float]:
    return {
        "start_s": round(segment.start, 3),
        "end_s": round(segment.end, 3),
        "probability": round(segment.probability, 4),
    }


def _assessment_values(assessment: Assessment) -> dict[str, Any]:
    return {
        "verdict": assessment.decision.value,
        "probability": None if assessment.probability is None else round(assessment.probability, 4),
        "windows": assessment.windows,
        "coverage": None if assessment.coverage is None else round(assessment.coverage, 4),
        "reason": assessment.reason.value if assessment.reason else None,
        "detail": assessment.detail,
    }
