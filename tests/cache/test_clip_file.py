"""Clip files: what was written comes back, and damage is named."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from lipinc.cache.clip_file import CLIP_ARRAYS, read_clips, read_summary, write_clips
from lipinc.cache.manifest import QUALITY_COLUMNS
from lipinc.cache.store import Cache
from lipinc.demo.synthetic_cache import make_clips
from lipinc.errors import UserError
from lipinc.video.quality import Quality
from tests.tiny import tiny_config


@pytest.fixture
def config(tmp_path):
    return tiny_config(tmp_path)


def test_clips_come_back_as_they_were_written(tmp_path, config):
    clips = make_clips(np.random.default_rng(0), fake=True, config=config)
    write_clips(tmp_path / "deep" / "er" / "a b.mp4.safetensors", clips, {"format": 1}, "a b.mp4", 5)
    back = read_clips(tmp_path / "deep" / "er" / "a b.mp4.safetensors")
    for name in CLIP_ARRAYS:
        assert getattr(back, name).dtype == getattr(clips, name).dtype
        np.testing.assert_array_equal(getattr(back, name), getattr(clips, name))
    assert (back.video_frames, back.face_frames) == (100, 100)


def test_the_same_clips_give_the_same_bytes(tmp_path, config):
    for name in "ab":
        clips = make_clips(np.random.default_rng(0), fake=True, config=config)
        write_clips(tmp_path / name, clips, Cache.of(config).settings, "key.mp4", 5)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_cache_is_about_as_large_as_its_pixels(tmp_path):
    config = tiny_config(tmp_path)
    config = replace(config, mouth=replace(config.mouth, height=64, width=144))
    write_clips(tmp_path / "c", make_clips(np.random.default_rng(0), fake=True, config=config), {}, "key", 5)
    assert (tmp_path / "c").stat().st_size < 1.01 * 3 * (8 + 7) * 64 * 144 * 3


def test_the_summary_has_the_quality_of_the_largest_face_with_clips(tmp_path, config):
    clips = make_clips(np.random.default_rng(0), fake=True, config=config)
    large = Quality(123.456, -4.5, 0.00001234567, float("nan"), 25.0, float("nan"), 0.0)
    quality = np.stack([replace(large, face_height=50.0).to_array(), large.to_array(), large.to_array()])
    clips = replace(clips, faces=np.int32([2, 1, 1]), quality=quality)
    summary = write_clips(tmp_path / "a", clips, {}, "a.mp4", 5)
    assert [summary[name] for name in QUALITY_COLUMNS] == [123.5, -4.5, 1.235e-05, None, 25.0, None]
    assert read_summary(tmp_path / "a") == summary
    np.testing.assert_array_equal(read_clips(tmp_path / "a").quality, quality)


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\xff" * 100])
def test_a_damaged_clip_file_is_named(tmp_path, content):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(UserError, match="bad is damaged"):
        read_clips(tmp_path / "bad")


def test_a_truncated_clip_file_is_named(tmp_path, config):
    write_clips(tmp_path / "cut", make_clips(np.random.default_rng(0), fake=True, config=config), {}, "key", 5)
    (tmp_path / "cut").write_bytes((tmp_path / "cut").read_bytes()[:-1])
    with pytest.raises(UserError, match="cut is damaged"):
        read_clips(tmp_path / "cut")


def test_clips_from_before_there_were_sizes_fill_their_arrays(tmp_path, config):
    clips, file = make_clips(np.random.default_rng(0), fake=True, config=config), tmp_path / "a.safetensors"
    write_clips(file, clips, {"format": 1}, "a.mp4", 5)
    with safe_open(file, framework="numpy") as stored:
        arrays, about = {name: stored.get_tensor(name) for name in CLIP_ARRAYS if name != "sizes"}, stored.metadata()
    file.write_bytes(save(arrays, about))
    np.testing.assert_array_equal(read_clips(file).sizes, clips.sizes)
