"""Clip files: the clips of one video in .safetensors format, with fast reads of single windows.

The reader of the safetensors library opens, maps and validates the whole file for each window, which takes longer than
copying the data. `read_window` locates the arrays once per file. A window then takes one positioned read per array, and
no file stays open.
"""

import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lipinc.cache.manifest import QUALITY_COLUMNS, ManifestRow
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically
from lipinc.versions import mouth_versions
from lipinc.video.clips import Clips
from lipinc.video.mouth import residues
from lipinc.video.quality import Quality

CLIP_ARRAYS = ("frames", "residues", "sizes", "frame_ids", "times", "pose_ratios", "nearest", "faces", "quality")

Summary = dict[str, int | float | str | None]
"""Values of a row of the manifest, column -> value."""


def write_clips(
    file: Path, clips: Clips, settings: dict, source: str, size: int, *, with_residues: bool = True
) -> Summary:
    """Write the clips of one video.

    Args:
        file: the clip file.
        clips: the clips.
        settings: extraction settings, stored as metadata.
        source: key of the video.
        size: size of the video file in bytes.
        with_residues: False omits the residues, about half of the file size.

    Returns:
        The same values as `read_summary`.
    """
    names = [name for name in CLIP_ARRAYS if with_residues or name != "residues"]
    arrays = {name: np.ascontiguousarray(getattr(clips, name)) for name in names}
    summary, versions = clips_summary(clips, size), mouth_versions(settings.get("mouth", {}))
    # A single metadata entry: safetensors does not keep the order of entries, and equal clips must give equal bytes.
    metadata = json.dumps({**settings, "versions": versions, "source": source, "summary": summary}, sort_keys=True)
    content = save(arrays, {"lipinc": metadata})
    write_atomically(file, content)
    return {**summary, **_checksum(content)}


def read_clips(file: Path) -> Clips:
    """Read the clips of a file written by `write_clips`. Residues that are not stored are computed from the frames.

    Raises:
        UserError: the file is damaged or missing.
    """
    try:
        with safe_open(file, framework="numpy") as stored:
            metadata = json.loads(stored.metadata()["lipinc"])
            names = set(stored.keys())
            arrays = {name: stored.get_tensor(name) for name in CLIP_ARRAYS if name in names}
            # Clip files written before native mouths existed have no sizes: all mouths have the size of the array.
            arrays.setdefault("sizes", np.tile(np.int32(arrays["frames"].shape[2:4]), (len(arrays["frames"]), 1)))
            if "residues" not in arrays:
                arrays["residues"] = residues(arrays["frames"], metadata["mouth"]["residue"])
        summary = metadata["summary"]
        counts = {"video_frames": summary["frames"], "face_frames": summary["face_frames"]}
        return Clips(**arrays, **counts, repeats=summary["repeats"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged_error(file, error) from error


def read_times(file: Path) -> np.ndarray:
    """Read the presentation times of all frames: (K, N) float64, in s.

    Raises:
        UserError: the file is damaged or missing.
    """
    try:
        with safe_open(file, framework="numpy") as stored:
            return stored.get_tensor("times")
    except (SafetensorError, OSError) as error:
        raise _damaged_error(file, error) from error


def clips_summary(clips: Clips, size: int) -> Summary:
    """Return the manifest values of a video with clips: size, frames, face_frames, repeats, windows, nearest_windows,
    and the input quality of the largest face that has clips."""
    quality = Quality.from_array(clips.quality[clips.faces.argmin()])
    return {
        "size": size,
        "frames": clips.video_frames,
        "face_frames": clips.face_frames,
        "repeats": clips.repeats,
        "windows": len(clips.frames),
        "nearest_windows": int(clips.nearest.sum()),
        **{name: _round(getattr(quality, name)) for name in QUALITY_COLUMNS},
    }


def read_summary(file: Path) -> Summary | None:
    """Return `clips_summary`, file size and checksum of a clip file; None if the file is missing or incomplete."""
    try:
        with safe_open(file, framework="numpy") as stored:
            summary = json.loads(stored.metadata()["lipinc"])["summary"]
        return {**summary, **_checksum(file.read_bytes())}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None


def has_expected_size(file: Path, row: ManifestRow) -> bool:
    """Return whether a clip file has the size recorded in its row. Does not read the content."""
    try:
        return row.clips_size > 0 and file.stat().st_size == row.clips_size
    except OSError:
        return False


def check_clips(file: Path, row: ManifestRow) -> None:
    """Verify the size and the SHA-256 of a clip file.

    Raises:
        UserError: the file differs from the manifest; the message names it.
    """
    try:
        found = _checksum(file.read_bytes())
    except OSError as error:
        raise _damaged_error(file, error) from error
    if found["clips_size"] != row.clips_size:
        raise _damaged_error(file, ValueError(f"{found['clips_size']} bytes instead of {row.clips_size}"))
    if found["clips_sha256"] != row.clips_sha256:
        raise _damaged_error(file, ValueError("its SHA-256 differs from the manifest"))


def _round(value: float) -> float | None:
    """Round a measure to four significant digits; None if it is unknown."""
    return None if math.isnan(value) else float(f"{value:.4g}")


def _checksum(content: bytes) -> Summary:
    return {"clips_size": len(content), "clips_sha256": hashlib.sha256(content).hexdigest()}


def _damaged_error(file: Path, error: Exception) -> UserError:
    """Return the error for a clip file that cannot be read."""
    reason = str(error).splitlines()[0]
    return UserError(f"{file} is damaged or missing ({reason}); delete it and run preprocess_extract_lips.py again")


@dataclass(frozen=True)
class ArrayOffsets:
    """Byte offsets of the frames (K, N, H, W, 3) uint8 and residues (K, N - 1, H, W, 3) uint8 in a clip file."""

    frames: int
    """Byte offset of the frames of the first window."""
    residues: int | None
    """Byte offset of the residues of the first window; None if the file has no residues."""
    windows: int
    """Number of windows, K."""
    file_size: int
    """File size in bytes: if it changed, the offsets are read again."""


def read_window(
    file: Path, window: int, frames: np.ndarray, residues: np.ndarray | None = None, known: ArrayOffsets | None = None
) -> ArrayOffsets:
    """Read one window of a clip file into preallocated arrays.

    Args:
        file: the clip file.
        window: index of the window.
        frames: output, (N, H, W, 3) uint8, contiguous.
        residues: output, (N - 1, H, W, 3) uint8, contiguous; None: do not read residues. Left unchanged if the file has
            no residues (see `ArrayOffsets.residues`).
        known: the offsets that an earlier call returned for this file.

    Returns:
        The offsets of the file, for the next call.

    Raises:
        UserError: the file is damaged or missing, or its mouths have another size; the message names the file.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            size = os.fstat(descriptor).st_size
            if known is None or known.file_size != size:
                known = _locate(descriptor, size, frames.shape)
            if not 0 <= window < known.windows:
                raise ValueError(f"it has {known.windows} windows, but window {window} was requested")
            _read(descriptor, frames, known.frames, window)
            if residues is not None and known.residues is not None:
                _read(descriptor, residues, known.residues, window)
        finally:
            os.close(descriptor)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _damaged_error(file, error) from error
    return known


def read_native_window(file: Path, window: int) -> np.ndarray:
    """Read the frames of one window of native mouths, (N, h, w, 3) uint8, at its own size.

    Raises:
        UserError: the file is damaged or missing; the message names it.
    """
    try:
        with safe_open(file, framework="numpy") as stored:
            height, width = (int(side) for side in stored.get_tensor("sizes")[window])
            return stored.get_slice("frames")[window, :, :height, :width]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, IndexError) as error:
        raise _damaged_error(file, error) from error


def _read(descriptor: int, array: np.ndarray, start: int, window: int) -> None:
    if os.preadv(descriptor, [array], start + window * array.nbytes) != array.nbytes:
        raise ValueError("truncated")


def _locate(descriptor: int, size: int, shape: tuple[int, ...]) -> ArrayOffsets:
    """Parse the safetensors header: 8 bytes of length, then JSON with dtype, shape and offsets of every array."""
    start = 8 + int.from_bytes(os.pread(descriptor, 8, 0), "little")
    if start > size:
        raise ValueError("the header is truncated")
    header = json.loads(os.pread(descriptor, start - 8, 8))
    if start + max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__") != size:
        raise ValueError("the arrays are truncated")
    frames, residues = header["frames"], header.get("residues")
    for array, wanted in ((frames, shape), (residues, (shape[0] - 1, *shape[1:]))):
        if array is not None and (array["dtype"] != "U8" or tuple(array["shape"][1:]) != wanted):
            raise ValueError(f"mouths are {array['dtype']} {array['shape']}, not uint8 {list(wanted)} per window")
    first = None if residues is None else start + residues["data_offsets"][0]
    return ArrayOffsets(start + frames["data_offsets"][0], first, frames["shape"][0], size)
