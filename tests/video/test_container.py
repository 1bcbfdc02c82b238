"""Which stream of a file is read, with which times, and what is said about it."""

import gc
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from lipinc.video.reader import Unreadable, VideoReader
from tests.video.test_reader import numbered, read_number


def read(path):
    with VideoReader(path) as video:
        frames = list(video)
    return frames, video.stream


def write_streams(path, *sizes, frames=10, codecs=None):
    """A file with one video stream per size; stream i is grey of the brightness 50 (i + 1)."""
    with av.open(str(path), "w") as container:
        streams = []
        for index, (width, height) in enumerate(sizes):
            stream = container.add_stream(codecs[index] if codecs else "libx264", rate=25)
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuvj420p" if stream.codec_context.name == "mjpeg" else "yuv420p"
            streams.append(stream)
        counts = frames if isinstance(frames, tuple) else (frames,) * len(sizes)
        for index, stream in enumerate(streams):
            grey = np.full((stream.height, stream.width, 3), 50 * (index + 1), np.uint8)
            for _ in range(counts[index]):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="bgr24")))
            container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_the_largest_stream_is_read_wherever_it_stands(tmp_path, suffix) -> None:
    frames, stream = read(write_streams(tmp_path / f"v{suffix}", (64, 48), (128, 96), (96, 64)))
    assert {frame.image.shape for frame in frames} == {(96, 128, 3)} and abs(frames[0].image.mean() - 100) < 4
    assert (stream.index, stream.video_streams, stream.width, stream.height) == (1, 3, 128, 96)
    assert stream.notes == ("video stream 2 of 3 (128x96 h264) was read, not 64x48 h264, 96x64 h264",)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_of_equal_streams_the_longest_is_read_then_the_first(tmp_path, suffix) -> None:
    frames, stream = read(write_streams(tmp_path / f"a{suffix}", (64, 48), (64, 48), frames=(10, 20)))
    assert len(frames) == 20 and stream.index == 1
    frames, stream = read(write_streams(tmp_path / f"b{suffix}", (64, 48), (64, 48)))
    assert stream.index == 0 and "video stream 1 of 2" in stream.notes[0]


def test_a_cover_picture_is_not_the_video(tmp_path) -> None:
    jpeg = cv2.imencode(".jpg", np.full((480, 640, 3), 255, np.uint8))[1].tobytes()
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        container.add_attachment("cover.jpg", "image/jpeg", jpeg)
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 50, np.uint8), format="bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    frames, stream = read(tmp_path / "v.mkv")
    assert len(frames) == 5 and frames[0].image.shape == (48, 64, 3)
    assert (stream.codec, stream.video_streams, stream.notes) == ("h264", 1, ())


def test_a_cover_that_is_not_marked_as_one_is_not_the_video(tmp_path) -> None:
    path = write_streams(tmp_path / "v.mp4", (640, 480), (64, 48), frames=(1, 10), codecs=("mjpeg", "libx264"))
    frames, stream = read(path)
    assert len(frames) == 10 and stream.codec == "h264"


def test_what_was_read_is_described(tmp_path, write_video) -> None:
    _, stream = read(write_video(tmp_path / "v.mp4", numbered(10), fps=30))
    assert (stream.codec, stream.decoder, stream.pixel_format) == ("h264", "h264", "yuv420p")
    assert "mp4" in stream.container and (stream.width, stream.height, stream.frame_rate) == (80, 64, 30)
    assert stream.bit_rate > 0 and stream.notes == ()


def test_av1_is_decoded(tmp_path, write_video) -> None:
    frames, stream = read(write_video(tmp_path / "v.mp4", numbered(12, height=128, width=160), codec="libsvtav1"))
    assert [read_number(frame.image) for frame in frames] == list(range(12))
    assert stream.codec == "av1"


def test_times_go_on_where_a_second_recording_starts(tmp_path, write_video) -> None:
    """Transport streams can be joined by joining their bytes; here the size of the picture changes, too."""
    one = write_video(tmp_path / "1.ts", numbered(20))
    two = write_video(tmp_path / "2.ts", numbered(20, height=96, width=160))
    (tmp_path / "v.ts").write_bytes(one.read_bytes() + two.read_bytes() + one.read_bytes())
    frames, stream = read(tmp_path / "v.ts")
    assert [read_number(frame.image) for frame in frames] == [*range(20)] * 3
    assert np.allclose([frame.time for frame in frames], np.arange(60) / 25, atol=1e-3)
    shapes = [frame.image.shape for frame in frames]
    assert shapes == [(64, 80, 3)] * 20 + [(96, 160, 3)] * 20 + [(64, 80, 3)] * 20
    assert stream.notes == (
        "the picture changes its size from 80x64 to 160x96 at frame 20",
        "the clock of the file is reset at frame 20; times go on from there",
    )


def test_a_gap_of_hours_between_joined_recordings_is_closed(tmp_path, write_video) -> None:
    one = write_video(tmp_path / "1.ts", numbered(20))
    two = write_video(tmp_path / "2.ts", numbered(20), container={"output_ts_offset": "5000"})
    (tmp_path / "v.ts").write_bytes(one.read_bytes() + two.read_bytes())
    assert np.allclose([frame.time for frame in read(tmp_path / "v.ts")[0]], np.arange(40) / 25, atol=1e-3)


@pytest.mark.parametrize("name", ["v.mkv", "v.webm"])
def test_joined_matroska_files_have_increasing_times(tmp_path, write_video, name) -> None:
    codec = "libx264" if name == "v.mkv" else "libvpx-vp9"
    path = write_video(tmp_path / name, numbered(20), codec=codec)
    path.write_bytes(2 * path.read_bytes())
    assert np.allclose([frame.time for frame in read(path)[0]], np.arange(40) / 25, atol=2e-3)


@pytest.mark.parametrize(("name", "format"), [("v.avi", None), ("v.h264", "h264"), ("v.264", "h264")])
def test_files_without_presentation_times_have_regular_ones(tmp_path, write_video, name, format) -> None:
    """With B frames: FFmpeg's pts of an AVI file are in the wrong order."""
    frames = np.random.default_rng(0).integers(0, 60, (30, 64, 80, 3), dtype=np.uint8) + np.array(numbered(30)) // 2
    frames, _ = read(write_video(tmp_path / name, frames))
    assert np.allclose([frame.time for frame in frames], np.arange(30) / 25, atol=1e-3)


def test_a_long_pause_in_a_recording_stays(tmp_path) -> None:
    """Screen recorders write a frame when something moves."""
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        for image, pts in zip(numbered(4), (0, 1, 1000, 1001), strict=True):
            picture = av.VideoFrame.from_ndarray(image, format="bgr24")
            picture.pts = pts
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    frames, stream = read(tmp_path / "v.mkv")
    assert np.allclose([frame.time for frame in frames], [0, 0.04, 40, 40.04], atol=1e-3) and stream.notes == ()


def test_pixels_that_are_not_square_are_reported(tmp_path, write_video) -> None:
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for image in numbered(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    frames, stream = read(tmp_path / "v.mp4")
    assert frames[0].image.shape == (64, 80, 3)
    assert stream.notes == ("the pixels are not square (4:3); the picture was not stretched",)


def overwrite_frames(path, numbers) -> None:
    """Overwrite the JPEG pictures with these numbers."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for number in numbers:
        position, size = packets[number]
        start = content.index(b"\xff\xd8", position)
        content[start : start + size - 16] = bytes(size - 16)
    path.write_bytes(content)


def test_damaged_frames_are_left_out_and_counted(tmp_path, write_video) -> None:
    path = write_video(tmp_path / "v.avi", numbered(10), codec="mjpeg", pix_fmt="yuvj420p")
    overwrite_frames(path, [3, 7])
    frames, stream = read(path)
    assert [read_number(frame.image) for frame in frames] == [0, 1, 2, 4, 5, 6, 8, 9]
    assert stream.notes == ("2 damaged parts were left out",)


def test_a_video_whose_frames_are_all_damaged_names_its_codec(tmp_path, write_video) -> None:
    path = write_video(tmp_path / "v.avi", numbered(10), codec="mjpeg", pix_fmt="yuvj420p")
    overwrite_frames(path, range(10))
    with pytest.raises(Unreadable, match="no frame of its codec mjpeg can be decoded"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.txt", b"\x1b[31mThis is drawn by FFmpeg's demuxer of text art.\n" * 50),
        ("v.nfo", b"This is drawn by FFmpeg's demuxer of text art.\n" * 50),
        ("v.sdp", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"),
        ("v.mpd", b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>'),
        ("v.srt", b"1\n00:00:01,000 --> 00:00:02,000\nHello\n"),
        ("v.jpg", cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes()),
        ("frame1.png", cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()),
    ],
)
def test_ffmpeg_opens_nothing_but_videos(tmp_path, name, content) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Unreadable, match="not a video"):
        read(tmp_path / name)


def test_a_description_outlives_the_file(tmp_path, write_video) -> None:
    video = VideoReader(write_video(tmp_path / "v.mp4", numbered(3)))
    video.close()
    assert video.stream.codec == "h264"


def test_decoded_frames_do_not_pile_up(tmp_path, write_video) -> None:
    """PyAV's side data form a reference cycle with their frame: only the garbage collector frees it."""
    path = write_video(tmp_path / "v.mp4", numbered(50))
    gc.disable()
    gc.freeze()  # get_objects leaves out what exists already, such as frames of an earlier test
    try:
        for frame in VideoReader(path):
            assert frame.image.size
        assert sum(isinstance(one, av.VideoFrame) for one in gc.get_objects()) < 5
    finally:
        gc.unfreeze()
        gc.enable()


@pytest.mark.parametrize("fourcc", [b"brxq", b"encv"])
def test_a_codec_without_a_decoder_is_named(tmp_path, write_video, fourcc) -> None:
    path = write_video(tmp_path / "v.mp4", numbered(3))
    path.write_bytes(path.read_bytes().replace(b"avc1", fourcc))
    with pytest.raises(Unreadable, match=f"there is no decoder for its codec {fourcc.decode()}"):
        read(path)
