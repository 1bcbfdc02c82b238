"""lipinc features: what other people's classifiers get, and docs/features.md run on it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from lipinc.cache.clip_file import read_clips, write_clips
from lipinc.cache.manifest import OK, ManifestRow
from lipinc.cache.store import Cache
from lipinc.commands import features as command
from lipinc.config import AugmentConfig, Config, LossConfig, ModelConfig
from lipinc.config.loading import PACKAGE
from lipinc.datasets.records import Label, VideoRecord
from lipinc.demo.synthetic_cache import make_cache, make_clips
from lipinc.detection import features
from lipinc.detection.batch import Settings
from lipinc.detection.detector import Detector
from lipinc.errors import UserError
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import save_checkpoint
from lipinc.models.registry import MouthModel, build_model, check_shapes
from tests.tiny import tiny_config

PAGE = (PACKAGE.parent / "docs" / "features.md").read_text()
REFUSED = "real/person 1/video.mp4"


def save_model(file: Path, config: Config) -> Path:
    torch.manual_seed(0)
    save_checkpoint(file, build_model(config), config, epoch=1, calibration=Calibration(), trained_on=())
    return file


@pytest.fixture
def tiny(tmp_path) -> Config:
    """A cache of six videos, of which one was rejected, and checkpoint.safetensors for it."""
    config = tiny_config(tmp_path)
    make_cache(config, people=3, rejected=(REFUSED,))
    save_model(tmp_path / "checkpoint.safetensors", config)
    return config


def run(folder: Path, *words: str) -> int:
    checkpoint = ("--checkpoint", str(folder / "checkpoint.safetensors"))
    return command.main([*words, "--out", str(folder / "features.safetensors"), *checkpoint], "lipinc features")


def read(folder: Path) -> tuple[dict, dict[str, np.ndarray]]:
    with safe_open(folder / "features.safetensors", framework="numpy") as file:
        return json.loads(file.metadata()["lipinc"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test_the_features_of_a_cache_are_the_inputs_of_the_last_layer(tiny, tmp_path, capsys):
    assert run(tmp_path, tiny.cache.path) == 0
    about, arrays = read(tmp_path)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"no features  {REFUSED}  no_face: 0 faces in 100 frames"
    assert shown[1].endswith("features.safetensors: 15 windows of 5 videos, 64 features each; 1 refused")
    model = Detector(tmp_path / "checkpoint.safetensors").checkpoint.model
    with torch.inference_mode():
        logits = model.classifier()(torch.from_numpy(arrays["features"])).numpy()
    np.testing.assert_allclose(arrays["score"], logits[:, 1] - logits[:, 0], rtol=1e-5, atol=1e-6)
    for number, video in enumerate(about["videos"]):
        clips = read_clips(Cache.of(tiny).clips_file(video["key"]))
        own = arrays["video"] == number
        expected = model.score_clips(torch.from_numpy(clips.frames), torch.from_numpy(clips.residues)).detach().numpy()
        np.testing.assert_allclose(arrays["score"][own], expected[:, 1] - expected[:, 0], rtol=1e-5, atol=1e-6)
        assert arrays["start"][own].tolist() == clips.times[:, 0].tolist()
        assert arrays["end"][own].tolist() == clips.times[:, 4].tolist()
    assert about["videos"][0] | {"label": "real", "identity": "id00", "gender": "m"} == about["videos"][0]
    assert about["videos"][1]["generator"] == "alpha"
    assert [video["key"] for video in about["refused"]] == [REFUSED] and about["feature_names"] is None
    assert about["settings"]["mouth"]["height"] == 16 and about["model"] == "lipinc"


def test_a_damaged_clip_file_costs_its_video_alone(tiny, tmp_path, capsys):
    file = Cache.of(tiny).clips_file("fake/person 2/video.mp4")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert run(tmp_path, tiny.cache.path) == 1
    about, arrays = read(tmp_path)
    assert {video["key"]: video["reason"] for video in about["refused"]} == {
        REFUSED: "no_face",
        "fake/person 2/video.mp4": "damaged",
    }
    assert len(about["videos"]) == 4 and arrays["video"].max() == 3
    assert "damaged: " in capsys.readouterr().out


def test_mouths_of_varying_size_are_measured_at_their_own_size(tmp_path):
    config = tiny_config(tmp_path, model=ModelConfig("noise_discriminant", levels=1), loss=LossConfig(inconsistency=0))
    mouth, train = replace(config.mouth, cut="native", height=32, width=48), replace(config.train, epochs=1)
    config = replace(config, mouth=mouth, train=train, augment=AugmentConfig(flip=0.0))
    cache, record = Cache.of(config), VideoRecord("a.mp4", Label.REAL, identity="ann")
    cache.prepare()
    clips = make_clips(np.random.default_rng(0), fake=False, config=config)
    sizes = np.array([[32, 48], [20, 40], [32, 30]], dtype=np.int32)
    about = write_clips(cache.clips_file(record.key), replace(clips, sizes=sizes), cache.settings, record.key, size=1)
    cache.finish([ManifestRow(record, OK, **about)], config.data)
    save_model(tmp_path / "checkpoint.safetensors", config)
    assert run(tmp_path, config.cache.path) == 0
    about, arrays = read(tmp_path)
    measures = Detector(tmp_path / "checkpoint.safetensors").checkpoint.model.measures
    assert about["feature_names"] == measures.names()
    expected = [measures(torch.from_numpy(clips.frames[k, :, :h, :w])[None])[0] for k, (h, w) in enumerate(sizes)]
    np.testing.assert_allclose(arrays["features"], torch.stack(expected).numpy(), rtol=1e-6)


def test_the_features_of_a_video_belong_to_the_windows_of_its_verdict(talk, checkpoint):
    settings = Settings(str(checkpoint))
    verdict = Detector(checkpoint)(talk)
    found = features._embed_video(settings, talk)
    assert found.about == {"key": str(talk), "sha256": verdict.sha256}
    (face,) = verdict.faces
    assert face.embeddings is None
    assert found.start.tolist() == [window.start for window in face.windows]
    assert found.end.tolist() == [window.end for window in face.windows]
    probability = Detector(checkpoint).checkpoint.calibration.probability(found.embeddings.scores)
    np.testing.assert_allclose(probability, [window.probability for window in face.windows], rtol=1e-5)
    assert found.embeddings.features.shape == (len(face.windows), 16) and found.face.tolist() == [0] * len(found)


@pytest.mark.slow
def test_videos_keep_their_order_and_those_without_features_are_listed(tmp_path, talk, checkpoint, capsys):
    (tmp_path / "checkpoint.safetensors").write_bytes(checkpoint.read_bytes())
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "z.mp4").write_bytes(talk.read_bytes())
    assert run(tmp_path, str(talk), str(tmp_path), "--workers", "1") == 1
    about, arrays = read(tmp_path)
    assert [video["key"] for video in about["videos"]] == [str(talk), str(tmp_path / "z.mp4")]
    first, second = (arrays["features"][arrays["video"] == number] for number in (0, 1))
    np.testing.assert_array_equal(first, second)
    assert "text.mp4  unreadable: " in capsys.readouterr().out.splitlines()[0]
    (tmp_path / "features.safetensors").unlink()
    with pytest.raises(UserError, match="no video has features, so .* is not written"):
        run(tmp_path, str(tmp_path / "text.mp4"))
    assert not (tmp_path / "features.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name at least one video"),
        (["CACHE", "VIDEO"], "cache is a cache: give it alone"),
        (["CACHE", "--face", "largest"], "leave out --face and --workers"),
        (["CACHE", "--workers", "2"], "leave out --face and --workers"),
        (
            ["CACHE", "--checkpoint", "mouth_noise"],
            "trained on clips with .*mouth.cut 'native', the cache has 'aligned'",
        ),
        (["CACHE", "--out", "x.npz"], "x.npz cannot be written: give a name that ends with .safetensors"),
        (["CACHE", "--out", "nowhere/x.safetensors"], "there is no folder nowhere"),
        (["FOLDER"], "contains no videos"),
    ],
)
def test_bad_input_is_one_clear_message(tiny, tmp_path, words, message):
    names = {"CACHE": tiny.cache.path, "VIDEO": "a.mp4", "FOLDER": str(tmp_path / "outputs")}
    (tmp_path / "outputs").mkdir()
    given = ["--checkpoint", str(tmp_path / "checkpoint.safetensors"), "--out", str(tmp_path / "f.safetensors")]
    with pytest.raises(UserError, match=message):
        command.main([*given, *(names.get(word, word) for word in words)], "lipinc features")
    assert not list(tmp_path.glob("f.safetensors"))


def test_only_a_feature_file_is_replaced(tiny, tmp_path):
    assert run(tmp_path, tiny.cache.path) == 0
    assert run(tmp_path, tiny.cache.path) == 0
    checkpoint = (tmp_path / "checkpoint.safetensors").read_bytes()
    clips = Cache.of(tiny).clips_file("fake/person 2/video.mp4")
    save_file({"x": np.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_text("mine")
    for name in ("checkpoint.safetensors", "other.safetensors", "broken.safetensors", clips):
        with pytest.raises(UserError, match="exists and is no feature file, so it is not replaced"):
            features.check_target(tmp_path / name)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == checkpoint


def test_an_unfinished_cache_is_said(tiny, tmp_path):
    Cache.of(tiny).manifest_file.unlink()
    with pytest.raises(UserError, match="no manifest"):
        run(tmp_path, tiny.cache.path)


class Plugged(MouthModel):
    """A model without a `classifier`."""

    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(3, 2)

    def forward(self, frames: torch.Tensor, residues: torch.Tensor) -> torch.Tensor:
        return self.last(frames.float().mean(dim=(1, 2, 3)))


def test_a_plug_in_has_embeddings_if_it_names_its_last_layer(monkeypatch):
    frames = torch.randint(0, 255, (2, 8, 16, 24, 3), dtype=torch.uint8)
    config = Config(loss=LossConfig(inconsistency=0.0))
    assert not Plugged().has_embedding
    monkeypatch.setattr(Plugged, "classifier", lambda self: self.last)
    model = Plugged()
    embeddings, logits = model.embed_clips(frames, frames[:, 1:])
    torch.testing.assert_close(embeddings, frames.float().mean(dim=(1, 2, 3)))
    torch.testing.assert_close(logits, model(frames, frames[:, 1:]))
    check_shapes(model, config)
    monkeypatch.setattr(Plugged, "classifier", lambda self: torch.nn.Linear(3, 2))
    with pytest.raises(UserError, match=r"forward does not call the layer that classifier\(\) returns"):
        check_shapes(model, config)


def test_a_model_without_embeddings_is_refused_before_the_work(checkpoint, talk, monkeypatch):
    detector = Detector(checkpoint)
    monkeypatch.setattr(type(detector.checkpoint.model), "classifier", lambda self: None)
    with pytest.raises(UserError, match=r"the model lipinc_v2 has no embeddings; define classifier\(self\)"):
        detector(talk, embed=True)


def test_the_page_loads_features_into_scikit_learn(tiny, tmp_path, monkeypatch, capsys):
    assert run(tmp_path, tiny.cache.path) == 0
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], {})
    assert re.fullmatch(r"AUC [\d.]+\n", capsys.readouterr().out)
