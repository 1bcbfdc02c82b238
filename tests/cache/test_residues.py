"""Residues: stored beside the frames and read from there, or left out and computed."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save

from lipinc.batches.clip_dataset import ClipDataset, Draw
from lipinc.batches.feature_dataset import FeatureDataset
from lipinc.batches.loaders import evaluation_loader, training_loader
from lipinc.cache import workers
from lipinc.cache.clip_file import read_clips, read_window, write_clips
from lipinc.cache.contact_sheet import write_contact_sheet
from lipinc.cache.manifest import OK, ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import AugmentConfig, Config
from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.models import MouthModel
from lipinc.models.registry import build_model
from lipinc.video.mouth import residues
from tests.tiny import tiny_config

NO_AUGMENTATION = AugmentConfig(flip=0.0)


def with_residues(config: Config, stored: bool, name: str = "cache") -> Config:
    path = f"{config.cache.path}_{name}"
    return replace(config, cache=replace(config.cache, residues=stored, path=path))


@pytest.fixture(params=["wrapped", "absolute"])
def both(tmp_path, request) -> tuple[Config, Config, list[ManifestRow], list[ManifestRow]]:
    """The same clips in a cache with residues and in one without: configs and rows."""
    config = tiny_config(tmp_path)
    config = replace(config, mouth=replace(config.mouth, residue=request.param))
    full, half = with_residues(config, True, "full"), with_residues(config, False, "half")
    return full, half, make_cache(full, people=2), make_cache(half, people=2)


def test_a_cache_without_residues_has_half_the_bytes(tmp_path):
    config = tiny_config(tmp_path)
    config = replace(config, mouth=replace(config.mouth, height=64, width=144))
    sizes = [
        sum(row.clips_size for row in make_cache(with_residues(config, stored, str(stored)), people=1))
        for stored in (True, False)
    ]
    assert sizes[1] / sizes[0] == pytest.approx(8 / 15, rel=0.01)  # 8 frames and 7 residues


def test_clips_come_back_complete(both):
    full, half, rows, _ = both
    for row in rows:
        stored, computed = (read_clips(Cache.of(config).clips_file(row.record.key)) for config in (full, half))
        for name in stored.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(stored, name), getattr(computed, name), err_msg=name)
        with safe_open(Cache.of(half).clips_file(row.record.key), framework="numpy") as file:
            assert "residues" not in file.keys()  # noqa: SIM118


@pytest.mark.parametrize("augmentation", [None, NO_AUGMENTATION, AugmentConfig(flip=0.5, brightness=0.3)])
def test_batches_are_the_same_to_the_bit(both, augmentation):
    full, half, rows, half_rows = both
    caches = ((full, rows), (half, half_rows))
    stored, computed = (ClipDataset(Cache.of(config), its, augmentation) for config, its in caches)
    for loader in (training_loader, evaluation_loader):
        for one, other in zip(*(loader(data, full.train, pin=False) for data in (stored, computed)), strict=True):
            for name in ("frames", "residues", "labels", "videos"):
                assert torch.equal(getattr(one, name), getattr(other, name)), name
    for video in range(len(rows)):
        for one, other in zip(stored.read_windows(video), computed.read_windows(video), strict=True):
            assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_the_contact_sheet_is_the_same(both):
    full, half, rows, half_rows = both
    caches = ((full, rows), (half, half_rows))
    sheets = [write_contact_sheet(Cache.of(config), its, config).read_bytes() for config, its in caches]
    assert sheets[0] == sheets[1]


def tamper(config: Config, rows: list[ManifestRow]) -> list[ManifestRow]:
    """Rows of the same clips, whose stored residues are all 77: nobody computes such."""
    cache, tampered = Cache.of(config), []
    for row in rows:
        clips = read_clips(cache.clips_file(row.record.key))
        clips = replace(clips, residues=np.full_like(clips.residues, 77))
        about = write_clips(cache.clips_file(row.record.key), clips, cache.settings, row.record.key, size=1)
        tampered.append(replace(row, **about))
    return tampered


class SeesResidues(MouthModel):
    """Its feature is the mean of the residues."""

    input_kind = "features"

    def forward(self, features):
        return features

    def extract_features(self, frames, residues):
        return residues.float().mean(dim=(1, 2, 3, 4))[:, None]


def test_stored_residues_are_read_where_no_pixels_change(tmp_path):
    config = tiny_config(tmp_path)
    cache, rows = Cache.of(config), tamper(config, make_cache(config, people=1))
    for augmentation in (None, NO_AUGMENTATION):
        dataset = ClipDataset(cache, rows, augmentation)
        for loader in (evaluation_loader, training_loader):
            assert all((batch.residues == 77).all() for batch in loader(dataset, config.train, pin=False))
        assert all((residue == 77).all() for _, residue in dataset.read_windows(0))
    features = FeatureDataset(ClipDataset(cache, rows), SeesResidues(), device=torch.device("cpu")).features
    assert (features == 77).all()


def test_residues_are_computed_where_augmentation_changes_pixels(tmp_path):
    config = tiny_config(tmp_path)
    cache, rows = Cache.of(config), tamper(config, make_cache(config, people=1))
    batch = ClipDataset(cache, rows, AugmentConfig(flip=1.0)).__getitems__([Draw(0, (1,)), Draw(4, (2,))])
    np.testing.assert_array_equal(batch.residues, residues(batch.frames.numpy(), "wrapped"))


def test_extraction_leaves_residues_out_on_request(tmp_path, monkeypatch):
    config = tiny_config(tmp_path)
    video = tmp_path / "v.mp4"
    video.write_bytes(b"-")
    (row, *_) = make_cache(config, people=1)
    clips = read_clips(Cache.of(config).clips_file(row.record.key))
    monkeypatch.setattr(workers, "extract", lambda *_, **__: clips)
    sizes = {}
    for stored in (True, False):
        file = tmp_path / f"{stored}.safetensors"
        made = workers.extract_to_cache(
            row.record, video, file, config.mouth, config.sampling, Cache.of(config).settings, with_residues=stored
        )
        assert made.status == OK and made.clips_size == file.stat().st_size
        np.testing.assert_array_equal(read_clips(file).residues, clips.residues)
        sizes[stored] = made.clips_size
    assert sizes[False] < 0.6 * sizes[True]


def test_either_cache_serves_the_same_experiment(both):
    """Whether residues are stored is no setting of the clips: a run may go on with the other cache."""
    full, half, rows, half_rows = both
    Cache.of(half).check()
    assert Cache.of(full).settings == Cache.of(half).settings
    model = build_model(full).eval()
    scores = []
    for config, its in ((full, rows), (half, half_rows)):
        loader = evaluation_loader(ClipDataset(Cache.of(config), its), config.train, pin=False)
        with torch.inference_mode():
            scores.append([model(*batch.inputs) for batch in loader])
    assert all(torch.equal(one, other) for one, other in zip(*scores, strict=True))


def test_damaged_stored_residues_are_named(tmp_path):
    """Residues of another shape than the frames."""
    config = tiny_config(tmp_path)
    cache, (row, *_) = Cache.of(config), make_cache(config, people=1)
    file = cache.clips_file(row.record.key)
    with safe_open(file, framework="numpy") as stored:
        arrays, about = {name: stored.get_tensor(name) for name in stored.keys()}, stored.metadata()  # noqa: SIM118
    assert json.loads(about["lipinc"])["summary"]["windows"] == 3
    file.write_bytes(save({**arrays, "residues": arrays["residues"][:, :-1]}, about))
    frames, residue = np.empty((8, 16, 24, 3), np.uint8), np.empty((7, 16, 24, 3), np.uint8)
    with pytest.raises(UserError, match="is damaged or missing"):
        read_window(file, 0, frames, residue)
