"""Re-encoding by H.264, as a video platform does it."""

from pathlib import Path

from lipinc.video.reader import read_frames
from lipinc.video.writer import encode


def reencode(source: Path, target: Path, *, crf: int, preset: str = "medium") -> int:
    """Decode a video and encode it at a constant rate factor.

    Args:
        crf: 0 (lossless) to 51; 23 is x264's default.
        preset: x264's trade-off between speed and file size.

    Returns:
        The number of frames.

    Raises:
        reader.Unreadable: no frame of the source can be decoded.
    """
    return encode(read_frames(source), target, crf=crf, preset=preset)
