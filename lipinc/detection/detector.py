"""Detector: applies one checkpoint to all windows of a video."""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from lipinc.config import MouthConfig
from lipinc.config.serialization import model_values
from lipinc.detection.evidence import choose_windows, gather_evidence
from lipinc.detection.segments import Segment, decide_in_part, find_segments, scatter
from lipinc.detection.verdict import (
    Assessment,
    Decision,
    Embeddings,
    Evidence,
    FaceVerdict,
    MouthTrack,
    Source,
    Still,
    Verdict,
    WindowScore,
    suspicion,
)
from lipinc.detection.words import BAND_TEXT, PART_TEXTS, outside_text
from lipinc.errors import UserError
from lipinc.evaluation.predictions import DECISIONS
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import DEFAULT_CHECKPOINT, Checkpoint, load_checkpoint
from lipinc.models.device import choose_device
from lipinc.models.registry import margin
from lipinc.versions import program_versions
from lipinc.video.clips import SampledFace, sample_faces
from lipinc.video.faces import track_faces
from lipinc.video.landmarks.installed import require_landmarks
from lipinc.video.mouth import fit_mouths, residues
from lipinc.video.published_faces import landmarks_caveat
from lipinc.video.quality import Quality
from lipinc.video.reader import Unreadable
from lipinc.video.rejection import Reason, Rejection
from lipinc.video.sampling import Window
from lipinc.video.streams import StreamInfo
from lipinc.video.tracked_video import Face, TrackedVideo
from lipinc.video.video_files import video_sha256

CLIPS_AT_ONCE = 16
"""Maximum number of clips in memory, whatever the length of the video."""


@lru_cache(maxsize=4)
def load_detector(checkpoint: str, **options: str) -> "Detector":
    """Create a `Detector`, once per process for the same arguments."""
    return Detector(checkpoint, **options)


class Detector:
    """A loaded checkpoint that examines videos in this process.

    Threads may share it: they examine one video at a time. While it reads a video, it discards what the process writes
    to stderr (file descriptor 2). A video that crashes a decoder ends the process. `lipinc.detect` has none of these
    limits.
    """

    def __init__(self, checkpoint: str | Path = DEFAULT_CHECKPOINT, *, device: str = "auto", face: str | int = "all"):
        """Load a checkpoint.

        Args:
            checkpoint: a checkpoint file, or the name of a shipped checkpoint.
            device: auto, cpu or cuda.
            face: all (up to four faces), largest, or the rank of one face by area: 0, 1, ...

        Raises:
            UserError: the checkpoint, the device or the face is invalid, or the checkpoint needs dlib or mediapipe,
                which is not installed.
        """
        self._device = choose_device(str(device))
        self.checkpoint = load_checkpoint(str(checkpoint), self._device)
        config = self.checkpoint.config
        config = replace(
            config,
            mouth=replace(config.mouth, face=str(face)),
            sampling=replace(config.sampling, windows=sys.maxsize),  # all windows of the video
        )
        config.check()
        require_landmarks(config.mouth.landmarks)
        self._mouth, self._sampling = config.mouth, config.sampling
        native = config.mouth.cut == "native"
        self._fitted = native and self.checkpoint.model.input_kind == "clips"
        self._clips_at_once = 1 if native and not self._fitted else CLIPS_AT_ONCE  # features take any size, but one
        self._source = _source(self.checkpoint, config.mouth)
        self._lock = threading.Lock()

    def __call__(
        self,
        path: str | Path,
        *,
        evidence: bool = False,
        track: bool = False,
        embed: bool = False,
        on_frame: Callable[[int, int | None], None] | None = None,
    ) -> Verdict:
        """Examine one video. Memory does not grow with its length.

        Args:
            path: the video file.
            evidence: include the pictures of the most and the least suspicious window of each face, and a few mouths of
                each suspicious stretch.
            track: include the boxes of the mouth of each face.
            embed: include the embeddings of the windows of each face. Their memory grows with the length.
            on_frame: see `track_faces`.

        Returns:
            The verdict. Problems with the file do not raise; they give "no verdict" with a reason.

        Raises:
            UserError: `path` is not a path, or embeddings are requested and the model has none.
        """
        if embed:
            self.checkpoint.check_embeds()
        try:
            path = Path(os.fsdecode(path))
        except TypeError:
            raise UserError(f"the video must be a path, not {path!r}") from None
        with self._lock:
            return self._classify(path, evidence, track, embed, on_frame)

    def _classify(
        self,
        path: Path,
        evidence: bool,
        track: bool,
        embed: bool,
        on_frame: Callable[[int, int | None], None] | None,
    ) -> Verdict:
        try:
            digest = video_sha256(path)
        except (FileNotFoundError, ValueError):  # no file has a name with a null character
            return self._reject(path, Rejection(Reason.MISSING, "no such file"))
        except OSError as error:
            return self._reject(path, Rejection(Reason.UNREADABLE, error.strerror or str(error)))
        except Unreadable as error:  # a folder
            return self._reject(path, Rejection(Reason.UNREADABLE, str(error)))
        try:
            with track_faces(path, self._mouth, on_frame=on_frame) as video:
                sampled, stream = sample_faces(video, self._mouth, self._sampling), self._with_caveat(video.stream)
                seen = len(video.faces)
                if isinstance(sampled, Rejection):
                    rejected = self._reject(path, sampled, digest, video.duration, stream)
                    return replace(rejected, faces_seen=seen)
                calibration = self._calibration_for(sampled)
                faces = tuple(self._assess_face(face, video, calibration, evidence, embed) for face in sampled)
                if track:
                    faces = tuple(
                        replace(face, track=_mouth_track(one.face, video.turned))
                        for face, one in zip(faces, sampled, strict=True)
                    )
        except Unreadable as error:
            return self._reject(path, Rejection(Reason.UNREADABLE, str(error)), digest)
        assessment = max((face.assessment for face in faces), key=suspicion)
        read = (str(path), digest, video.frames, video.duration)
        source = replace(self._source, uncertain=_probabilities(calibration))
        return Verdict(*read, assessment, faces, source, stream, video.repeats, seen, _now())

    def _with_caveat(self, stream: StreamInfo) -> StreamInfo:
        caveat = landmarks_caveat(self._mouth, self._sampling)
        return replace(stream, notes=(*stream.notes, caveat)) if caveat else stream

    def reject(self, path: str | Path, rejection: Rejection) -> Verdict:
        """Return the verdict on a file that was rejected by the caller, for example after a time limit."""
        return self._reject(Path(path), rejection)

    def _calibration_for(self, sampled: Sequence[SampledFace]) -> Calibration:
        """The calibration for a video with these faces: the band depends on their quality."""
        judged = [one.face.quality.to_array() for one in sampled if not isinstance(one.windows, Rejection)]
        calibration = self.checkpoint.calibration
        return calibration.of_video(np.stack(judged)) if judged else calibration

    def _assess_face(
        self, sampled: SampledFace, video: TrackedVideo, calibration: Calibration, evidence: bool, embed: bool
    ) -> FaceVerdict:
        face, windows = sampled.face, sampled.windows
        coverage = len(face.frame_ids) / video.pictures
        if isinstance(windows, Rejection):
            return FaceVerdict(sampled.rank, face.thumbnail, _no_verdict(windows, coverage), (), ())
        clips = self._clips(sampled, windows)
        embeddings = None
        if embed:
            embeddings, contrast = self._embed(clips)
            scores = embeddings.scores
        else:
            scores, contrast = map(np.concatenate, zip(*(self._score(*batch) for batch in clips), strict=True))
        score = float(scores.mean())
        if not np.isfinite(score):  # nan would be classified as real
            raise UserError(f"{self.checkpoint.file} gives a score that is not finite; use another checkpoint")
        start, end = (
            np.array([face.times[window.positions[place]] for window in windows])
            for place in (0, self._sampling.local_frames - 1)
        )
        scene = [_scene(face, window.positions[: self._sampling.local_frames]) for window in windows]
        if not self.checkpoint.model.standard_contrast and (unit := scatter(contrast)) > 0:
            contrast = contrast / unit
        scored = tuple(
            WindowScore(
                start=float(start[number]),
                end=float(end[number]),
                frame_ids=tuple(face.frame_ids[window.positions].tolist()),
                probability=float(calibration.probability(scores[number])),
                contrast=float(contrast[number]),
                scene=scene[number],
            )
            for number, window in enumerate(windows)
        )
        segments = find_segments(start, end, contrast, np.array(scene))
        decision, detail = _decide(calibration, score, segments, face.quality)
        assessment = Assessment(
            decision=decision,
            probability=float(calibration.probability(score)),
            windows=len(windows),
            coverage=coverage,
            reason=None,
            detail=detail,
        )
        shown = ()
        if evidence:
            chosen = dict.fromkeys([int(scores.argmax()), int(scores.argmin())])
            shown = tuple(self._evidence(sampled, windows, position) for position in chosen)
        measured = {"quality": face.quality, "segments": segments, "embeddings": embeddings}
        found = FaceVerdict(sampled.rank, face.thumbnail, assessment, scored, shown, **measured)
        return replace(found, stills=self._stills(sampled, windows, found)) if evidence else found

    def _clips(self, sampled: SampledFace, windows: list[Window]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield frames and residues of the windows in batches; one window at a time if their sizes differ."""
        remaining = iter(windows)
        while batch := list(islice(remaining, self._clips_at_once)):
            mouths = [sampled.face.mouths(window.positions, self._mouth) for window in batch]
            if self._fitted:
                mouths = [fit_mouths(one, self._mouth.height, self._mouth.width) for one in mouths]
            frames = np.stack(mouths)
            yield frames, residues(frames, self._mouth.residue)

    def _evidence(self, sampled: SampledFace, windows: list[Window], position: int) -> Evidence:
        frames, residue = next(self._clips(sampled, [windows[position]]))
        return gather_evidence(self.checkpoint.model, position, frames[0], residue[0], self._device)

    def _stills(self, sampled: SampledFace, windows: list[Window], found: FaceVerdict) -> tuple[Still, ...]:
        """Read a few mouths of each suspicious stretch."""
        stills = []
        for number in choose_windows(found.windows, found.segments):
            positions = windows[number].positions[:1]
            picture = sampled.face.mouths(positions, self._mouth)[0]
            stills.append(Still(found.windows[number].start, found.windows[number].frame_ids[0], picture))
        return tuple(stills)

    @torch.inference_mode()
    def _score(self, frames: np.ndarray, residue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Score clips.

        Args:
            frames: (K, N, H, W, 3) uint8 BGR.
            residue: (K, N - 1, H, W, 3) uint8.

        Returns:
            logit(fake) - logit(real), and the contrast by which windows are compared: (K,) float64 each.
        """
        logits, contrast = self.checkpoint.model.judge_clips(
            torch.from_numpy(frames).to(self._device), torch.from_numpy(residue).to(self._device)
        )
        return _to_numpy(margin(logits)), _to_numpy(contrast)

    def embed_clips(self, clips: Iterable[tuple[np.ndarray, np.ndarray]]) -> Embeddings:
        """Embed and score the clips of one face or of one video.

        Args:
            clips: batches of frames (K, N, H, W, 3) uint8 BGR and residues (K, N - 1, H, W, 3) uint8.

        Raises:
            UserError: an embedding is not finite.
        """
        return self._embed(clips)[0]

    @torch.inference_mode()
    def _embed(self, clips: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[Embeddings, np.ndarray]:
        """The same, with the contrasts (W,) float64."""
        model, features, scores, contrasts = self.checkpoint.model, [], [], []
        for frames, residue in clips:
            embedded, logits = model.embed_clips(
                torch.from_numpy(frames).to(self._device), torch.from_numpy(residue).to(self._device)
            )
            features.append(embedded.cpu().numpy())
            scores.append(_to_numpy(margin(logits)))
            contrasts.append(_to_numpy(model.contrast(logits, embedded)))
        if not all(np.isfinite(one).all() for one in features):
            raise UserError(f"{self.checkpoint.file} gives features that are not finite; use another checkpoint")
        return Embeddings(np.concatenate(features), np.concatenate(scores)), np.concatenate(contrasts)

    def _reject(
        self,
        path: Path,
        rejection: Rejection,
        digest: str = "",
        duration: float = 0.0,
        stream: StreamInfo | None = None,
    ) -> Verdict:
        # Without a face, no mouth is usable; for all other reasons, none was looked for.
        assessment = _no_verdict(rejection, 0.0 if rejection.reason is Reason.NO_FACE else None)
        read = (str(path), digest, rejection.frames, duration)
        return Verdict(*read, assessment, (), self._source, stream, rejection.repeats, judged_at=_now())


def _to_numpy(scores: torch.Tensor) -> np.ndarray:
    return scores.double().cpu().numpy()


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _no_verdict(rejection: Rejection, coverage: float | None) -> Assessment:
    return Assessment(Decision.NO_VERDICT, None, 0, coverage, rejection.reason, rejection.detail)


def _decide(
    calibration: Calibration, score: float, segments: tuple[Segment, ...], quality: Quality
) -> tuple[Decision, str]:
    """Decide on a face by its whole and its stretches. Also returns why, if its probability does not say it."""
    if outside := outside_text(quality, calibration.limits):
        return Decision.UNCERTAIN, outside
    whole = int(calibration.decide(score))
    together = decide_in_part(whole, segments)
    decision = Decision(DECISIONS[together])
    if together == whole:
        return decision, BAND_TEXT if decision is Decision.UNCERTAIN else ""
    return decision, PART_TEXTS[decision]


def _scene(face: Face, local: np.ndarray) -> int:
    """The scene of some local frames (L,); -1 if they show several, as the published sampling allows."""
    scenes = face.scenes[local]
    return int(scenes[0]) if (scenes == scenes[0]).all() else -1


def _mouth_track(face: Face, turned: int) -> MouthTrack:
    # Copies: views would keep, and send to another process, all that is known about each frame.
    return MouthTrack(turned, face.frame_ids.copy(), face.times.copy(), face.boxes.copy())


def _source(checkpoint: Checkpoint, mouth: MouthConfig) -> Source:
    config, calibration = checkpoint.config, checkpoint.calibration
    sampling = {**asdict(config.sampling), "windows": "all"}
    return Source(
        checkpoint=checkpoint.file.name,
        checkpoint_sha256=checkpoint.sha256,
        model=config.model.name,
        threshold=float(calibration.probability(calibration.threshold)),
        uncertain=_probabilities(calibration),
        settings={"mouth": asdict(mouth), "sampling": sampling, "model": model_values(config.model)},
        versions=program_versions(),
        trained_on=config.data.note,
        limits=calibration.limits,
        rates=calibration.rates,
    )


def _probabilities(calibration: Calibration) -> tuple[float, float]:
    """The fake probabilities at the bounds of the uncertain band."""
    low, high = (float(calibration.probability(score)) for score in calibration.uncertain)
    return low, high
