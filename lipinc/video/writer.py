"""Encodes frames to an H.264 file: the counterpart of reader.py."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from lipinc.files.atomic import replacing
from lipinc.video.reader import Frame
from lipinc.video.sound import Sound

TIME_BASE = Fraction(1, 90_000)
"""Time unit of the written files, in s: fine enough for every frame rate in use."""

DETERMINISTIC_OPTIONS = {"threads": "1"}
"""libx264 options that make equal frames give equal bytes: one thread, and no AVX-512, whose look-ahead reads
uninitialised memory (observed in x264 core 165: every run gave a different file)."""
if cv2.checkHardwareSupport(13):  # CPU_AVX_512F; the Python module has no name for it
    DETERMINISTIC_OPTIONS["x264-params"] = "asm=avx2"


def encode(frames: Iterable[Frame], target: Path, *, crf: int, preset: str) -> int:
    """Encode frames by a `VideoWriter`, without sound. Creates the parent folder; writes atomically.

    Returns:
        The number of frames.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with replacing(target) as temporary, VideoWriter(temporary, crf=crf, preset=preset) as writer:
        for frame in frames:
            writer.write(frame)
            count += 1
    return count


class VideoWriter:
    """An mp4 file with frames encoded by libx264 (yuv420p).

    Frames keep their presentation times. An odd last row or column is cut off. Frames of another size than the first
    one are scaled to fit into it, with black bars if their shape differs.
    """

    def __init__(
        self, file: Path, *, crf: int, preset: str, sound: Sound | None = None, color_matrix: int = 2, web: bool = False
    ) -> None:
        """
        Args:
            crf: 0 (lossless) to 51; 23 is x264's default.
            preset: x264's trade-off between speed and file size.
            sound: what is heard; None: nothing.
            color_matrix: which `VideoReader.color_matrix` the file names to players; 2: none.
            web: put the index first, so that a browser can play while it loads.
        """
        options = {"fflags": "+bitexact", **({"movflags": "+faststart"} if web else {})}
        self._container = av.open(str(file), "w", format="mp4", options=options)
        self._encoder = {"crf": str(crf), "preset": preset, **DETERMINISTIC_OPTIONS}
        self._color_matrix = color_matrix
        self._sound = sound
        self._stream: VideoStream | None = None
        self._last = -1

    def write(self, frame: Frame, *, sound_shift: float = 0.0) -> None:
        """Append a frame, and the sound up to its time.

        Args:
            sound_shift: what is added to the time stamps of the sound, in s.
        """
        if self._stream is None:
            self._stream = self._add_stream(frame.image)
        height, width = (side - side % 2 for side in frame.image.shape[:2])
        # OpenCV rounds this conversion; FFmpeg's own fast conversion shifts colours by up to four levels.
        image = fit(frame.image[:height, :width], self._stream.height, self._stream.width)
        yuv = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)
        picture = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        self._last = max(self._last + 1, round(frame.time / TIME_BASE))
        picture.pts, picture.time_base = self._last, TIME_BASE
        self._container.mux(self._stream.encode(picture))
        if self._sound is not None:
            self._sound.copy(frame.time, sound_shift)

    def _add_stream(self, image: np.ndarray) -> VideoStream:
        stream = self._container.add_stream("libx264", rate=25, options=self._encoder)
        stream.height, stream.width = (side - side % 2 for side in image.shape[:2])
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        if self._color_matrix != 2:
            stream.codec_context.colorspace = self._color_matrix
        if self._sound is not None:
            self._sound.attach(self._container)
        return stream

    def close(self) -> None:
        """Write what is left: the last frames and the rest of the sound."""
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode())
                if self._sound is not None:
                    self._sound.finish()
        finally:
            self._container.close()

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._container.close()


def fit(image: np.ndarray, height: int, width: int) -> np.ndarray:
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
