from dataclasses import replace

import numpy as np
import pytest
import torch

from lipinc.batches.clip_dataset import ClipDataset, Draw
from lipinc.batches.feature_dataset import FeatureDataset
from lipinc.cache.clip_file import read_clips, write_clips
from lipinc.cache.store import Cache
from lipinc.config import AugmentConfig, LossConfig, ModelConfig, MouthConfig
from lipinc.demo.synthetic_cache import make_cache
from lipinc.experiment import run_experiment
from lipinc.models import NoiseFeatures
from tests.tiny import tiny_config

CPU = torch.device("cpu")


@pytest.fixture
def config(tmp_path):
    return replace(
        tiny_config(tmp_path),
        mouth=MouthConfig(height=32, width=48),
        model=ModelConfig("noise_features", hidden=16),
        loss=LossConfig(inconsistency=0.0),
        augment=AugmentConfig(flip=0.0),
    )


@pytest.fixture
def clips(config):
    return ClipDataset(Cache.of(config), make_cache(config, people=3))


def test_a_clip_is_its_features(clips):
    model = NoiseFeatures(height=32, width=48)
    dataset = FeatureDataset(clips, model, device=CPU)
    assert len(dataset) == len(clips)
    np.testing.assert_array_equal(dataset.labels, clips.labels)
    draws = [Draw(clip, ()) for clip in (0, 4, 17)]
    batch, expected = dataset.__getitems__(draws), clips.__getitems__(draws)
    torch.testing.assert_close(batch.features, model.extract_features(expected.frames, expected.residues))
    assert torch.equal(batch.labels, expected.labels) and torch.equal(batch.videos, expected.videos)
    assert len(batch.inputs) == 1 and batch.inputs[0] is batch.features  # no residues


def test_features_of_windows_of_several_sizes_are_of_their_own_size(config):
    cache, rows = Cache.of(config), make_cache(config, people=1)
    file = cache.clips_file(rows[0].record.key)
    clips = read_clips(file)
    sizes = np.array([[20, 30], [32, 48], [25, 19]], dtype=np.int32)
    about = write_clips(file, replace(clips, sizes=sizes), cache.settings, rows[0].record.key, size=1)
    model = NoiseFeatures(height=18, width=18, levels=3)
    dataset = FeatureDataset(ClipDataset(cache, [replace(rows[0], **about)]), model, device=CPU)
    for number, (height, width) in enumerate(sizes):
        window = np.s_[number : number + 1, :, :height, :width]
        frames, residues = torch.from_numpy(clips.frames[window]), torch.from_numpy(clips.residues[window])
        expected = model.extract_features(frames, residues)
        torch.testing.assert_close(dataset.features[number : number + 1], expected)


def test_a_bag_averages_windows_of_the_same_video(clips):
    model = NoiseFeatures(height=32, width=48)
    dataset = FeatureDataset(clips, model, device=CPU, bag=4)
    alone = dataset.features
    video = 2
    windows = alone[6:9]  # three windows a video
    batch = dataset.__getitems__([Draw(7, (0, 1, place)) for place in range(40)])
    drawn = batch.features
    # Each is a mean of four of the three windows, number 7 among them at least once.
    weights = torch.linalg.lstsq(windows.T.double(), drawn.T.double()).solution
    torch.testing.assert_close(weights.sum(dim=0), torch.ones(40, dtype=torch.double), atol=1e-3, rtol=0)
    torch.testing.assert_close(4 * weights, (4 * weights).round(), atol=1e-2, rtol=0)
    assert (weights[1] > 0.2).all() and len({tuple(w) for w in (4 * weights).round().T.int().tolist()}) > 2
    again = dataset.__getitems__([Draw(7, (0, 1, 5)), Draw(7, ())]).features
    assert torch.equal(again[0], drawn[5])
    torch.testing.assert_close(again[1], alone[7])  # without a seed, as in evaluation: one window
    assert (batch.videos == video).all()


def test_features_train_and_are_evaluated(config):
    make_cache(config, people=10)
    train = replace(config.train, epochs=4, clips_per_epoch=64, learning_rate=5e-3, bag=3)
    result = run_experiment(replace(config, train=train))
    assert result.metrics["auc"].value == 1.0  # the made-up fakes flicker


def test_by_video_gives_the_means_and_what_is_known_of_the_videos(config):
    cache, rows = Cache.of(config), make_cache(config, people=3)
    real = rows[0].record
    rows[1] = replace(rows[1], record=replace(rows[1].record, pair=real.path, generator="alpha", family="page"))
    dataset = FeatureDataset(ClipDataset(cache, rows), NoiseFeatures(height=32, width=48), device=CPU)
    found = dataset.by_video()
    means = torch.stack([part.double().mean(dim=0) for part in dataset.features.split(3)])  # three windows a video
    np.testing.assert_allclose(found.features, means.numpy(), rtol=1e-6)
    assert found.label.tolist() == [row.record.label for row in rows]
    assert found.real.tolist() == [-1, 0, -1, -1, -1, -1]
    assert set(found.condition.tolist()) == {"raw"}
    assert (found.group == found.group[1]).sum() == 1  # alone from its page
