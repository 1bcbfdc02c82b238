"""Conditions: which words are valid, and what the perturbations do to frames."""

import cv2
import numpy as np
import pytest

from lipinc.config import MouthConfig, SamplingConfig
from lipinc.synthesis.perturbations import (
    COMPRESSION,
    ENCODINGS,
    PERTURBATIONS,
    expand_conditions,
    make_perturbation,
    parse_crf,
    perturbation_series,
)
from lipinc.video.clips import Clips, extract
from lipinc.video.reader import read_frames


def test_words_expand_to_conditions_without_duplicates():
    assert expand_conditions(["crf28", "compression", "blur3"]) == ("crf28", "crf23", "crf35", "blur3")
    assert expand_conditions(["noise"]) == tuple(f"noise{level}" for level in range(1, 6))
    everything = expand_conditions(["all"])
    assert len(everything) == len(set(everything)) == len(COMPRESSION) + len(ENCODINGS) + 7 * 5 - 1  # CRF 35 is in both
    assert expand_conditions(["crf"]) == ("crf30", "crf32", "crf35", "crf38", "crf40")
    assert set(perturbation_series()) == {*PERTURBATIONS, "crf"}


@pytest.mark.parametrize("word", ["crf52", "crf-1", "crf028", "blur0", "blur6", "blurry", "", "raws", "blur\n"])
def test_other_words_are_refused_and_the_message_lists_the_valid_ones(word):
    with pytest.raises(ValueError, match="crf0 to crf51.*blur.*compression"):
        expand_conditions([word])


def test_the_crf_of_a_condition():
    assert [parse_crf(word) for word in ("crf0", "crf9", "crf51")] == [0, 9, 51]
    assert [parse_crf(word) for word in ("crf52", "blur1", "raw")] == [None, None, None]


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_perturbation_grows_with_its_level_and_keeps_shape_and_type(name, astronaut):
    changes = []
    for level in range(1, 6):
        image = make_perturbation(f"{name}{level}", seed=3)(0, astronaut)
        assert image.shape == astronaut.shape and image.dtype == np.uint8
        changes.append(float(np.mean(np.abs(image.astype(int) - astronaut))))
    assert changes == sorted(changes) and changes[0] > 0


def test_conditions_that_do_not_change_frames_have_no_perturbation():
    assert make_perturbation("raw", 0) is None and make_perturbation("crf28", 0) is None


def test_the_meaning_of_the_levels(astronaut):
    grey = make_perturbation("saturation5", 0)(0, astronaut)
    assert np.ptp(grey.astype(int), axis=2).max() <= 1
    np.testing.assert_array_equal(make_perturbation("contrast3", 0)(0, astronaut), (astronaut * 0.6).astype(np.uint8))
    flat = np.full((200, 200, 3), 128, np.uint8)
    noisy = make_perturbation("noise4", 0)(0, flat)
    luma = cv2.cvtColor(noisy, cv2.COLOR_BGR2GRAY).astype(float)
    assert luma.std() == pytest.approx(255 * 0.01**0.5, rel=0.05)
    small = make_perturbation("pixelation2", 0)(0, astronaut)
    assert small.shape == astronaut.shape


def test_small_frames_get_blocks_too_and_large_ones_more():
    for side, blocks in ((64, 4), (256, 16), (512, 32)):
        covered = make_perturbation("blocks1", 1)(0, np.zeros((side, side, 3), np.uint8))
        count = (covered == 128).all(axis=2).sum() / 64
        assert blocks / 2 < count <= blocks  # some overlap


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_frames_of_any_size_are_accepted(name):
    for shape in ((16, 16, 3), (3, 200, 3), (1, 1, 3)):
        assert make_perturbation(f"{name}5", 0)(0, np.full(shape, 90, np.uint8)).shape == shape


def test_noise_depends_on_seed_and_frame_only(astronaut):
    first, again, other, later = (
        make_perturbation("noise1", seed)(index, astronaut) for seed, index in ((1, 0), (1, 0), (2, 0), (1, 1))
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and (first != later).any()


def test_a_perturbed_video_is_extracted_from_perturbed_frames(astronaut, write_video, tmp_path):
    path = write_video(tmp_path / "still.mp4", [astronaut] * 40)
    frames = [frame.image for frame in read_frames(path, perturb=make_perturbation("blur5", 0))]
    expected = [cv2.GaussianBlur(frame.image, (21, 21), 3.5) for frame in read_frames(path)]
    np.testing.assert_array_equal(frames, expected)
    settings = MouthConfig(repeats="keep"), SamplingConfig(fallback="nearest", min_movement=0)
    raw, blurred = extract(path, *settings), extract(path, *settings, perturb=make_perturbation("blur5", 0))
    assert isinstance(raw, Clips) and isinstance(blurred, Clips)

    def sharpness(clips: Clips) -> float:
        return float(np.mean([cv2.Laplacian(mouth, cv2.CV_32F).std() for mouth in clips.frames[0]]))

    assert sharpness(blurred) < 0.5 * sharpness(raw)


def test_raw_adds_no_condition():
    assert expand_conditions(["raw"]) == () and expand_conditions(["raw", "crf28"]) == ("crf28",)
