import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from lipinc.cache.clip_file import CLIP_ARRAYS, read_clips, write_clips
from lipinc.cache.manifest import Journal, ManifestRow, read_manifest, write_manifest
from lipinc.cache.store import Cache
from lipinc.datasets import FakeAVCeleb
from lipinc.datasets.records import Label, VideoRecord
from lipinc.demo.synthetic_cache import make_cache, make_clips
from lipinc.errors import UserError
from tests.tiny import tiny_config


@pytest.fixture
def config(tmp_path):
    return tiny_config(tmp_path)


def row(key: str, **fields) -> ManifestRow:
    record = VideoRecord(key, Label.FAKE, "id1", targets=("id2", "id3"), generator="wav2lip", race="Asian (East)")
    return ManifestRow(record, **{"status": "ok", "windows": 12, "nearest_windows": 10, **fields})


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


def test_manifest_round_trip_of_awkward_texts(tmp_path):
    rows = [row('a, "b".mp4', detail='x "y", z'), row("ü/日本.mp4", status="no_face", detail="", windows=0)]
    write_manifest(tmp_path / "m.csv", rows)
    assert read_manifest(tmp_path / "m.csv") == rows


def test_a_journal_cut_off_in_the_middle_of_a_row_loses_that_row_alone(tmp_path):
    file = tmp_path / "journal.csv"
    journal = Journal(file)
    for key in ("one", "two", "three"):
        journal.add(row(key))
    journal.close()
    whole = file.read_bytes()
    file.write_bytes(whole[:-2])  # "...,12,10\n" -> "...,12,1": still a row to a careless reader
    assert [r.record.key for r in read_manifest(file)] == ["one", "two"]
    journal = Journal(file)
    journal.add(row("four"))
    journal.close()
    assert [r.record.key for r in read_manifest(file)] == ["one", "two", "four"]


def test_a_cache_of_other_settings_is_refused_by_name(config):
    make_cache(config, people=1)
    other = replace(config, mouth=replace(config.mouth, residue="absolute", eye=(0.35, 0.4)))
    with pytest.raises(UserError, match=r"mouth.eye is \[0.4, 0.4\] there and \[0.35, 0.4\] here; mouth.residue is"):
        Cache.of(other).prepare()
    with pytest.raises(UserError, match="sampling.windows"):
        Cache.of(replace(config, sampling=replace(config.sampling, windows=9))).check()


def test_a_cache_from_before_a_setting_was_there_has_its_default(config):
    make_cache(config, people=1)
    cache = Cache.of(config)
    settings = json.loads(cache.settings_file.read_text())
    del settings["mouth"]["cut"]
    cache.settings_file.write_text(json.dumps(settings))
    cache.check()
    native = replace(config, mouth=replace(config.mouth, cut="native"))
    with pytest.raises(UserError, match="mouth.cut is 'aligned' there and 'native' here"):
        Cache.of(native).check()


def test_clips_from_before_there_were_sizes_fill_their_arrays(tmp_path, config):
    clips, file = make_clips(np.random.default_rng(0), fake=True, config=config), tmp_path / "a.safetensors"
    write_clips(file, clips, {"format": 1}, "a.mp4", 5)
    with safe_open(file, framework="numpy") as stored:
        arrays, about = {name: stored.get_tensor(name) for name in CLIP_ARRAYS if name != "sizes"}, stored.metadata()
    file.write_bytes(save(arrays, about))
    np.testing.assert_array_equal(read_clips(file).sizes, clips.sizes)


def test_a_folder_that_is_no_cache_is_not_written_to(config, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="neither empty nor a cache"):
        Cache.of(config).prepare()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["thesis.txt"]


def test_no_cache_yet(config):
    with pytest.raises(UserError, match="preprocess_extract_lips.py"):
        Cache.of(config).check()


def test_settings_name_every_field_of_extraction(config):
    make_cache(config, people=1)
    saved = json.loads((Cache.of(config).path / "settings.json").read_text())
    assert saved["mouth"].keys() == {field.name for field in dataclasses.fields(config.mouth)}
    assert saved["sampling"].keys() == {field.name for field in dataclasses.fields(config.sampling)}
    assert saved["versions"].keys() == {"mediapipe", "opencv-python", "numpy"}


def test_a_manifest_of_other_labels_is_refused(config):
    make_cache(config, people=1)
    Cache.of(config).check_catalogue(replace(config.data, root="elsewhere"))
    with pytest.raises(UserError, match="data.fake_methods"):
        Cache.of(config).check_catalogue(FakeAVCeleb(fake_methods=("wav2lip", "fsgan")))
