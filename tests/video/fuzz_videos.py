"""Fuzzes extraction and detection with damaged and malicious video files.

    python -m tests.video.fuzz_videos --inputs 2000 --seed 0

An input is a short video of some container and codec with one kind of damage, or a file built to do harm. Each is
extracted and classified in a subprocess with limits on memory and time. The table lists the outcomes. The exit status
is 1 if an input has no outcome, or one that is not in the closed list.
"""

import resource
import shutil
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import tyro
from tqdm import tqdm

from lipinc.cache.manifest import OK
from lipinc.cache.store import Cache
from lipinc.cache.workers import extract_to_cache
from lipinc.datasets.records import Label, VideoRecord
from lipinc.demo.videos import talking_frames
from lipinc.detection.batch import Settings, classify_video, load
from lipinc.models.checkpoint import DEFAULT_CHECKPOINT
from lipinc.video.rejection import Reason
from lipinc.video.subprocesses import ProcessDied, TimeLimitExceeded, isolated_thread_pool, thread_process

FRAMES = 40
SIDE = 224
SETTINGS = Settings(DEFAULT_CHECKPOINT, device="cpu")

Rng = np.random.Generator
Damage = Callable[[bytes, Rng, list[bytes]], bytes]
"""Function of a video file, a random generator and all video files; returns the damaged file."""


@dataclass(frozen=True)
class Arguments:
    inputs: int = 2000
    seed: int = 0
    limit_mb: int = 3000
    """Memory limit of a subprocess, in addition to what it uses after loading the detector."""
    seconds: float = 20
    """Time limit for one input."""
    workers: int = 1
    keep: Path | None = None
    """Folder to which inputs that killed their subprocess are copied."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one input."""

    file: Path
    extracted: str
    """Status of its manifest row; empty if there is none."""
    verdict: str
    """Decision or reason; "died" or "gave up" if the subprocess was lost."""
    detail: str
    seconds: float = 0.0
    megabytes: float = 0.0
    """Increase of the peak memory of the subprocess."""

    @property
    def damage(self) -> str:
        return self.file.name.split(".")[1]

    @property
    def is_known(self) -> bool:
        """Whether extraction and detection have outcomes in the closed lists, and agree on whether there are clips."""
        if self.verdict in LOST:
            return True
        reasons = {reason.value for reason in Reason}
        judged = self.verdict in ("fake", "real", "uncertain")
        return self.extracted == OK if judged else self.extracted == self.verdict and self.verdict in reasons


LOST = ("died", "gave up")


# Clips


def make_clips() -> dict[str, bytes]:
    """File name -> content: one talking face in many containers and codecs."""
    frames = list(talking_frames(number=0, frames=FRAMES))
    small = [cv2.resize(frame, (160, 160)) for frame in frames]
    grey = [cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR) for frame in frames]
    return {
        "h264.mp4": encode(frames, "mp4", "libx264"),
        "faststart.mp4": encode(frames, "mp4", "libx264", options={"movflags": "faststart"}),
        "fragmented.mp4": encode(frames, "mp4", "libx264", options={"movflags": "frag_keyframe+empty_moov"}),
        "sound.mp4": encode(frames, "mp4", "libx264", sound=True),
        "yuv444.mp4": encode(frames, "mp4", "libx264", "yuv444p"),
        "tenbit.mkv": encode(frames, "matroska", "libx264", "yuv420p10le"),
        "h264.mkv": encode(frames, "matroska", "libx264", sound=True),
        "h264.mov": encode(frames, "mov", "libx264"),
        "mpeg4.avi": encode(frames, "avi", "mpeg4"),
        "mjpeg.avi": encode(frames, "avi", "mjpeg", "yuvj420p"),
        "grey.avi": encode(grey, "avi", "ffv1", "gray"),
        "rgb.avi": encode(small, "avi", "rawvideo", "bgr24"),
        "vp8.webm": encode(frames, "webm", "libvpx"),
        "vp9.webm": encode(frames, "webm", "libvpx-vp9"),
        "mpeg2.mpg": encode(frames, "mpeg", "mpeg2video"),
        "flv1.flv": encode(frames, "flv", "flv"),
        "wmv2.wmv": encode(frames, "asf", "wmv2"),
        # Transport streams can be concatenated: here the resolution changes in the middle.
        "changing.mpg": encode(frames[:30], "mpegts", "libx264") + encode(small, "mpegts", "libx264"),
    }


def encode(
    frames: Iterable[np.ndarray],
    container: str,
    codec: str,
    pix_fmt: str = "yuv420p",
    *,
    sound: bool = False,
    options: dict[str, str] | None = None,
) -> bytes:
    """Encode frames (H, W, 3) uint8 BGR. sound: add a silent audio track; without frames the file has only that."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "v")
        with av.open(str(file), "w", format=container, options=options or {}) as output:
            picture_stream = None
            for index, image in enumerate(frames):
                if picture_stream is None:
                    picture_stream = output.add_stream(codec, rate=25)
                    picture_stream.pix_fmt = pix_fmt
                    picture_stream.height, picture_stream.width = image.shape[:2]
                    sound_stream = output.add_stream("aac", rate=16000, layout="mono") if sound else None
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
                picture.pts, picture.time_base = index, Fraction(1, 25)
                output.mux(picture_stream.encode(picture))
            if picture_stream is None:
                sound_stream = output.add_stream("aac", rate=16000, layout="mono")
            else:
                output.mux(picture_stream.encode())
            if sound_stream is not None:
                samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                samples.sample_rate = 16000
                output.mux(sound_stream.encode(samples))
                output.mux(sound_stream.encode())
        return file.read_bytes()


# Damage

BOXES = (b"ftyp", b"moov", b"mvhd", b"trak", b"tkhd", b"mdia", b"mdhd", b"hdlr", b"minf", b"stbl", b"stsd", b"avc1",
         b"avcC", b"stts", b"stsc", b"stsz", b"stco", b"ctts", b"stss", b"elst", b"mdat", b"moof", b"traf", b"trun",
         b"RIFF", b"avih", b"strh", b"strf", b"movi", b"idx1", b"LIST")  # fmt: skip
"""Names of boxes in mp4, where the size precedes the name, and in AVI, where it follows the name."""
NASTY = (0, 1, 2, 7, 8, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _flip_bits(data: bytes, rng: Rng, start: int, stop: int) -> bytes:
    damaged = bytearray(data)
    for place in rng.integers(start, stop, int(rng.integers(1, 60))):
        damaged[place] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def bits(data: bytes, rng: Rng, _: list[bytes]) -> bytes:
    return _flip_bits(data, rng, 0, len(data))


def header_bits(data: bytes, rng: Rng, _: list[bytes]) -> bytes:
    return _flip_bits(data, rng, 0, min(700, len(data)))


def index_bits(data: bytes, rng: Rng, _: list[bytes]) -> bytes:
    """Flip bits at the end, where mp4 and AVI have their index."""
    return _flip_bits(data, rng, max(0, len(data) - 1500), len(data))


def truncated(data: bytes, rng: Rng, _: list[bytes]) -> bytes:
    return data[: int(rng.integers(len(data)))]


def beheaded(data: bytes, rng: Rng, _: list[bytes]) -> bytes:
    return data[int(rng.integers(len(data))) :]


def tiny(data: bytes, rng: Rng, _: list[bytes]) -> bytes:
    return data[: int(rng.integers(16))]


def spliced(data: bytes, rng: Rng, others: list[bytes]) -> bytes:
    other = others[int(rng.integers(len(others)))]
    return data[: int(rng.integers(len(data)))] + other[int(rng.integers(len(other))) :]


def _block(data: bytes, rng: Rng) -> tuple[int, int]:
    start = int(rng.integers(len(data)))
    return start, min(len(data), start + int(rng.integers(1, 4096)))


def repeated_block(data: bytes, rng: Rng, _: list[bytes]) -> bytes:
    start, stop = _block(data, rng)
    return data[:stop] + data[start:stop] * int(rng.integers(1, 20)) + data[stop:]


def lost_block(data: bytes, rng: Rng, _: list[bytes]) -> bytes:
    start, stop = _block(data, rng)
    return data[:start] + data[stop:]


def overwritten_block(data: bytes, rng: Rng, _: list[bytes]) -> bytes:
    start, stop = _block(data, rng)
    size = stop - start
    return data[:start] + (bytes(size), b"\xff" * size, rng.bytes(size))[int(rng.integers(3))] + data[stop:]


def _boxes(data: bytes) -> list[int]:
    """The offsets of the names of the boxes."""
    places = []
    for name in BOXES:
        place = data.find(name)
        while place >= 0:
            places.append(place)
            place = data.find(name, place + 4)
    return sorted(places)


def box_size(data: bytes, rng: Rng, others: list[bytes]) -> bytes:
    places = [place for place in _boxes(data) if place >= 4]
    if not places:
        return nasty_numbers(data, rng, others)
    damaged = bytearray(data)
    place = places[int(rng.integers(len(places)))]
    nasty = NASTY[int(rng.integers(len(NASTY)))]
    if data[:4] == b"RIFF":
        damaged[place + 4 : place + 8] = struct.pack("<I", nasty)
    else:
        damaged[place - 4 : place] = struct.pack(">I", nasty)
    return bytes(damaged)


def repeated_box(data: bytes, rng: Rng, others: list[bytes]) -> bytes:
    places = [place for place in _boxes(data) if place >= 4]
    if not places:
        return repeated_block(data, rng, others)
    place = places[int(rng.integers(len(places)))]
    size = min(struct.unpack(">I", data[place - 4 : place])[0], len(data))
    return data[: place - 4 + size] + data[place - 4 : place - 4 + size] + data[place - 4 + size :]


def box_fields(data: bytes, rng: Rng, others: list[bytes]) -> bytes:
    """Overwrite numbers at the beginning of a box: counts, sizes, rates, times."""
    places = [place for place in _boxes(data) if place + 64 < len(data)]
    if not places:
        return nasty_numbers(data, rng, others)
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        place = places[int(rng.integers(len(places)))] + 4 + 4 * int(rng.integers(14))
        order = "<I" if data[:4] == b"RIFF" else ">I"
        damaged[place : place + 4] = struct.pack(order, NASTY[int(rng.integers(len(NASTY)))])
    return bytes(damaged)


def dimensions(data: bytes, rng: Rng, others: list[bytes]) -> bytes:
    """Overwrite numbers that equal the size of the image by other sizes."""
    places = [(place, kind) for kind in (">H", "<H", ">I", "<I") for place in _all(data, struct.pack(kind, SIDE))]
    if not places:
        return nasty_numbers(data, rng, others)
    damaged = bytearray(data)
    claimed = (0, 1, 2, 15, 100, 1000, 4096, 16384, 32767, 65535)
    for index in rng.integers(len(places), size=int(rng.integers(1, 4))):
        place, kind = places[index]
        struct.pack_into(kind, damaged, place, claimed[int(rng.integers(len(claimed)))])
    return bytes(damaged)


def rotation(data: bytes, rng: Rng, others: list[bytes]) -> bytes:
    """Overwrite the display matrix of the track header, 40 bytes after the start of its fields (ISO/IEC 14496-12)."""
    if b"tkhd" not in data:
        return nasty_numbers(data, rng, others)
    damaged = bytearray(data)
    place = data.index(b"tkhd") + 44
    choice = (0, 1 << 16, -1 << 16, 46341, 1 << 30, -1 << 31, (1 << 31) - 1)
    struct.pack_into(">9i", damaged, place, *(choice[i] for i in rng.integers(len(choice), size=9)))
    return bytes(damaged)


def nasty_numbers(data: bytes, rng: Rng, _: list[bytes]) -> bytes:
    damaged = bytearray(data)
    for place in rng.integers(0, max(1, len(data) - 8), int(rng.integers(1, 8))):
        kind = ("B", ">H", "<H", ">I", "<I")[int(rng.integers(5))]
        mask = (1 << 8 * struct.calcsize(kind)) - 1
        struct.pack_into(kind, damaged, int(place), NASTY[int(rng.integers(len(NASTY)))] & mask)
    return bytes(damaged)


def _all(data: bytes, pattern: bytes) -> Iterator[int]:
    place = data.find(pattern)
    while place >= 0:
        yield place
        place = data.find(pattern, place + 1)


DAMAGES: tuple[Damage, ...] = (
    bits, header_bits, index_bits, truncated, beheaded, tiny, spliced, repeated_block, lost_block, overwritten_block,
    box_size, repeated_box, box_fields, dimensions, rotation, nasty_numbers,
)  # fmt: skip


def built_to_harm() -> dict[str, bytes]:
    """File name -> content: files that are not damaged, but not ordinary videos."""
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n%s\n#EXT-X-ENDLIST\n"
    black = np.zeros((SIDE, SIDE, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", np.zeros((16000, 16000, 3), np.uint8))[1].tobytes()
    return {
        "empty.mp4": b"",
        "zeros.mp4": bytes(100_000),
        "text.mp4": b"<html>404: not found</html>\n" * 50,
        "sound_only.mp4": encode([], "mp4", "", sound=True),
        "one_frame.mp4": encode([black], "mp4", "libx264"),
        "one_pixel.avi": encode([black[:1, :1]] * FRAMES, "avi", "ffv1", "bgr0"),
        "flat.avi": encode([np.zeros((2, 16000, 3), np.uint8)] * FRAMES, "avi", "rawvideo", "bgr24"),
        "tall.avi": encode([np.zeros((16000, 2, 3), np.uint8)] * FRAMES, "avi", "rawvideo", "bgr24"),
        "bomb.avi": _mjpeg(jpeg, 16000),
        "tagged_playlist.mp4": b"ID3\x04\0\0\0\0\0\0" + b"ffconcat version 1.0\nfile DAMAGED\n",
        "playlist_of_itself.mp4": b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nDAMAGED\n",
        "playlist_of_a_file.mp4": playlist % b"/etc/passwd",
        "playlist_of_an_address.mp4": playlist % b"http://127.0.0.1:9/a.ts",
        "concat_of_itself.mp4": b"ffconcat version 1.0\nfile DAMAGED\n",
        "concat_of_a_file.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "session.mp4": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        b"a=rtpmap:96 H264/90000\n",
    }


def _mjpeg(jpeg: bytes, side: int) -> bytes:
    """An AVI file with the same JPEG image three times."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "v")
        with av.open(str(file), "w", format="avi") as output:
            stream = output.add_stream("mjpeg", rate=25)
            stream.width = stream.height = side
            stream.pix_fmt = "yuvj420p"
            for index in range(3):
                packet = av.Packet(jpeg)
                packet.stream, packet.pts, packet.dts, packet.time_base = stream, index, index, Fraction(1, 25)
                output.mux(packet)
        return file.read_bytes()


def make_inputs(folder: Path, inputs: int, seed: int) -> list[Path]:
    """Write the inputs as NUMBER.DAMAGE.CLIP. Input i depends only on the seed and on i.

    Each file that is built to do harm occurs once; one input in 100 is not damaged.
    """
    clips, special = make_clips(), built_to_harm()
    names, contents = list(clips), list(clips.values())
    files = []
    for number in range(inputs):
        rng = np.random.default_rng([seed, number])
        if number % 100 == 0:
            clip, damage = names[number // 100 % len(names)], "none"
            content = clips[clip]
        elif number % 2 and number // 2 < len(special):
            clip, damage = list(special)[number // 2], "harmful"
            content = special[clip]
        else:
            one, hurt = int(rng.integers(len(names))), DAMAGES[int(rng.integers(len(DAMAGES)))]
            clip, damage, content = names[one], hurt.__name__, hurt(contents[one], rng, contents)
        file = folder / f"{number:06}.{damage}.{clip}"
        file.write_bytes(content.replace(b"DAMAGED", file.name.encode()) if damage == "harmful" else content)
        files.append(file)
    return files


# Processing


def outcomes(files: list[Path], limit_mb: int, seconds: float, workers: int) -> Iterator[Outcome]:
    """Yield an outcome for each file, in order of completion."""
    with isolated_thread_pool(workers, initializer=partial(_load_and_limit_memory, limit_mb)) as executor:
        for future in as_completed([executor.submit(_run_in_subprocess, file, seconds) for file in files]):
            yield future.result()


def _load_and_limit_memory(limit_mb: int) -> None:
    load(SETTINGS)
    limit = _status("VmSize") * 1024 + (limit_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _run_in_subprocess(file: Path, seconds: float) -> Outcome:
    try:
        return thread_process().call(_process, file, time_limit=seconds)
    except ProcessDied as death:
        return Outcome(file, "", "died", str(death))
    except TimeLimitExceeded:
        return Outcome(file, "", "gave up", f"after {seconds:g} s")


def _process(file: Path) -> Outcome:
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak memory
    before, started = _status("VmRSS"), time.perf_counter()
    config = load(SETTINGS).checkpoint.config
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(folder, config.mouth, config.sampling)
        record = VideoRecord(file.name, Label.FAKE, "id")
        clips = cache.clips_file(record.key)
        row = extract_to_cache(record, file, clips, config.mouth, config.sampling, cache.settings)
    values = classify_video(SETTINGS, file).values
    verdict = values["reason"] or values["verdict"]
    taken = time.perf_counter() - started
    detail = "; ".join(dict.fromkeys((row.detail, values["detail"])))
    return Outcome(file, row.status, verdict, detail, taken, (_status("VmHWM") - before) / 1024)


def _status(name: str) -> int:
    """A memory value of this process, in KB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


# Table


def table(found: list[Outcome]) -> str:
    """Format the outcomes: one line per kind of damage, and one for all."""
    columns = ("judged", *(reason.value for reason in Reason if reason is not Reason.MISSING), *LOST)
    lines = [f"{'damage':18}{'inputs':>7}" + "".join(f"{name:>16}" for name in columns) + f"{'max s':>11}{'MB':>7}"]
    for damage in (*sorted({one.damage for one in found}), "all"):
        some = [one for one in found if damage in (one.damage, "all")]
        counts = Counter(one.verdict if one.verdict in columns else "judged" for one in some)
        cells = "".join(f"{counts[name]:16}" for name in columns)
        slowest, largest = max(one.seconds for one in some), max(one.megabytes for one in some)
        lines.append(f"{damage:18}{len(some):7}{cells}{slowest:11.1f}{largest:7.0f}")
    return "\n".join(lines)


def main(arguments: Arguments) -> int:
    with tempfile.TemporaryDirectory() as folder:
        files = make_inputs(Path(folder), arguments.inputs, arguments.seed)
        work = outcomes(files, arguments.limit_mb, arguments.seconds, arguments.workers)
        found = list(tqdm(work, total=len(files), unit="input"))
        print(table(found))
        for one in found:
            if one.verdict in (*LOST, Reason.CRASHED.value, Reason.TIME_LIMIT.value) or not one.is_known:
                print(f"{one.file.name}: {one.extracted} {one.verdict}: {one.detail}")
                if arguments.keep is not None:
                    arguments.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(one.file, arguments.keep)
        without = set(files) - {one.file for one in found}
        print(f"{len(without)} inputs without an outcome, {sum(not one.is_known for one in found)} with an unknown one")
        return 1 if without or not all(one.is_known for one in found) else 0


if __name__ == "__main__":
    from tests.video.fuzz_videos import Arguments, main  # imported, so that subprocesses can unpickle its functions

    sys.exit(main(tyro.cli(Arguments, description=__doc__)))
