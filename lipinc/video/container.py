"""Decodes a video file with PyAV (FFmpeg): its frames as 8-bit BGR pictures, upright, with times that increase."""

import errno
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from av.format import Flags
from av.sidedata.sidedata import Type
from av.video.stream import VideoStream

from lipinc.video.colors import BT601, ONE_THREAD, RGB, TRANSFERS, BgrConverter
from lipinc.video.frame_folders import is_picture
from lipinc.video.orientation import Orientation, nearest_orientation
from lipinc.video.rejection import Unreadable
from lipinc.video.streams import StreamInfo, choose_stream, describe, promised_frames

CONTAINERS = (
    "apng,asf,av1,avi,dhav,dirac,dv,flv,gif,gxf,h261,h263,h264,hevc,ivf,live_flv,m4v,matroska,mjpeg,mov,mpeg,mpegts,"
    "mpegvideo,mpjpeg,mxf,nsv,nut,obu,ogg,rm,vc1,vvc,wtv,yuv4mpegpipe"
)
"""The demuxers that FFmpeg may use. Others read further files (playlists, image sequences), the network or devices, or
turn any text into a video."""
OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
PLAYLIST_SIGNATURES = (b"#EXTM3U", b"ffconcat", b"# VobSub", b"ID3")
"""First bytes of playlists (lists of other files), and of ID3 tags, which may precede a playlist."""
MAX_GAP = 10.0
"""Seconds between two frames beyond which a container whose clock may be reset (mpegts, mpeg) is taken to have been
joined from two recordings: FFmpeg's -dts_delta_threshold."""


class ContainerFile:
    """The best video stream of a file. Iterate once, then close."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            Unreadable: it is no video.
        """
        # With an absolute path and a protocol, a file name is never taken for a URL or an image-sequence pattern.
        name = str(path.absolute())
        if any("\ud800" <= c <= "\udfff" for c in name):  # surrogates: bytes that are not UTF-8
            raise Unreadable("its name or the name of a parent folder is not UTF-8; rename it")
        if _first_bytes(name).startswith(PLAYLIST_SIGNATURES):
            raise Unreadable("a playlist (a list of other files) or an audio file, not a video")
        try:
            self._container = av.open(f"file:{name}", container_options=OPTIONS)
        except av.FFmpegError as error:
            kind = "a picture, not a video" if is_picture(path.name) else "not a video that FFmpeg can open"
            raise Unreadable(kind) from error
        try:
            self._stream, videos = choose_stream(self._container)
            if self._stream.codec_context is None:
                raise Unreadable(f"there is no decoder for its codec {_codec_without_decoder(name)}")
        except Unreadable:
            self.close()
            raise
        context = self._stream.codec_context
        context.thread_count = 1
        self.promised_frames = promised_frames(self._stream)
        self._clock = _Clock(self._container, float(self._stream.average_rate or 0) or 25.0)
        self._to_bgr = BgrConverter(context)
        self._orientation = Orientation()
        self._count = self._damaged = 0
        self.coded_bytes = 0
        self._size = self._resized = ""
        self._info = StreamInfo(
            container=self._container.format.name,
            codec=context.codec.canonical_name,
            decoder=context.codec.name,
            width=context.width,
            height=context.height,
            frame_rate=float(self._stream.average_rate or 0),
            bit_rate=context.bit_rate or self._container.bit_rate,
            pixel_format=context.pix_fmt or "",
            index=self._stream.index,
            video_streams=len(videos),
            notes=tuple(_notes(self._stream, videos)),
        )

    def close(self) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield time in s and picture (H, W, 3) uint8 BGR of each frame.

        A picture has the size that its frame has in the stream, even if that changes. A damaged frame is left out; a
        truncated file ends early.

        Raises:
            Unreadable: no frame can be decoded.
        """
        yield from filter(None, map(self._show, self._frames()))
        if self._count == 0:
            codec = self._stream.codec_context.codec
            raise Unreadable(f"it opens as a video, but no frame of its codec {codec.canonical_name} can be decoded")

    def _frames(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
                self.coded_bytes += packet.size
                yield from packet.decode()
            except StopIteration:
                return
            except av.FFmpegError as error:  # demuxing: the generator has ended; decoding: the next packet may be whole
                self._count_damage(error)

    def _show(self, frame: av.VideoFrame) -> tuple[float, np.ndarray] | None:
        """Time and upright picture of a frame; None if it is damaged."""
        try:
            image = self._to_bgr(frame)
        except av.FFmpegError as error:
            return self._count_damage(error)
        size = f"{frame.width}x{frame.height}"
        if size != self._size:  # the first frame, or that of another recording
            # Of a small copy: PyAV's side data form a reference cycle, which keeps their frame in memory for long.
            copy = frame.reformat(16, 16, "bgr24", **ONE_THREAD)
            matrix = copy.side_data.get(Type.DISPLAYMATRIX)
            self._orientation = Orientation() if matrix is None else nearest_orientation(bytes(matrix))
            self._note_size(size, frame)
        time = self._clock(self._count, frame)
        self._count += 1
        return time, self._orientation.apply(image)

    def _note_size(self, size: str, frame: av.VideoFrame) -> None:
        """Remember the format of the first frame, and where the size changes."""
        if self._count == 0:
            transfer = TRANSFERS.get(self._stream.codec_context.color_trc, "")
            self._info = replace(self._info, transfer=transfer, pixel_format=frame.format.name)
        elif not self._resized:
            self._resized = f"the picture changes its size from {self._size} to {size} at frame {self._count}"
        self._size = size

    def _count_damage(self, error: av.FFmpegError) -> None:
        if error.errno == errno.ENOMEM:
            raise MemoryError from error
        self._damaged += 1

    @property
    def clock_offset(self) -> float | None:
        """What was added to the last frame's time stamp in the file, in s; None if it has none."""
        return self._clock.offset

    @property
    def color_matrix(self) -> int:
        """Matrix coefficients (Rec. ITU-T H.273, table 4) with which pictures that are converted back by BT.601 look
        like the file: its own, although BT.601 was used to read it; those of BT.601 for RGB and after tone mapping."""
        matrix = self._stream.codec_context.colorspace
        return BT601 if self._to_bgr.note or matrix == RGB else matrix

    @property
    def info(self) -> StreamInfo:
        """The stream that is read; complete after the last frame, also after closing."""
        notes = [self._to_bgr.note, self._resized, self._clock.note]
        if self._orientation != Orientation():
            notes.insert(0, f"the picture was {self._orientation}, as the file demands")
        if self._damaged:
            notes.append(f"{self._damaged} damaged {'part was' if self._damaged == 1 else 'parts were'} left out")
        return replace(
            self._info,
            rotation=self._orientation.rotation,
            mirrored=self._orientation.mirrored,
            notes=(*self._info.notes, *filter(None, notes)),
        )


def _notes(stream: VideoStream, videos: list[VideoStream]) -> Iterator[str]:
    """What the header tells about how a stream is read."""
    others = [describe(video) for video in videos if video is not stream]
    if others:
        place = f"{videos.index(stream) + 1} of {len(videos)}"
        yield f"video stream {place} ({describe(stream)}) was read, not {', '.join(others)}"
    ratio = stream.sample_aspect_ratio
    if ratio and abs(ratio - 1) > 0.01:
        yield f"the pixels are not square ({ratio.numerator}:{ratio.denominator}); the picture was not stretched"


class _Clock:
    """Times of successive frames in s: they start at 0 and never run backwards."""

    def __init__(self, container: av.container.InputContainer, frame_rate: float) -> None:
        self.note = ""
        self._decoding_order = container.format.name == "avi"  # AVI has no presentation times: FFmpeg makes up pts
        self._max_gap = MAX_GAP if container.format.flags & Flags.ts_discont.value else float("inf")
        self._interval = 1 / frame_rate
        self._time: float | None = None
        self.offset: float | None = None
        """Added to the time stamps of the file, in s; None before the first stamp."""

    def __call__(self, number: int, frame: av.VideoFrame) -> float:
        stamp = frame.dts if self._decoding_order else frame.pts
        expected = 0.0 if self._time is None else self._time + self._interval
        if stamp is None:  # at the end of an AVI, and in raw streams
            self._time = expected
            return expected
        stamp = float(stamp * frame.time_base)
        if self.offset is None:
            self.offset = expected - stamp
        time = stamp + self.offset
        step = time - (self._time or 0.0)
        if step > self._max_gap or step < -2 * self._interval:
            self.note = self.note or f"the clock of the file is reset at frame {number}; times go on from there"
            time, self.offset = expected, expected - stamp
        elif step > 0:
            self._interval = step
        self._time = max(time, self._time or 0.0)  # pictures in a wrong order repeat a time
        return self._time


def _codec_without_decoder(name: str) -> str:
    """The four-character code of a codec that FFmpeg does not know, from its log: PyAV does not tell it."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as messages:
            av.open(f"file:{name}", container_options=OPTIONS).close()
    finally:
        av.logging.set_level(level)
    found = re.search(r"Video: none \((\w+)", " ".join(message for _, _, message in messages))
    return found[1] if found else "(unknown)"


def _first_bytes(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read(max(map(len, PLAYLIST_SIGNATURES)))
    except OSError as error:
        raise Unreadable(error.strerror) from error
