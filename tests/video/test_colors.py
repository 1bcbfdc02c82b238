"""Colours: SDR as OpenCV converts it, HDR near the SDR picture that it was made of."""

import itertools
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from lipinc.video.colors import BT2020, HLG, PQ
from lipinc.video.reader import VideoReader

SDR = 14
NAMES = {PQ: "smpte2084", HLG: "arib-std-b67", SDR: "bt2020-10"}


def to_hdr(image: np.ndarray, transfer: int, white: float) -> np.ndarray:
    """Encode an SDR picture (H, W, 3) uint8 BGR, shown with its white at `white` cd/m^2: uint16 R'G'B' of BT.2100."""
    light = (image[..., ::-1] / 255) ** 2.4
    light = light @ np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]).T
    if transfer == PQ:
        power = (white * light / 10000) ** 0.1593017578125
        code = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    elif transfer == SDR:
        code = light ** (1 / 2.4)
    else:
        display = white * light / 1000
        luminance = np.maximum(display @ [0.2627, 0.6780, 0.0593], 1e-9)[..., None]
        scene = display * luminance ** (1 / 1.2 - 1)
        bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        code = np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)
    return np.rint(65535 * np.clip(code, 0, 1)).astype(np.uint16)


def write_hdr(path, image, transfer, white, frames=3):
    parameters = f"transfer={NAMES[transfer]}:colorprim=bt2020:colormatrix=bt2020nc"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4", "x264-params": parameters})
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p10le"
        picture = av.VideoFrame.from_ndarray(to_hdr(image, transfer, white), format="rgb48le")
        picture = picture.reformat(format="yuv420p10le", dst_colorspace=BT2020)
        for index in range(frames):
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("white", [100, 203])
def test_hdr_comes_out_near_the_sdr_picture(tmp_path, astronaut, transfer, white) -> None:
    path = write_hdr(tmp_path / "v.mov", astronaut, transfer, white)
    with VideoReader(path) as video:
        images = [frame.image for frame in video]
    difference = images[0].astype(int) - astronaut
    assert np.abs(difference).mean() < 5 and abs(difference.mean()) < 4
    assert all(np.array_equal(image, images[0]) or np.abs(image.astype(int) - images[0]).mean() < 1 for image in images)
    assert video.stream.transfer == NAMES[transfer]
    assert any(f"white at {white} cd/m2" in note for note in video.stream.notes)


def test_wide_colours_of_sdr_come_out_as_those_of_bt709(tmp_path, astronaut) -> None:
    with VideoReader(write_hdr(tmp_path / "v.mov", astronaut, SDR, 100)) as video:
        image = next(iter(video)).image
    assert np.abs(image.astype(int) - astronaut).mean() < 5
    assert video.stream.notes == ("BT.2020 was converted to BT.709, with white at 100 cd/m2",)


def test_a_dark_first_frame_of_hdr_does_not_brighten_the_video(tmp_path, astronaut) -> None:
    with VideoReader(write_hdr(tmp_path / "v.mov", astronaut // 4, PQ, 203)) as video:
        image = next(iter(video)).image
    assert abs(image.mean() - (astronaut // 4).mean()) < 3


def test_highlights_of_hdr_are_compressed_not_clipped(tmp_path) -> None:
    """A ramp of light from black to five times white stays a ramp."""
    ramp = np.linspace(0, 255, 256).astype(np.uint8)[None, :, None].repeat(64, 0).repeat(3, 2)
    with VideoReader(write_hdr(tmp_path / "v.mov", ramp, PQ, 1000)) as video:
        row = next(iter(video)).image[32].mean(axis=1)
    assert row[0] < 3 and row[-1] > 250
    assert (np.diff(row[::16]) >= 0).all() and row[128] < row[144] < row[160] < 254


def test_sdr_of_10_bits_is_near_that_of_8_bits(tmp_path, write_video, astronaut) -> None:
    """In the last rows, too, which OpenCV 4.11 breaks at this size."""
    image = cv2.resize(astronaut, (310, 302))[::-1]
    with VideoReader(write_video(tmp_path / "v.mp4", [image] * 3, pix_fmt="yuv420p10le")) as video:
        deep = next(iter(video)).image
    with VideoReader(write_video(tmp_path / "8.mp4", [image] * 3)) as other:
        flat = next(iter(other)).image
    assert np.abs(deep.astype(int) - flat).mean(axis=(1, 2)).max() < 20  # of each row
    assert not video.stream.notes


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("v.mp4", "libx264", "yuv420p"),
        ("v.mkv", "libx264", "yuv444p"),
        ("v.mp4", "libx265", "yuv420p"),
        ("v.mp4", "libx264", "yuvj420p"),
        ("v.webm", "libvpx-vp9", "yuv420p"),
        ("v.mp4", "mpeg4", "yuv420p"),
        ("v.avi", "mjpeg", "yuvj422p"),
        ("v.mpg", "mpeg2video", "yuv420p"),
        ("v.avi", "ffv1", "bgr0"),
    ],
)
def test_ordinary_videos_have_the_bytes_of_opencv(tmp_path, write_video, astronaut, name, codec, pix_fmt) -> None:
    """The shipped checkpoints were trained on these."""
    frames = [np.roll(astronaut, shift, axis=1) for shift in range(0, 20, 2)]
    path = write_video(tmp_path / name, frames, codec=codec, pix_fmt=pix_fmt)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    with VideoReader(path) as video:
        images = [frame.image for frame in video]
    assert len(images) == len(frames)
    assert all(np.array_equal(image, capture.read()[1]) for image in images)
    assert not capture.read()[0]
    capture.release()


def test_real_clips_have_the_bytes_of_opencv(clips_root) -> None:
    for path in sorted((clips_root / "real").iterdir())[::60]:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        with VideoReader(path) as video:
            for frame in itertools.islice(video, 5):
                assert np.array_equal(frame.image, capture.read()[1]), path
        capture.release()


def test_full_range_is_read_as_such(tmp_path, write_video) -> None:
    """VP9 says so in its header; OpenCV 4.11 reads it as limited."""
    path = tmp_path / "v.webm"
    grey = np.full((64, 64, 3), 240, np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.color_range = 2
        picture = av.VideoFrame.from_ndarray(grey, format="bgr24").reformat(format="yuv420p", dst_color_range=2)
        for index in range(3):
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    with VideoReader(path) as video:
        assert abs(next(iter(video)).image.mean() - 240) < 3
