"""Encodes frames to an H.264 file: the counterpart of reader.py."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from lipinc.files.atomic import replacing
from lipinc.video.reader import Frame

TIME_BASE = Fraction(1, 90_000)
"""Time unit of the written files, in s: fine enough for every frame rate in use."""

DETERMINISTIC_OPTIONS = {"threads": "1"}
"""libx264 options that make equal frames give equal bytes: one thread, and no AVX-512, whose look-ahead reads
uninitialised memory (observed in x264 core 165: every run gave a different file)."""
if cv2.checkHardwareSupport(13):  # CPU_AVX_512F; the Python module has no name for it
    DETERMINISTIC_OPTIONS["x264-params"] = "asm=avx2"


def encode(frames: Iterable[Frame], target: Path, *, crf: int, preset: str) -> int:
    """Encode frames by libx264 (yuv420p, no audio) to an mp4 file. Creates the parent folder; writes atomically.

    Frames keep their presentation times. An odd last row or column is cut off. Frames of another size than the first
    one are scaled to fit into it, with black bars if their shape differs.

    Returns:
        The number of frames.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    stream, count, last = None, 0, -1
    with (
        replacing(target) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"fflags": "+bitexact"}) as container,
    ):
        for frame in frames:
            height, width = (side - side % 2 for side in frame.image.shape[:2])
            if stream is None:
                options = {"crf": str(crf), "preset": preset, **DETERMINISTIC_OPTIONS}
                stream = container.add_stream("libx264", rate=25, options=options)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.codec_context.time_base = TIME_BASE
            # OpenCV rounds this conversion; FFmpeg's own fast conversion shifts colours by up to four levels.
            image = _fit(frame.image[:height, :width], stream.height, stream.width)
            yuv = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)
            picture = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
            last = max(last + 1, round(frame.time / TIME_BASE))
            picture.pts, picture.time_base = last, TIME_BASE
            container.mux(stream.encode(picture))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    return count


def _fit(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale an image (H, W, 3) uint8 into a black one of height x width, without distortion."""
    if image.shape[:2] == (height, width):
        return image
    scale = min(height / image.shape[0], width / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    fitted = np.zeros((height, width, 3), np.uint8)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    fitted[top : top + small.shape[0], left : left + small.shape[1]] = small
    return fitted
