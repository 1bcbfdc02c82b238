"""Videos re-encoded by H.264, as a platform would."""

from pathlib import Path

from lipinc.video.reader import read_frames
from lipinc.video.writer import encode


def reencode(source: Path, target: Path, *, crf: int, preset: str = "medium") -> int:
    """Decode a video and encode it at a constant rate factor; returns its frames. Raises reader.Unreadable."""
    return encode(read_frames(source), target, crf=crf, preset=preset)
