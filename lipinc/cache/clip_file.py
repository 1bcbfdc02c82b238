"""The clips of one video as a .safetensors file: written whole, read whole, or a window at a time into a batch.

safetensors' own reader opens, maps and checks the whole file for each window, which takes longer than to copy it.
`read_window` finds the place of the arrays once; a window is then one positioned read of each, and no file stays open.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lipinc.cache.manifest import ManifestRow
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically
from lipinc.versions import MOUTH_LIBRARIES, library_versions
from lipinc.video.clips import Clips
from lipinc.video.mouth import residues

CLIP_ARRAYS = ("frames", "residues", "sizes", "frame_ids", "times", "pose_ratios", "nearest", "faces")


def write_clips(
    file: Path, clips: Clips, settings: dict, source: str, size: int, *, with_residues: bool = True
) -> dict[str, int | str]:
    """Write the clips of one video; returns what `read_summary` would.

    Args:
        source, size: the key of the video, and the bytes of its file.
        with_residues: False leaves out the residues, half of the bytes.
    """
    names = [name for name in CLIP_ARRAYS if with_residues or name != "residues"]
    arrays = {name: np.ascontiguousarray(getattr(clips, name)) for name in names}
    summary, versions = clips_summary(clips, size), library_versions(MOUTH_LIBRARIES)
    # One metadata entry: safetensors does not keep the order of several, and equal clips must give equal bytes.
    about = json.dumps({**settings, "versions": versions, "source": source, "summary": summary}, sort_keys=True)
    content = save(arrays, {"lipinc": about})
    write_atomically(file, content)
    return {**summary, **_checksum(content)}


def read_clips(file: Path) -> Clips:
    """Read what `write_clips` wrote, and compute the residues where they were left out. Raises UserError if the file is
    damaged."""
    try:
        with safe_open(file, framework="numpy") as stored:
            about = json.loads(stored.metadata()["lipinc"])
            there = set(stored.keys())
            arrays = {name: stored.get_tensor(name) for name in CLIP_ARRAYS if name in there}
            # Clips from before mouths had other sizes than one have none.
            arrays.setdefault("sizes", np.tile(np.int32(arrays["frames"].shape[2:4]), (len(arrays["frames"]), 1)))
            if "residues" not in arrays:
                arrays["residues"] = residues(arrays["frames"], about["mouth"]["residue"])
        return Clips(**arrays, video_frames=about["summary"]["frames"], face_frames=about["summary"]["face_frames"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise damaged(file, error) from error


def clips_summary(clips: Clips, size: int) -> dict[str, int]:
    """What the manifest says of a video with clips: size, frames, face_frames, windows, nearest_windows."""
    return {
        "size": size,
        "frames": clips.video_frames,
        "face_frames": clips.face_frames,
        "windows": len(clips.frames),
        "nearest_windows": int(clips.nearest.sum()),
    }


def read_summary(file: Path) -> dict[str, int | str] | None:
    """What the manifest says of a clip file: its `clips_summary`, size and checksum; None if it is absent or not whole."""
    try:
        with safe_open(file, framework="numpy") as stored:
            summary = json.loads(stored.metadata()["lipinc"])["summary"]
        return {**summary, **_checksum(file.read_bytes())}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None


def has_expected_size(file: Path, row: ManifestRow) -> bool:
    """Whether a clip file has the size that its row says: a look at the folder, not at the content."""
    try:
        return row.clips_size > 0 and file.stat().st_size == row.clips_size
    except OSError:
        return False


def check_clips(file: Path, row: ManifestRow) -> None:
    """Read a clip file and raise UserError, naming it, if it is not what was written."""
    try:
        found = _checksum(file.read_bytes())
    except OSError as error:
        raise damaged(file, error) from error
    if found["clips_size"] != row.clips_size:
        raise damaged(file, ValueError(f"{found['clips_size']} bytes in place of {row.clips_size}"))
    if found["clips_sha256"] != row.clips_sha256:
        raise damaged(file, ValueError("its SHA-256 is not that of the manifest"))


def _checksum(content: bytes) -> dict[str, int | str]:
    return {"clips_size": len(content), "clips_sha256": hashlib.sha256(content).hexdigest()}


def damaged(file: Path, error: Exception) -> UserError:
    """The error for a clip file that cannot be read."""
    return UserError(
        f"{file} is damaged or gone ({str(error).splitlines()[0]}); delete it and run preprocess_extract_lips.py again"
    )


@dataclass(frozen=True)
class ArrayOffsets:
    """Where in a clip file its frames (K, N, H, W, 3) uint8 and residues (K, N - 1, H, W, 3) uint8 are."""

    frames: int
    """Offset of the first window, in bytes."""
    residues: int | None
    """The same; None where the file has none."""
    windows: int
    """K."""
    file_size: int
    """In bytes: a file that has changed is not read by old offsets."""


def read_window(
    file: Path, window: int, frames: np.ndarray, residues: np.ndarray | None = None, known: ArrayOffsets | None = None
) -> ArrayOffsets:
    """Fill arrays with a window of a clip file.

    Args:
        frames, residues: (N, H, W, 3) and (N - 1, H, W, 3) uint8, contiguous. residues: None if they are not wanted;
            left as they are where the file has none (see `ArrayOffsets.residues`).
        known: what an earlier call returned for this file.

    Raises UserError, naming the file, if it is damaged, gone, or of another size of mouths.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            size = os.fstat(descriptor).st_size
            if known is None or known.file_size != size:
                known = _locate(descriptor, size, frames.shape)
            if not 0 <= window < known.windows:
                raise ValueError(f"no window {window} among {known.windows}")
            _read(descriptor, frames, known.frames, window)
            if residues is not None and known.residues is not None:
                _read(descriptor, residues, known.residues, window)
        finally:
            os.close(descriptor)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise damaged(file, error) from error
    return known


def _read(descriptor: int, array: np.ndarray, start: int, window: int) -> None:
    if os.preadv(descriptor, [array], start + window * array.nbytes) != array.nbytes:
        raise ValueError("cut off")


def _locate(descriptor: int, size: int, shape: tuple[int, ...]) -> ArrayOffsets:
    """Read the header: 8 bytes of its length, then JSON with the type, shape and place of every array behind it."""
    start = 8 + int.from_bytes(os.pread(descriptor, 8, 0), "little")
    if start > size:
        raise ValueError("the header is cut off")
    header = json.loads(os.pread(descriptor, start - 8, 8))
    if start + max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__") != size:
        raise ValueError("the arrays are cut off")
    frames, residues = header["frames"], header.get("residues")
    for array, wanted in ((frames, shape), (residues, (shape[0] - 1, *shape[1:]))):
        if array is not None and (array["dtype"] != "U8" or tuple(array["shape"][1:]) != wanted):
            raise ValueError(f"mouths are {array['dtype']} {array['shape']}, not uint8 {list(wanted)} a window")
    first = None if residues is None else start + residues["data_offsets"][0]
    return ArrayOffsets(start + frames["data_offsets"][0], first, frames["shape"][0], size)
