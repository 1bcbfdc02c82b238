"""Videos forged in part: their windows have labels of their own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lipinc.batches.clip_dataset import MIXED, ClipDataset, Draw, label_windows
from lipinc.batches.feature_dataset import FeatureDataset
from lipinc.batches.loaders import TrainingSampler, training_loader
from lipinc.cache.clip_file import read_clips, write_clips
from lipinc.cache.manifest import ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import AugmentConfig, EvaluateConfig, LossConfig, ModelConfig, MouthConfig
from lipinc.datasets.records import Label, VideoRecord, format_periods, parse_periods
from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.evaluation.results import WINDOWS, evaluate_predictions
from lipinc.evaluation.scoring import ClipScores, predict, score_clips
from lipinc.experiment import run_experiment
from lipinc.models import NoiseFeatures
from lipinc.models.calibration import Calibration
from tests.tiny import tiny_config

CPU = torch.device("cpu")
PARTLY = VideoRecord("f.mp4", Label.FAKE, "ann", fake_periods="2.000-3.000 7.000-7.500")


def test_a_window_is_fake_where_its_local_frames_are_forged():
    """Five local frames, and two global ones from elsewhere."""
    local = np.array([1.0, 1.9, 2.4, 4.0, 7.4, 8.0])[:, None] + np.arange(5) / 25
    times = np.concatenate([local, np.full((6, 2), 5.0)], axis=1)
    assert label_windows(PARTLY, times, 5).tolist() == [0, 1, 1, 0, 1, 0]
    times[:3, 6] = 2.5  # a forged global frame
    assert label_windows(PARTLY, times, 5).tolist() == [MIXED, 1, 1, 0, 1, 0]


def test_periods_come_back_and_malformed_ones_are_refused():
    assert parse_periods(format_periods([(0, 0.5), (7.1234, 12345.6789)])) == ((0.0, 0.5), (7.123, 12345.679))
    assert parse_periods("") == ()
    for text in ("3-2", "1", "a-b", "-1-2", "1-2,3-4", "1e3-2e3", "nan-nan"):
        with pytest.raises(ValueError, match="is not a period in s"):
            parse_periods(text)


@pytest.fixture
def config(tmp_path):
    return replace(
        tiny_config(tmp_path),
        mouth=MouthConfig(height=32, width=48),
        model=ModelConfig("noise_features", hidden=16),
        loss=LossConfig(inconsistency=0.0),
        augment=AugmentConfig(flip=0.0),
    )


def partly_forged(config, people: int = 3, mixed: bool = False):
    """The rows of a cache whose fakes are forged from 10 s on; only their last window of three lies there.

    mixed: the last global frame of their second window lies there, too.
    """
    cache, rows = Cache.of(config), make_cache(config, people=people)
    for position, row in enumerate(rows):
        file = cache.clips_file(row.record.key)
        clips = read_clips(file)
        times = np.repeat([[0.0], [5.0], [10.0]], clips.times.shape[1], axis=1)
        times[1, -1] = 10.5 if mixed else 5.0
        about = write_clips(file, replace(clips, times=times), cache.settings, row.record.key, size=1)
        fake = row.record.label is Label.FAKE
        record = replace(row.record, fake_periods="10.000-11.000" if fake else "")
        rows[position] = replace(row, record=record, **about)
    cache.finish(rows, config.data)
    return rows


def test_windows_are_drawn_and_trained_by_their_own_labels(config):
    rows = partly_forged(config)
    clips = ClipDataset(Cache.of(config), rows)
    assert clips.labels.tolist() == [0, 0, 0, 0, 0, 1] * 3  # real, then fake
    batch = clips.__getitems__([Draw(3, ()), Draw(5, ())])
    assert batch.labels.tolist() == [0, 1] and batch.videos.tolist() == [1, 1]
    drawn = [draw.clip for draw in TrainingSampler(clips.groups, clips=30, balanced=True, seed=0)]
    assert sum(clip % 6 == 5 for clip in drawn) == 15  # half of them, though a sixth of the windows


@pytest.mark.parametrize("balanced", [True, False])
def test_mixed_windows_are_neither_drawn_nor_counted_in_the_loss(config, balanced):
    rows = partly_forged(config, mixed=True)
    clips = ClipDataset(Cache.of(config), rows)
    assert clips.labels.tolist() == [0, 0, 0, 0, MIXED, 1] * 3
    loader = training_loader(clips, replace(config.train, balanced=balanced), pin=False)
    assert loader.batch_sampler.sampler.clips == 15
    assert all(draw.clip % 6 != 4 for draw in loader.batch_sampler.sampler)
    features = FeatureDataset(clips, NoiseFeatures(height=32, width=48), device=CPU, bag=3)
    alone = features.__getitems__([Draw(3, (0, 1, 2)), Draw(5, (0, 1, 2))]).features
    torch.testing.assert_close(alone, features.features[[3, 5]])  # no other window of their label
    np.testing.assert_allclose(features.by_video().features[1], features.features[5].double().numpy(), rtol=1e-6)
    model = NoiseFeatures(height=32, width=48)
    _, loss = predict(model, features, config.train, CPU, description="")
    scores = score_clips(model, features, config.train, CPU, description="")
    expected = np.logaddexp(0, np.where(scores.label == 1, -scores.score, scores.score))[scores.label != MIXED].mean()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_a_bag_averages_windows_of_one_label(config):
    clips = ClipDataset(Cache.of(config), partly_forged(config))
    dataset = FeatureDataset(clips, NoiseFeatures(height=32, width=48), device=CPU, bag=4)
    fake, real = dataset.__getitems__([Draw(5, (0, 1, 2)), Draw(3, (0, 1, 2))]).features
    torch.testing.assert_close(fake, dataset.features[5])  # the only forged window of its video
    one, other = dataset.features[3:5]  # its two real windows
    mixtures = [share / 4 * one + (1 - share / 4) * other for share in range(1, 5)]
    assert any(torch.allclose(real, mixture, atol=1e-5) for mixture in mixtures)


def test_a_closed_form_is_fitted_to_the_forged_windows_of_a_fake(config):
    rows = partly_forged(config)
    real = rows[4].record  # after a video that is left out
    rows[5] = replace(rows[5], record=replace(rows[5].record, pair=real.path))
    rows[1] = replace(rows[1], record=replace(rows[1].record, fake_periods="90.000-91.000"))  # no window lies there
    dataset = FeatureDataset(ClipDataset(Cache.of(config), rows), NoiseFeatures(height=32, width=48), device=CPU)
    found = dataset.by_video()
    assert found.label.tolist() == [0, 0, 1, 0, 1] and found.real.tolist() == [-1, -1, -1, -1, 3]
    features = dataset.features.double().numpy()
    np.testing.assert_allclose(found.features[4], features[17], rtol=1e-6)
    np.testing.assert_allclose(found.features[3], features[12:15].mean(axis=0), rtol=1e-6)


def test_a_damaged_clip_file_is_named(config):
    rows = partly_forged(config)
    file = Cache.of(config).clips_file(rows[1].record.key)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match=f"{file} is damaged or missing"):
        ClipDataset(Cache.of(config), rows)


def test_windows_are_scored_with_their_own_labels_and_videos_as_fake():
    rows = [_row("r.mp4", Label.REAL), _row("f.mp4", Label.FAKE, fake_periods="2.000-3.000", pair="r.mp4")]
    labels = np.array([0, 0, 0, 1, MIXED])
    scores = ClipScores(np.array([0, 0, 1, 1, 1]), np.array([0.0, 1.0, 0.5, 3.0, -0.5]), labels, np.zeros(5))
    videos, windows = scores.by_video(rows), scores.by_window(rows)
    assert videos.label.tolist() == [0, 1] and videos.score.tolist() == [0.5, 1.0]
    assert windows.label.tolist() == [0, 0, 0, 1] and windows.score.tolist() == [0.0, 1.0, 0.5, 3.0]
    result = evaluate_predictions(windows, Calibration(), EvaluateConfig(bootstrap=10))
    assert result.metrics["auc"].value == 1.0 and "within_pairs" not in result.metrics


def _row(key: str, label: Label, **columns) -> ManifestRow:
    return ManifestRow(VideoRecord(key, label, "ann", **columns), "ok", windows=2)


def test_partly_forged_videos_train_and_are_evaluated_by_video_and_by_window(config):
    partly_forged(config, people=10)
    train = replace(config.train, epochs=1, clips_per_epoch=16, learning_rate=5e-3)
    result = run_experiment(replace(config, train=train))
    (row,) = result.break_downs[WINDOWS]
    fakes = int((result.predictions.label == 1).sum())
    assert (row["group"], row["fake"], row["real"]) == ("raw", fakes, 5 * fakes)
