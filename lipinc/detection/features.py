"""Feature files: the embeddings of the windows of videos, for classifiers of the reader's own (docs/features.md)."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lipinc.cache.clip_file import check_clips, read_clips
from lipinc.cache.manifest import OK, ManifestRow, read_manifest
from lipinc.cache.store import Cache
from lipinc.config import Config
from lipinc.detection.batch import READ_FAILURES, Settings, call_isolated, load, prepare
from lipinc.detection.detector import CLIPS_AT_ONCE, Detector
from lipinc.detection.verdict import Embeddings, Verdict
from lipinc.errors import UserError, one_line, printable
from lipinc.files.atomic import write_atomically
from lipinc.models.checkpoint import Checkpoint
from lipinc.progress import progress_bar
from lipinc.versions import program_versions
from lipinc.video.clips import Clips
from lipinc.video.rejection import Reason, Rejection
from lipinc.video.subprocesses import isolated_thread_pool, thread_process

FORMAT = 1
"""Version of the file format. It grows if a value changes its meaning or disappears."""


@dataclass(frozen=True)
class EmbeddedVideo:
    """The windows of one video, of all its faces: W of them, or none and the reason."""

    about: dict[str, str]
    """`key`: its path as given, or its key in the cache; and its SHA-256, or the columns of the cache's manifest that
    are known: label, identity, generator, ..."""
    start: np.ndarray
    """(W,) float64: presentation time of the first local frame, in s."""
    end: np.ndarray
    """(W,) float64: presentation time of the last local frame, in s."""
    face: np.ndarray
    """(W,) int64: rank of the face by area over the video, 0 = largest."""
    embeddings: Embeddings

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class RefusedVideo:
    """A video without windows."""

    about: dict[str, str]
    """As in EmbeddedVideo."""
    reason: str
    """A `lipinc.video.rejection.Reason`."""
    detail: str
    failed: bool
    """Whether the file or the program is to blame, not the content of the video."""

    def __str__(self) -> str:
        return f"no features  {printable(self.about['key'])}  {self.reason}: {printable(self.detail)}"


Result = EmbeddedVideo | RefusedVideo


def embed_videos(files: Sequence[Path], settings: Settings, workers: int) -> list[Result]:
    """Embed all windows of videos, in subprocesses.

    Args:
        files: the videos.
        settings: checkpoint, device, face and plug-ins.
        workers: maximum number of processes.

    Returns:
        One result per video, in the same order.

    Raises:
        UserError: the checkpoint cannot be used.
    """
    workers = min(workers, len(files))
    with isolated_thread_pool(workers, initializer=partial(prepare, settings, workers)) as executor:
        futures = [executor.submit(_embed_in_thread, settings, file) for file in files]
        for future in progress_bar(as_completed(futures), total=len(files), unit="video", disable=len(files) == 1):
            future.result()  # raises an error of the checkpoint at once
        return [future.result() for future in futures]


def _embed_in_thread(settings: Settings, file: Path) -> Result:
    return call_isolated(thread_process(), settings, _embed_video, _reject, file)


def _embed_video(settings: Settings, file: Path) -> Result:
    try:
        return _of_verdict(load(settings)(file, embed=True))
    except Exception as error:  # noqa: BLE001 - a bug or a full disk; the other files go on
        return _reject(settings, file, Rejection(Reason.CRASHED, one_line(error)))


def _reject(settings: Settings, file: Path, rejection: Rejection) -> Result:
    return _of_verdict(load(settings).reject(file, rejection))


def _of_verdict(verdict: Verdict) -> Result:
    about = {"key": verdict.file, **({"sha256": verdict.sha256} if verdict.sha256 else {})}
    faces = [face for face in verdict.faces if face.embeddings is not None]
    if not faces:
        return RefusedVideo(about, verdict.reason.value, verdict.assessment.detail, verdict.reason in READ_FAILURES)
    windows = [(window.start, window.end, face.rank) for face in faces for window in face.windows]
    start, end, rank = (np.array(values) for values in zip(*windows, strict=True))
    parts = [asdict(face.embeddings) for face in faces]
    merged = Embeddings(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return EmbeddedVideo(about, start, end, rank, merged)


def embed_cache(folder: Path, detector: Detector) -> list[Result]:
    """Embed the windows of all videos of a cache, in this process.

    Args:
        folder: the cache.
        detector: its checkpoint must expect clips like those of the cache.

    Returns:
        One result per video, in the order of the manifest.

    Raises:
        UserError: the cache is unfinished, or was made with other settings than the checkpoint needs.
    """
    cache, config = Cache.open(folder)
    detector.checkpoint.check_clips(config)
    rows = read_manifest(cache.manifest_file)
    return [_of_row(cache, config, row, detector) for row in progress_bar(rows, unit="video")]


def _of_row(cache: Cache, config: Config, row: ManifestRow, detector: Detector) -> Result:
    about = {name: cell for name, cell in row.record.to_cells().items() if cell}
    if row.status != OK:
        return RefusedVideo(about, row.status, row.detail, failed=False)
    file = cache.clips_file(row.record.key)
    try:
        check_clips(file, row)
        clips = read_clips(file)
    except UserError as error:
        return RefusedVideo(about, Reason.DAMAGED.value, str(error), failed=True)
    last = config.sampling.local_frames - 1
    embeddings = detector.embed_clips(_batches(clips))
    return EmbeddedVideo(about, clips.times[:, 0], clips.times[:, last], clips.faces.astype(np.int64), embeddings)


def _batches(clips: Clips) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield frames and residues of clips in batches; one clip at a time if their sizes differ."""
    if (clips.sizes == clips.frames.shape[2:4]).all():
        for first in range(0, len(clips.frames), CLIPS_AT_ONCE):
            part = slice(first, first + CLIPS_AT_ONCE)
            yield clips.frames[part], clips.residues[part]
    else:
        for number in range(len(clips.frames)):
            frames, residues = clips.window(number)
            yield np.ascontiguousarray(frames)[None], np.ascontiguousarray(residues)[None]


def check_target(file: Path) -> None:
    """Check whether a feature file can be written: before the work, and without loss of anything else.

    Raises:
        UserError: it has another suffix, is in no folder that can be written, or is a file of another kind.
    """
    if file.suffix != ".safetensors":
        raise UserError(f"{file} cannot be written: give a name that ends with .safetensors")
    if file.is_dir() or not file.parent.is_dir():
        reason = "it is a folder" if file.is_dir() else f"there is no folder {file.parent}"
        raise UserError(f"{file} cannot be written: {reason}")
    if not os.access(file.parent, os.W_OK | os.X_OK, effective_ids=True):
        raise UserError(f"{file} cannot be written: its folder is read-only; give another folder")
    if file.exists():
        try:
            with safe_open(file, framework="numpy") as stored:
                known = "feature_names" in json.loads((stored.metadata() or {})["lipinc"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            known = False
        if not known:
            raise UserError(f"{file} exists and is no feature file, so it is not replaced; give another name")


def write_features(
    file: Path, results: Sequence[Result], checkpoint: Checkpoint, settings: dict[str, Any]
) -> tuple[int, int]:
    """Write a feature file, atomically.

    Args:
        file: the .safetensors file; see docs/features.md for its content.
        results: the videos, of which at least one has windows.
        checkpoint: what embedded them.
        settings: mouth and sampling settings of the clips.

    Returns:
        The number of windows and of features, (W, F).

    Raises:
        UserError: the file cannot be written.
    """
    videos = [result for result in results if isinstance(result, EmbeddedVideo)]
    arrays = {
        "features": np.concatenate([video.embeddings.features for video in videos]),
        "video": np.repeat(np.arange(len(videos)), [len(video) for video in videos]),
        "start": np.concatenate([video.start for video in videos]),
        "end": np.concatenate([video.end for video in videos]),
        "face": np.concatenate([video.face for video in videos]),
        "score": np.concatenate([video.embeddings.scores for video in videos]),
    }
    about = {
        "format": FORMAT,
        "videos": [video.about for video in videos],
        "refused": [
            {**result.about, "reason": result.reason, "detail": result.detail}
            for result in results
            if isinstance(result, RefusedVideo)
        ],
        "feature_names": checkpoint.model.feature_names(),
        **checkpoint.provenance,
        "threshold": checkpoint.calibration.threshold,
        "temperature": checkpoint.calibration.temperature,
        "settings": {name: settings[name] for name in ("mouth", "sampling")},
        "versions": program_versions(),
    }
    try:
        write_atomically(file, save(arrays, {"lipinc": json.dumps(about)}))
    except OSError as error:
        raise UserError(f"{file} cannot be written ({error.strerror}); give another --out") from error
    return arrays["features"].shape
