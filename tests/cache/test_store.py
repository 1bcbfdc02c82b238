"""The cache folder: its settings, and what it refuses."""

import dataclasses
import json
from dataclasses import replace

import pytest

from lipinc.cache.store import Cache
from lipinc.datasets import FakeAVCeleb
from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from tests.tiny import tiny_config


@pytest.fixture
def config(tmp_path):
    return tiny_config(tmp_path)


def test_a_cache_of_other_settings_is_refused_by_name(config):
    make_cache(config, people=1)
    other = replace(config, mouth=replace(config.mouth, residue="absolute", eye=(0.35, 0.4)))
    with pytest.raises(
        UserError, match=r"mouth.eye is \[0.4, 0.4\] in the cache and \[0.35, 0.4\] in the config; mouth.residue is"
    ):
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
    with pytest.raises(UserError, match="mouth.cut is 'aligned' in the cache and 'native' in the config"):
        Cache.of(native).check()


def test_native_mouths_are_fitted_to_another_size_without_a_new_cache(config):
    native = replace(config, mouth=replace(config.mouth, cut="native"))
    make_cache(native, people=1)
    Cache.of(replace(native, mouth=replace(native.mouth, height=32, width=40))).check()
    with pytest.raises(UserError, match="mouth.margin"):
        Cache.of(replace(native, mouth=replace(native.mouth, height=32, margin=0.3))).check()


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
    assert saved["versions"].keys() == {"ai-edge-litert", "opencv-python", "av", "numpy"}


def test_versions_are_those_of_the_libraries_that_were_used(config):
    cache = Cache.of(replace(config, mouth=replace(config.mouth, landmarks="dlib", repeats="keep")))
    with cache.locked():
        assert cache.versions().keys() == {"dlib-bin", "face_recognition_models", "opencv-python", "av", "numpy"}


def test_a_manifest_of_other_labels_is_refused(config):
    make_cache(config, people=1)
    Cache.of(config).check_catalogue(replace(config.data, root="elsewhere"))
    with pytest.raises(UserError, match="data.fake_methods"):
        Cache.of(config).check_catalogue(FakeAVCeleb(fake_methods=("wav2lip", "fsgan")))
