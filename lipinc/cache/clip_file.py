"""Windows of a clip file, read from the disk's cache straight into a batch.

safetensors' own reader opens, maps and checks the whole file for each window, which takes longer than to copy it. Here
the place of the frames is found once, and a window is one positioned read, with no file left open behind it.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lipinc.cache.store import damaged


@dataclass(frozen=True)
class Frames:
    """Where in a clip file its frames [K, N, H, W, 3] uint8 are."""

    offset: int
    """Of the first window, in bytes."""
    windows: int
    """K."""
    file_size: int
    """In bytes: a file that has changed is not read by old offsets."""


def read_window(file: Path, window: int, into: np.ndarray, known: Frames | None = None) -> Frames:
    """Fill `into`, [N, H, W, 3] uint8 and contiguous, with the frames of a window; returns where they are, to be given
    as `known` next time. Raises UserError, naming the file, if it is damaged, gone, or of another size of mouths."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            size = os.fstat(descriptor).st_size
            if known is None or known.file_size != size:
                known = _locate(descriptor, size, into.shape)
            if not 0 <= window < known.windows:
                raise ValueError(f"no window {window} among {known.windows}")
            if os.preadv(descriptor, [into], known.offset + window * into.nbytes) != into.nbytes:
                raise ValueError("cut off")
        finally:
            os.close(descriptor)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise damaged(file, error) from error
    return known


def _locate(descriptor: int, size: int, shape: tuple[int, ...]) -> Frames:
    """Read the header: 8 bytes of its length, then JSON with the type, shape and place of every array behind it."""
    start = 8 + int.from_bytes(os.pread(descriptor, 8, 0), "little")
    if start > size:
        raise ValueError("the header is cut off")
    header = json.loads(os.pread(descriptor, start - 8, 8))
    if start + max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__") != size:
        raise ValueError("the arrays are cut off")
    frames = header["frames"]
    if frames["dtype"] != "U8" or tuple(frames["shape"][1:]) != shape:
        raise ValueError(f"frames are {frames['dtype']} {frames['shape']}, not uint8 {list(shape)} a window")
    return Frames(start + frames["data_offsets"][0], frames["shape"][0], size)
