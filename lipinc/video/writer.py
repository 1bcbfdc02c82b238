"""Frames to an H.264 file: the counterpart of reader.py."""

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2

from lipinc.video.reader import Frame

TIME_BASE = Fraction(1, 90_000)
"""Of the written files, in s: fine enough for every frame rate in use."""

SAME_BYTES = {"threads": "1"}
"""Options of libx264 that make equal frames equal bytes: one thread, and no AVX-512, whose look-ahead reads memory
that nobody has written (seen in core 165: every run gave another file)."""
if cv2.checkHardwareSupport(13):  # CPU_AVX_512F, which the Python module does not name
    SAME_BYTES["x264-params"] = "asm=avx2"


def encode(frames: Iterable[Frame], target: Path, *, crf: int, preset: str) -> int:
    """Encode frames by libx264 (yuv420p, no audio); returns how many.

    They keep their times; an odd last row or column is cut off. Atomic: the target is whole or not there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".tmp")
    stream, count, last = None, 0, -1
    try:
        with av.open(str(temporary), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
            for frame in frames:
                height, width = (side - side % 2 for side in frame.image.shape[:2])
                if stream is None:
                    options = {"crf": str(crf), "preset": preset, **SAME_BYTES}
                    stream = container.add_stream("libx264", rate=25, options=options)
                    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                    stream.codec_context.time_base = TIME_BASE
                # OpenCV rounds this; FFmpeg's own fast conversion shifts colours by up to four levels.
                yuv = cv2.cvtColor(frame.image[:height, :width], cv2.COLOR_BGR2YUV_I420)
                picture = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
                last = max(last + 1, round(frame.time / TIME_BASE))
                picture.pts, picture.time_base = last, TIME_BASE
                container.mux(stream.encode(picture))
                count += 1
            if stream is not None:
                container.mux(stream.encode())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return count
