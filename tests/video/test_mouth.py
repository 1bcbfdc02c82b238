"""Alignment, pose ratios, crops and residues: by example and by property."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lipinc.config import MouthConfig
from lipinc.video.landmarks import FaceMesh, lip_outline, to_68
from lipinc.video.mouth import (
    MIN_NATIVE_SIDE,
    alignment,
    crop_mouth,
    crop_native,
    crop_to_common_size,
    estimate_pose,
    fit_mouths,
    lip_box,
    pose_ratios,
    residues,
    resize_mouth,
)

DEFAULT = MouthConfig()


@st.composite
def faces(draw) -> np.ndarray:
    """The 68 points of a random upright face, about 100 px wide."""
    points = np.zeros((68, 2))
    points[:17] = np.column_stack([np.linspace(0, 100, 17), 40 + 70 * np.sin(np.linspace(0, np.pi, 17))])
    points[17:27] = np.column_stack([np.linspace(10, 90, 10), np.full(10, 12)])
    points[27:36] = (50, 50)
    points[36:42], points[42:48] = (30, 30), (70, 30)
    points[48:] = np.column_stack([50 + 20 * np.cos(np.arange(20)), 78 + 8 * np.sin(np.arange(20))])
    return points + np.random.default_rng(draw(st.integers(0, 2**32))).uniform(-2, 2, (68, 2))


@st.composite
def similarities(draw) -> np.ndarray:
    angle, scale = draw(st.floats(-np.pi, np.pi)), draw(st.floats(0.1, 30))
    shift = [draw(st.floats(-3000, 3000)), draw(st.floats(-3000, 3000))]
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])


def transformed(points: np.ndarray, transform: np.ndarray) -> np.ndarray:
    return points @ transform[:, :2].T + transform[:, 2]


# Alignment


@given(faces(), similarities())
def test_alignment_moves_the_eyes_to_fixed_positions_for_any_similarity(face, similarity) -> None:
    seen = transformed(face, similarity)
    aligned = transformed(seen, alignment(seen, 256, (0.40, 0.40)))
    assert np.allclose(aligned[36:42].mean(axis=0), (0.40 * 256, 0.40 * 256), atol=1e-6)
    assert np.allclose(aligned[42:48].mean(axis=0), (0.60 * 256, 0.40 * 256), atol=1e-6)
    # So is the whole face, neither mirrored nor sheared.
    assert np.allclose(aligned, transformed(face, alignment(face, 256, (0.40, 0.40))), atol=1e-6)


def test_alignment_depends_on_size_and_eye_position() -> None:
    face = np.zeros((68, 2))
    face[36:42], face[42:48] = (10, 20), (30, 20)
    assert np.allclose(alignment(face, 100, (0.3, 0.35)), [[2, 0, 10], [0, 2, -5]])


def test_a_profile_with_coinciding_eyes_has_no_pose() -> None:
    face = np.random.default_rng(0).uniform(0, 100, (68, 2))
    face[36:48] = (50, 40)
    assert alignment(face, 256, (0.4, 0.4)) is None
    assert estimate_pose(face, face[48:60], DEFAULT) is None


def test_lips_outside_the_aligned_face_have_no_pose() -> None:
    face = np.zeros((68, 2))
    face[:17, 0] = np.linspace(0, 100, 17)
    face[36:42], face[42:48] = (48, 40), (52, 40)
    assert estimate_pose(face, np.array([[40.0, 80.0], [60.0, 90.0]]), DEFAULT) is None


# Pose ratios


def test_ratios_of_a_synthetic_face() -> None:
    face = np.full((68, 2), (50.0, 60.0))
    face[0], face[16], face[8] = (0, 40), (100, 40), (50, 200)
    face[19] = (50, 0)
    face[62], face[66] = (50, 150), (50, 158)  # 8 of 200
    face[60], face[64] = (35, 154), (65, 154)  # 30 of 100
    face[48], face[4] = (33, 154), (15, 178)  # (18, 24): 30 of 100
    face[54], face[12] = (67, 154), (82, 174)  # (15, 20): 25 of 100
    assert np.allclose(pose_ratios(face), [0.04, 0.30, 0.30, 0.25])


@given(faces(), similarities())
def test_the_pose_does_not_depend_on_the_position_of_the_face(face, similarity) -> None:
    still = estimate_pose(face, face[48:60], DEFAULT)
    seen = transformed(face, similarity)
    pose = estimate_pose(seen, seen[48:60], DEFAULT)
    assert np.allclose(pose.ratios, still.ratios, atol=1e-9)
    # Boxes are in whole px: a point on the border of a px may be rounded either way.
    assert np.abs(np.subtract(pose.box, still.box)).max() <= 1


# Lip box and aligned crop


@given(arrays(np.float64, (12, 2), elements=st.floats(0, 255)))
def test_lip_box_is_tight(lips) -> None:
    left, top, right, bottom = lip_box(lips)
    inside = np.floor(lips).astype(int)
    assert (left, top) == tuple(inside.min(axis=0)) and (right - 1, bottom - 1) == tuple(inside.max(axis=0))


def test_the_margin_is_a_fraction_of_each_side() -> None:
    lips = np.array([[100.0, 150.0], [150.0, 170.0]])
    assert lip_box(lips) == (100, 150, 151, 171)
    assert lip_box(lips, margin=0.1) == (95, 148, 156, 173)


@pytest.fixture(scope="module")
def landmarks(astronaut, hopper) -> list[tuple[np.ndarray, np.ndarray]]:
    mesh = FaceMesh(static=True)
    return [(image, mesh(image)[0].astype(np.float64)) for image in (astronaut, hopper)]


@pytest.mark.parametrize("angle", [-35, 0, 20])
@pytest.mark.parametrize("scale", [0.4, 1.0, 1.7])
def test_the_crop_equals_the_box_of_the_whole_aligned_face(landmarks, angle, scale) -> None:
    for image, face in landmarks:
        turn = cv2.getRotationMatrix2D((160, 160), angle, scale)
        turned, seen = cv2.warpAffine(image, turn, (400, 400)), transformed(face, turn)
        pose = estimate_pose(to_68(seen), lip_outline(seen), DEFAULT)
        left, top, right, bottom = pose.box
        whole = cv2.warpAffine(turned, pose.transform, (256, 256), flags=cv2.INTER_CUBIC)[top:bottom, left:right]
        difference = np.abs(whole.astype(int) - crop_mouth(turned, pose))
        # OpenCV rounds source positions to 1/32 px; a few are rounded the other way.
        assert difference.max() <= 8 and difference.mean() < 0.05


def test_the_crop_shows_the_mouth(landmarks) -> None:
    # The smile of the astronaut: lips and teeth across the whole crop, redder and with more contrast than the cheek.
    (image, face), _ = landmarks
    pose = estimate_pose(to_68(face), lip_outline(face), DEFAULT)
    left, top, right, bottom = pose.box
    assert 1.5 < (right - left) / (bottom - top) < 4
    mouth = resize_mouth(crop_mouth(image, pose), DEFAULT)
    assert mouth.shape == (64, 144, 3) and mouth.dtype == np.uint8
    blue, _, red = mouth[-20:, 40:104].mean(axis=(0, 1))
    assert red > 1.3 * blue  # the lower lip
    assert mouth[15:40, 30:114].std() > 30  # teeth and the dark between them


# Native crops


def lips_at(left: float, top: float, width: float, height: float) -> np.ndarray:
    return np.array([(left, top + height / 2), (left + width / 2, top), (left + width, top), (left, top + height)])


def test_a_native_mouth_is_a_crop_of_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    assert np.array_equal(crop_native(image, lips_at(60, 50, 40, 20), 0.0), image[50:70, 60:100])
    assert np.array_equal(crop_native(image, lips_at(60, 50, 40, 20), 0.25), image[45:75, 50:110])


@given(st.floats(0, 180), st.floats(0, 100), st.floats(1, 60), st.floats(1, 60), st.floats(0, 1))
def test_a_native_mouth_lies_inside_the_image_and_has_the_requested_size(left, top, width, height, margin) -> None:
    # An image whose pixels encode their positions.
    image = np.dstack([*np.mgrid[:100, :180], np.zeros((100, 180))]).astype(np.uint8)
    mouth = crop_native(image, lips_at(left, top, width, height), margin)
    wanted = [max(MIN_NATIVE_SIDE, np.ceil(side * (1 + 2 * margin) - 1e-9)) for side in (height, width)]
    assert np.abs(np.array(mouth.shape[:2]) - np.minimum(wanted, (100, 180))).max() <= 1
    rows, columns = mouth[..., 0].astype(int), mouth[..., 1].astype(int)
    assert (np.diff(rows, axis=0) == 1).all() and (np.diff(columns, axis=1) == 1).all()


def test_an_image_smaller_than_the_minimum_crop_has_no_native_mouth() -> None:
    assert crop_native(np.zeros((17, 90, 3), np.uint8), lips_at(30, 4, 20, 8), 0.1) is None


def test_mouths_of_a_window_are_cropped_around_their_centres() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    mouths = crop_to_common_size([picture, picture[5:35, 10:50], picture[2:38, 3:57]])
    assert mouths.shape == (3, 30, 40, 3)
    for mouth in mouths:
        assert np.array_equal(mouth, picture[5:35, 10:50])


def test_native_mouths_are_fitted_without_resampling() -> None:
    mouths = np.random.default_rng(0).integers(0, 256, (8, 40, 61, 3), dtype=np.uint8)
    assert np.array_equal(fit_mouths(mouths, 40, 61), mouths)
    assert np.array_equal(fit_mouths(mouths, 32, 24), mouths[:, 4:36, 18:42])
    fitted = fit_mouths(mouths, 32, 66)  # larger in one direction, smaller in the other
    assert fitted.shape == (8, 32, 66, 3) and fitted.dtype == np.uint8
    assert np.array_equal(fitted[:, :, 2:63], mouths[:, 4:36])
    assert np.array_equal(fitted[:, :, :2], mouths[:, 4:36, 1::-1])
    assert np.array_equal(fitted[:, :, 63:], mouths[:, 4:36, :-4:-1])
    assert fit_mouths(mouths[:, :3, :2], 16, 24).shape == (8, 16, 24, 3)  # mirrored more than once


# Residues


def test_the_wrapped_residue_is_modulo_256_and_the_absolute_one_is_not() -> None:
    frames = np.array([12, 10, 10, 255, 0], np.uint8).reshape(5, 1, 1, 1)
    assert residues(frames, "wrapped").ravel().tolist() == [254, 0, 245, 1]
    assert residues(frames, "absolute").ravel().tolist() == [2, 0, 245, 255]


def test_the_residue_between_local_and_global_frames_is_included() -> None:
    frames = np.zeros((2, 8, 4, 6, 3), np.uint8)
    frames[:, 5:] = 7
    for mode in ("wrapped", "absolute"):
        found = residues(frames, mode)
        assert found.shape == (2, 7, 4, 6, 3)
        assert (found[:, 4] == 7).all() and found.sum() == found[:, 4].sum()


@given(arrays(np.uint8, array_shapes(min_dims=4, max_dims=5, min_side=1, max_side=5)))
def test_residues_are_differences_of_consecutive_frames(frames) -> None:
    before = frames.copy()
    wrapped, absolute = residues(frames, "wrapped"), residues(frames, "absolute")
    wide = frames.astype(int)
    assert wrapped.dtype == absolute.dtype == np.uint8
    step = np.diff(wide, axis=-4)
    assert np.array_equal(wrapped, step % 256)
    assert np.array_equal(absolute, np.abs(step))
    assert np.array_equal(frames, before)
