"""Copies the sound of a video file into another one, in step with the pictures."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.format import Flags

from lipinc.video.container import MAX_GAP, OPTIONS

COPIED_CODECS = ("aac", "mp3", "opus", "flac")
"""Codecs that mp4 files hold and browsers play: their packets are copied. Other codecs are encoded as AAC."""
MIN_MP3_RATE = 16_000
"""In Hz: mp4 does not allow for MP3 below."""
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Sample rates of AAC, in Hz; others become 48 kHz."""
MAX_BACKSTEP = 1.0
"""Seconds by which time stamps may run backwards in a file whose clock may be reset."""


class Sound:
    """The first audio track of a file, to be copied once."""

    @staticmethod
    def open(path: Path) -> "Sound | None":
        """Open the sound of a video that can be opened; None if it has none that can be copied or decoded."""
        if path.is_dir():  # of frames
            return None
        container = av.open(f"file:{path.absolute()}", container_options=OPTIONS)
        stream = next(iter(container.streams.audio), None)
        # A track without any sound has no sample rate; mp4 refuses it.
        if stream is not None and stream.codec_context is not None and stream.codec_context.sample_rate:
            return Sound(container, stream)
        container.close()
        return None

    def __init__(self, container: av.container.InputContainer, stream: AudioStream) -> None:
        self._container, self._stream = container, stream
        self._packets = self._demux()
        self._next: av.Packet | None = None
        self._resets = bool(container.format.flags & Flags.ts_discont.value)
        self._end: float | None = None  # of the packet before, by its time stamp
        self._shift: float | None = None
        self._writer: _PacketCopier | _AacEncoder | None = None

    @property
    def start(self) -> float | None:
        """Time stamp of the first sound, in s; None: unknown. Samples that prime a decoder do not count."""
        return None if self._stream.start_time is None else float(self._stream.start_time * self._stream.time_base)

    def attach(self, target: OutputContainer) -> None:
        """Add a stream to the file that is written. Call it once, before anything is written there."""
        context = self._stream.codec_context
        codec = context.codec.canonical_name
        is_copied = codec in COPIED_CODECS and not (codec == "mp3" and context.sample_rate < MIN_MP3_RATE)
        self._writer = (_PacketCopier if is_copied else _AacEncoder)(self._stream, target)

    def copy(self, time: float, shift: float) -> None:
        """Copy the sound up to a time.

        Args:
            time: in s.
            shift: what is added to the time stamps of the file, in s. It changes where the clock of the file is reset;
                the sound then waits for it to change, or does not follow.
        """
        if self._shift is None:
            self._shift = shift
        while (packet := self._next or next(self._packets, None)) is not None:
            self._next = packet
            stamp = float((packet.dts if packet.pts is None else packet.pts) * packet.time_base)
            if self._resets and self._end is not None and not -MAX_BACKSTEP < stamp - self._end < MAX_GAP:
                if shift == self._shift and time != float("inf"):
                    return
                self._shift = shift
            if stamp + self._shift > time:
                return
            self._next, self._end = None, stamp + float((packet.duration or 0) * packet.time_base)
            ticks = round(self._shift / packet.time_base)
            packet.pts, packet.dts = (packet.dts if packet.pts is None else packet.pts) + ticks, packet.dts + ticks
            self._writer.write(packet)

    def finish(self) -> None:
        """Copy the rest."""
        self.copy(float("inf"), self._shift or 0.0)
        self._writer.finish()

    def _demux(self) -> Iterator[av.Packet]:
        """Yield packets with time stamps; a damaged file ends early."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError):
                return
            if packet.size and packet.dts is not None:
                yield packet

    def close(self) -> None:
        self._container.close()


class _PacketCopier:
    """Writes packets as they are."""

    def __init__(self, source: AudioStream, target: OutputContainer) -> None:
        self._target, self._out = target, target.add_stream_from_template(source)
        self._last: int | None = None

    def write(self, packet: av.Packet) -> None:
        if self._last is None or packet.dts > self._last:  # mp4 refuses others, which damaged files have
            self._last = packet.dts
            packet.stream = self._out
            with suppress(av.InvalidDataError, av.PatchWelcomeError):  # of a damaged transport stream
                self._target.mux(packet)

    def finish(self) -> None:
        """Nothing is left."""


class _AacEncoder:
    """Decodes packets and encodes their samples as AAC, in mono or stereo."""

    def __init__(self, source: AudioStream, target: OutputContainer) -> None:
        self._decoder, self._target = source.codec_context, target
        rate = self._decoder.sample_rate
        self._rate = rate if rate in AAC_RATES else 48_000
        self._layout = "mono" if self._decoder.layout.nb_channels == 1 else "stereo"
        self._out = target.add_stream("aac", rate=self._rate, layout=self._layout)
        self._graph: Graph | None = None
        self._format: tuple = ()

    def write(self, packet: av.Packet | None) -> None:
        """Encode a packet; None: what the decoder still holds."""
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:  # a damaged packet: silence
            return
        for frame in frames:
            sound_format = (frame.sample_rate, frame.format.name, frame.layout.name)
            if sound_format != self._format:
                self._drain()
                self._graph, self._format = self._resampler(frame), sound_format
            self._graph.push(frame)
            self._encode_resampled()

    def finish(self) -> None:
        self.write(None)
        self._drain()
        self._target.mux(self._out.encode(None))

    def _drain(self) -> None:
        if self._graph is not None:
            self._graph.push(None)
            self._encode_resampled()

    def _encode_resampled(self) -> None:
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            self._target.mux(self._out.encode(frame))

    def _resampler(self, frame: av.AudioFrame) -> Graph:
        """A filter graph that keeps samples at their times: it fills gaps with silence."""
        graph = Graph()
        graph.link_nodes(
            graph.add_abuffer(
                sample_rate=frame.sample_rate,
                format=frame.format.name,
                layout=frame.layout.name,
                time_base=frame.time_base,
            ),
            graph.add("aresample", f"{self._rate}:async=1"),
            graph.add("aformat", f"sample_fmts=fltp:sample_rates={self._rate}:channel_layouts={self._layout}"),
            graph.add("abuffersink"),
        ).configure()
        return graph
