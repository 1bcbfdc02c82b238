"""Re-encoding by H.264, as a video platform does it: at another size, a lower quality, or another frame rate."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from lipinc.synthesis.perturbations import Encoding
from lipinc.video.reader import Frame, read_frames
from lipinc.video.writer import encode


def reencode(source: Path, target: Path, *encodings: Encoding, preset: str = "medium") -> int:
    """Decode a video, change it, and encode it, as often as there are encodings.

    Args:
        preset: x264's trade-off between speed and file size.

    Returns:
        The number of frames.

    Raises:
        reader.Unreadable: no frame of the source can be decoded.
    """
    *before, last = encodings
    if before:
        intermediate = target.with_name(f"{target.stem}_before.mp4")
        reencode(source, intermediate, *before, preset=preset)
        source = intermediate
    try:
        return encode(_changed(read_frames(source), last), target, crf=last.crf, preset=preset)
    finally:
        if before:
            source.unlink(missing_ok=True)


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize an image (H, W, 3) uint8 as FFmpeg's scale filter does: bicubic, widened by the factor of a reduction."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def _changed(frames: Iterator[Frame], encoding: Encoding) -> Iterator[Frame]:
    """Scale and repeat frames. Repeats share the time until the next frame."""
    before: Frame | None = None
    step = 0.04
    for frame in chain(frames, [None]):
        if before is not None:
            step = frame.time - before.time if frame is not None and frame.time > before.time else step
            height, width = before.image.shape[:2]
            scale = encoding.short_side / min(height, width) if encoding.short_side else encoding.scale
            image = resize(before.image, max(2, round(scale * width)), max(2, round(scale * height)))
            for repeat in range(encoding.repeats):
                yield replace(before, image=image, time=before.time + repeat * step / encoding.repeats)
        before = frame
