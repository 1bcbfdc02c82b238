"""Pseudo-fakes: only the masked region changes, and the result depends on the seed only."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lipinc.config import MouthConfig, SamplingConfig
from lipinc.demo.videos import render_video, talking_frames
from lipinc.synthesis.pseudo_fakes import draw_recipe, forge_frame, forge_video
from lipinc.video.clips import Clips, extract
from lipinc.video.landmarks import FaceMesh, lip_outline
from lipinc.video.reader import Unreadable, read_frames

RECIPE = draw_recipe(np.random.default_rng(0))


@pytest.fixture(scope="module")
def talk(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("talk") / "talk.mp4"
    render_video(path, number=1, frames=40)
    return path


@pytest.fixture(scope="module")
def face() -> tuple[np.ndarray, np.ndarray]:
    image = next(iter(talking_frames(number=1, frames=1)))
    mesh = FaceMesh(static=True)
    return image, mesh(image)[0].astype(np.float64)


@pytest.mark.parametrize("mask", ["half", "mouth", "lower_face", "face"])
def test_the_mouth_changes_and_the_rest_of_the_image_does_not(face, mask) -> None:
    image, points = face
    recipe = replace(RECIPE, mask=mask, feather=0.02, resolution=96, texture=1.5)
    forged = forge_frame(image, points, image, points, recipe, np.random.default_rng(0))
    assert forged.shape == image.shape and forged.dtype == np.uint8
    change = np.abs(forged.astype(int) - image).sum(axis=2)
    x, y = lip_outline(points).mean(axis=0).round().astype(int)
    assert change[y - 4 : y + 5, x - 8 : x + 9].mean() > 1
    left, top = points.min(axis=0).astype(int)
    right, bottom = points.max(axis=0).astype(int)
    pad = int(0.15 * (right - left))
    outside = np.ones(change.shape, dtype=bool)
    outside[max(0, top - pad) : bottom + pad, max(0, left - pad) : right + pad] = False
    assert outside.sum() > 1000 and not change[outside].any()
    eyes = change[top + (bottom - top) // 4 : top + (bottom - top) // 3, left + pad : right - pad]
    assert (eyes.mean() > 0.5) == (mask == "face")


def test_a_whole_image_is_rendered_again(face) -> None:
    image, points = face
    recipe = replace(RECIPE, mask="picture", resolution=96, enhance=0.0)
    forged = forge_frame(image, points, image, points, recipe, np.random.default_rng(0))
    change = np.abs(forged.astype(int) - image).sum(axis=2)
    assert (change > 0).mean() > 0.5 and all((change[corner] > 0).any() for corner in (np.s_[:20], np.s_[-20:]))


def test_an_enhancer_sharpens_and_flickers(face) -> None:
    image, points = face
    plain = replace(RECIPE, mask="lower_face", resolution=256, enhance=0.0, jitter=0.0, flicker=0.0, texture=0.0)
    x, y = lip_outline(points).mean(axis=0).round().astype(int)

    def mouth(recipe, seed: int) -> np.ndarray:
        forged = forge_frame(image, points, image, points, recipe, np.random.default_rng(seed))
        return forged[y - 12 : y + 12, x - 24 : x + 24].astype(int)

    enhanced = replace(plain, enhance=1.5, enhance_flicker=0.5)
    assert mouth(enhanced, 0).std() > mouth(plain, 0).std()
    assert np.abs(mouth(enhanced, 0) - mouth(enhanced, 1)).mean() > np.abs(mouth(plain, 0) - mouth(plain, 1)).mean()


def test_recipes_are_diverse() -> None:
    recipes = [draw_recipe(np.random.default_rng(seed)) for seed in range(200)]
    assert {recipe.mask for recipe in recipes} == {"half", "mouth", "lower_face", "face", "picture"}
    assert {recipe.resolution for recipe in recipes} == {96, 128, 192, 256, 384}
    assert 0 < sum(recipe.delay == 0 for recipe in recipes) < 200
    assert 0 < sum(recipe.enhance > 0 for recipe in recipes) < 200
    assert len({recipe.jitter for recipe in recipes}) == 200


def test_the_result_depends_on_the_seed_only(talk, tmp_path) -> None:
    first, again, other = (
        (forge_video(talk, tmp_path / f"{name}.mp4", seed=seed), (tmp_path / f"{name}.mp4").read_bytes())
        for name, seed in (("first", 5), ("again", 5), ("other", 6))
    )
    assert first == again and first[1] != other[1]


def test_a_forgery_has_the_frames_of_its_source_and_a_mouth_that_can_be_extracted(talk, tmp_path) -> None:
    forge_video(talk, tmp_path / "forged.mp4", seed=1)
    before, after = list(read_frames(talk)), list(read_frames(tmp_path / "forged.mp4"))
    assert [frame.image.shape for frame in after] == [frame.image.shape for frame in before]
    np.testing.assert_allclose([f.time for f in after], [f.time for f in before], atol=1e-3)
    clips = extract(tmp_path / "forged.mp4", MouthConfig(), SamplingConfig(fallback="nearest"))
    assert isinstance(clips, Clips)


def test_frames_without_a_face_do_not_change(tmp_path, write_video) -> None:
    wall = np.full((64, 96, 3), 120, dtype=np.uint8)
    source = write_video(tmp_path / "wall.mp4", [wall] * 5)
    forge_video(source, tmp_path / "forged.mp4", seed=0)
    before, after = list(read_frames(source)), list(read_frames(tmp_path / "forged.mp4"))
    assert len(after) == 5 and np.abs(after[4].image.astype(int) - before[4].image).max() <= 2


def test_a_file_that_is_no_video_is_unreadable(tmp_path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(Unreadable):
        forge_video(tmp_path / "text.mp4", tmp_path / "forged.mp4", seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]
