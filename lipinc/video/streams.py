"""Which video stream of a container is read, and what is known about it."""

from dataclasses import dataclass

from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from lipinc.video.rejection import Unreadable

PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image | Disposition.dependent
"""Streams that accompany a video: cover pictures, previews, enhancement layers."""
PICTURE_CODECS = ("mjpeg", "png", "bmp", "gif", "tiff", "webp")
"""Codecs of covers and previews that are not marked as such."""


@dataclass(frozen=True)
class StreamInfo:
    """The video stream that was read. Empty texts and zeros mean unknown."""

    container: str
    """FFmpeg's name of the container format, such as "mov,mp4,m4a,3gp,3g2,mj2"; "pictures" for a folder of frames."""
    codec: str
    decoder: str
    """The implementation that decoded it, such as libdav1d."""
    width: int
    """In px, as stored: before it is turned."""
    height: int
    frame_rate: float
    """Average number of frames per second, from the header."""
    bit_rate: int
    """In bit/s, from the header."""
    pixel_format: str
    transfer: str = ""
    """Transfer characteristic, such as bt709, smpte2084 (PQ) or arib-std-b67 (HLG)."""
    rotation: int = 0
    """0, 90, 180 or 270 degrees: the stored picture was mirrored, then turned clockwise."""
    mirrored: bool = False
    index: int = 0
    """Index of the stream in the container."""
    video_streams: int = 1
    """Number of video streams, without cover pictures and previews."""
    notes: tuple[str, ...] = ()
    """What else a user should know about how it was read: sentences without a full stop."""


def choose_stream(container: InputContainer) -> tuple[VideoStream, list[VideoStream]]:
    """Choose the stream to read: the largest picture; of equal ones the longest, then the default, then the first.

    Returns:
        The stream, and all streams that are videos (cover pictures and previews are not). Its codec context is None if
        there is no decoder for any of them.

    Raises:
        Unreadable: the file contains no video.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & PICTURES]
    if not streams:
        raise Unreadable("it has no video, only a cover picture" if container.streams.video else "it has no video")
    decodable = [stream for stream in streams if stream.codec_context is not None]
    if not decodable:
        return streams[0], streams
    videos = [stream for stream in decodable if not _is_picture(stream)] or decodable
    return max(videos, key=_rank), videos


def describe(stream: VideoStream) -> str:
    """The size and the codec of a stream."""
    return f"{stream.codec_context.width}x{stream.codec_context.height} {stream.codec_context.codec.canonical_name}"


def promised_frames(stream: VideoStream) -> int | None:
    """The number of frames that the header promises, which may be wrong; None: it does not say."""
    return stream.frames or round(_duration(stream) * (stream.average_rate or 0)) or None


def _is_picture(stream: VideoStream) -> bool:
    """Whether a stream is a cover that is not marked as one. stream.frames is 0 if the header does not say."""
    return stream.frames == 1 or stream.frames == 0 and stream.codec_context.codec.canonical_name in PICTURE_CODECS


def _rank(stream: VideoStream) -> tuple[int, float, bool, int]:
    area = stream.codec_context.width * stream.codec_context.height
    return area, _duration(stream), bool(stream.disposition & Disposition.default), -stream.index


def _duration(stream: VideoStream) -> float:
    """In s; 0 if unknown. Matroska writes it into a tag."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return 0.0
