"""Input quality: measured outside the faces, lower for worse pictures, unknown where nothing can be measured."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lipinc.config import MouthConfig, SamplingConfig
from lipinc.demo.videos import render_video
from lipinc.video.clips import extract
from lipinc.video.faces import track_faces
from lipinc.video.quality import MAX_PICTURES, QUALITY_NAMES, Quality, QualityMeter, measure_picture

FACE = np.array([[220.0, 120.0, 360.0, 300.0]])
NO_FACE = np.zeros((0, 4))
SHARPNESS, NOISE, BLOCKINESS = range(3)


def textured(height: int = 480, width: int = 640) -> np.ndarray:
    """A picture (H, W, 3) uint8 with equal energy in each octave, as natural pictures have."""
    random = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(random.normal(size=(height, width))) / frequency
    picture = np.fft.ifft2(spectrum).real
    grey = np.clip(128 + 40 * (picture - picture.mean()) / picture.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def noisy(grey: float, sigma: float, height: int = 480, width: int = 640) -> np.ndarray:
    noise = np.random.default_rng(1).normal(grey, sigma, size=(height, width, 1))
    return np.repeat(np.rint(noise).clip(0, 255).astype(np.uint8), 3, axis=2)


def test_blur_and_enlarging_lower_the_sharpness():
    picture = textured()
    blurred = [cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (0.5, 1, 1.5, 2.5)]
    values = [measure_picture(image, FACE)[SHARPNESS] for image in (picture, *blurred)]
    assert np.all(np.diff(values) < -0.3)
    enlarged = cv2.resize(picture[:320, :427], (640, 480), interpolation=cv2.INTER_CUBIC)
    assert measure_picture(enlarged, FACE)[SHARPNESS] < values[0] - 0.5


@pytest.mark.parametrize("sigma", [1.0, 3.0, 8.0])
def test_noise_is_found_between_details(sigma):
    assert measure_picture(noisy(120, sigma), FACE)[NOISE] == pytest.approx(sigma, rel=0.1)
    half = noisy(120, sigma)
    half[:, 320:] = textured()[:, 320:]
    assert measure_picture(half, FACE)[NOISE] == pytest.approx(sigma, rel=0.2)


@pytest.mark.parametrize("offset", [0, 3])
def test_jpeg_raises_the_blockiness(offset):
    picture = textured()
    values = []
    for quality in (95, 30, 10):
        decoded = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
        values.append(measure_picture(decoded[offset:, offset:], FACE)[BLOCKINESS])
    assert abs(measure_picture(picture, FACE)[BLOCKINESS]) < 0.1
    assert values[0] < 0.1 and values[1] > values[0] + 0.1 and values[2] > values[1] + 0.1


def test_what_is_in_a_face_changes_nothing():
    picture = textured()
    boxes = np.concatenate([FACE, [[400, 50, 480, 150]]])
    forged = picture.copy()
    for left, top, right, bottom in boxes.astype(int):
        forged[top:bottom, left:right] = np.random.default_rng(2).integers(256, size=(bottom - top, right - left, 3))
    assert measure_picture(forged, boxes) == measure_picture(picture, boxes)
    assert measure_picture(forged, boxes[:1]) != measure_picture(picture, boxes[:1])


def test_a_letterbox_is_left_out():
    picture = cv2.GaussianBlur(textured(), (0, 0), 2)
    for border in ((96, 96, 0, 0), (0, 0, 120, 120)):
        boxed = cv2.copyMakeBorder(picture, *border, cv2.BORDER_CONSTANT, value=(16, 16, 16))
        shift = np.array([border[2], border[0]] * 2)
        for value, wanted in zip(measure_picture(boxed, FACE + shift), measure_picture(picture, FACE), strict=True):
            assert value == pytest.approx(wanted, abs=0.15)


@pytest.mark.parametrize("shape", [(1, 1), (8, 300), (15, 15), (32, 32)])
def test_a_tiny_picture_has_unknown_quality(shape):
    assert np.isnan(measure_picture(noisy(120, 8, *shape), NO_FACE)).all()


def test_a_face_that_fills_the_picture_leaves_nothing_to_measure():
    assert np.isnan(measure_picture(textured(), np.array([[-20.0, -20, 660, 500]]))).all()


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_constant_picture_has_neither_detail_nor_grid(grey):
    sharpness, noise, blockiness = measure_picture(np.full((240, 320, 3), grey, np.uint8), NO_FACE)
    assert np.isnan(sharpness) and np.isnan(blockiness)
    assert noise == 0 if grey == 128 else np.isnan(noise)


def test_a_meter_takes_medians_of_few_pictures_and_leaves_out_unknown_ones(monkeypatch):
    measured = []

    def measure(number: int, boxes: np.ndarray) -> tuple[float, float, float]:
        measured.append(number)
        return (np.nan if number % 24 else 1.0, float(number), np.nan)

    monkeypatch.setattr("lipinc.video.quality.measure_picture", measure)
    meter = QualityMeter()
    for number in range(40_000):
        meter.add(number, number, FACE)
    sharpness, noise, blockiness = meter.medians
    assert sharpness == 1 and noise == pytest.approx(20_000, rel=0.1) and np.isnan(blockiness)
    assert measured[:3] == [0, 12, 24] and len(measured) < 10 * MAX_PICTURES
    assert np.isnan(QualityMeter().medians).all()


def test_quality_comes_back_from_its_array():
    quality = Quality(200.0, -4.5, 0.5, 0.25, 25.0, float("nan"), 0.0)
    assert QUALITY_NAMES[0] == "face_height" and len(quality.to_array()) == len(QUALITY_NAMES)
    np.testing.assert_array_equal(Quality.from_array(quality.to_array()).to_array(), quality.to_array())


def test_clips_have_the_quality_of_their_video(tmp_path):
    render_video(tmp_path / "talk.mp4", number=1, frames=60)
    mouth = MouthConfig()
    with track_faces(tmp_path / "talk.mp4", mouth) as video:
        face = video.faces[0]
    assert face.quality.repeats == video.repeats / video.frames
    assert face.quality.frame_rate == pytest.approx(25, rel=0.02)
    assert 80 < face.quality.face_height < 224
    assert face.quality.bits_per_pixel == pytest.approx(video.stream.bit_rate / (224 * 224 * 25), rel=0.05)
    clips = extract(tmp_path / "talk.mp4", mouth, replace(SamplingConfig(), windows=2))
    np.testing.assert_array_equal(clips.quality, np.tile(face.quality.to_array(), (len(clips.frames), 1)))
    blurred = extract(
        tmp_path / "talk.mp4", mouth, SamplingConfig(), perturb=lambda _, image: cv2.GaussianBlur(image, (0, 0), 2)
    )
    assert Quality.from_array(blurred.quality[0]).sharpness < face.quality.sharpness - 1
