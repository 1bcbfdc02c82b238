"""NoiseDiscriminant: the classifier is the closed-form solution, within pairs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.covariance import shrunk_covariance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from lipinc.config import AugmentConfig, Config, LossConfig, ModelConfig, TrainConfig
from lipinc.errors import UserError
from lipinc.models import NoiseDiscriminant, build_model
from lipinc.models.discriminant import VideoFeatures, fit_contrast, fit_discriminant


def videos(count: int = 400, *, pairs: bool = True, seed: int = 0) -> VideoFeatures:
    """Real videos and a fake of each: a forgery adds 1 to feature 0; pages of fakes have 3 more of feature 1."""
    rng = np.random.default_rng(seed)
    reals = rng.normal(size=(count, 5))
    fakes = reals + rng.normal(scale=0.3, size=reals.shape) + np.eye(5)[0]
    elsewhere = rng.normal(size=(count, 5)) + 3 * np.eye(5)[1]  # fakes of unknown videos, from another page
    elsewhere += np.eye(5)[0]
    features = np.concatenate([reals, fakes if pairs else elsewhere])
    return VideoFeatures(
        features=features,
        label=np.repeat([0, 1], count),
        real=np.concatenate([np.full(count, -1), np.arange(count) if pairs else np.full(count, -1)]),
        condition=np.full(2 * count, "raw"),
        group=np.zeros(2 * count, dtype=int),
        within=np.eye(5),
    )


def test_without_pairs_it_is_fishers_discriminant():
    data, shrinkage = videos(pairs=False), 1e-6
    found = fit_discriminant(data, shrinkage)
    reference = LinearDiscriminantAnalysis(solver="lsqr", priors=[0.5, 0.5]).fit(data.features, data.label)
    np.testing.assert_allclose(found.weight, reference.coef_[0], rtol=1e-4, atol=1e-4)
    assert found.bias == pytest.approx(reference.intercept_[0], rel=1e-4)


def test_shrinkage_is_the_usual_one():
    data = videos(60, pairs=False)
    weak = fit_discriminant(data, 0.5).weight
    within = np.concatenate([data.features[data.label == one] for one in (0, 1)])
    within -= np.repeat([within[:60].mean(axis=0), within[60:].mean(axis=0)], 60, axis=0)
    covariance = within.T @ within / len(within)
    # shrunk_covariance gives (1 - s) S + s mu I; S + lambda mu I is the same up to the factor 1 / (1 - s).
    shrunk = shrunk_covariance(covariance, shrinkage=1 / 3) * 1.5
    difference = data.features[60:].mean(axis=0) - data.features[:60].mean(axis=0)
    np.testing.assert_allclose(weak, np.linalg.solve(shrunk, difference), rtol=1e-9)


def test_within_pairs_it_ignores_what_gives_the_source_away():
    """Fakes come from another page than most reals; only a few have their real video in the data."""
    paired, elsewhere = videos(200), videos(400, pairs=False, seed=1)
    ignorant = fit_discriminant(elsewhere, 0.1).weight
    aware = fit_discriminant(paired, 0.1).weight
    assert abs(ignorant[1] / ignorant[0]) > 2
    assert abs(aware[1] / aware[0]) < 0.15
    new = videos(300, seed=2)
    assert roc_auc_score(new.label, new.features @ aware) > roc_auc_score(new.label, new.features @ ignorant)


def test_a_group_counts_with_the_root_of_its_size():
    rng = np.random.default_rng(0)
    reals = rng.normal(size=(100, 2))
    fakes = np.concatenate([reals[:64] + [1, 0], reals[64:] + [0, 1]])
    data = VideoFeatures(
        features=np.concatenate([reals, fakes]),
        label=np.repeat([0, 1], 100),
        real=np.concatenate([np.full(100, -1), np.arange(100)]),
        condition=np.full(200, "raw"),
        group=np.repeat([0, 1, 2], [100, 64, 36]),
        within=np.eye(2),
    )
    weight = fit_discriminant(data, 1e6).weight  # the covariance is a multiple of 1: the direction is the difference
    assert weight[0] / weight[1] == pytest.approx(8 / 6, rel=1e-3)


def test_a_fake_without_its_real_is_compared_with_the_reals_of_its_condition():
    data = videos(50, pairs=False)
    shifted = replace(data, features=data.features + 7, condition=np.full(100, "half"))
    names = ("features", "label", "real", "condition", "group")
    both = VideoFeatures(
        **{name: np.concatenate([getattr(one, name) for one in (data, shifted)]) for name in names}, within=np.eye(5)
    )
    weight = fit_discriminant(both, 1e6).weight
    difference = data.features[50:].mean(axis=0) - data.features[:50].mean(axis=0)
    np.testing.assert_allclose(weight / np.linalg.norm(weight), difference / np.linalg.norm(difference), atol=1e-3)


def correlated(count: int, seed: int) -> VideoFeatures:
    """60 features in groups that hardly differ from each other; a forgery raises every third one."""
    rng = np.random.default_rng(seed)
    reals = rng.normal(size=(count, 60)) * 0.3 + np.repeat(rng.normal(size=(count, 6)), 10, axis=1)
    features = np.concatenate([reals, reals + 0.15 * rng.normal(size=reals.shape) + 0.15 * (np.arange(60) % 3 == 0)])
    real = np.concatenate([np.full(count, -1), np.arange(count)])
    label, group = np.repeat([0, 1], count), np.zeros(2 * count, dtype=int)
    return VideoFeatures(features, label, real, np.full(2 * count, "raw"), group, np.cov(reals.T))


def test_subsets_of_the_features_carry_over_to_new_videos():
    """With few videos, the covariance of many features has directions that are small by chance."""
    few, new = correlated(40, 0), correlated(500, 1)
    one, subsets = (fit_discriminant(few, 0.001, share) for share in (1.0, 0.3))
    by_one, by_subsets = (roc_auc_score(new.label, new.features @ found.weight) for found in (one, subsets))
    assert by_subsets > by_one + 0.02
    again = fit_discriminant(few, 0.001, 0.3)
    np.testing.assert_array_equal(again.weight, subsets.weight)


def test_subsets_keep_the_scale_of_a_discriminant():
    """The squared distance of the classes is their distance along the direction."""
    data = videos(4000)
    one, subsets = (fit_discriminant(data, 1e-9, share) for share in (1.0, 0.4))
    spread = [data.features @ found.weight for found in (one, subsets)]
    assert spread[1].std() == pytest.approx(spread[0].std(), rel=0.15)
    assert subsets.weight[0] > 5 * np.abs(subsets.weight[1:]).max()


def test_windows_are_compared_by_what_does_not_scatter_within_a_video():
    """Feature 0 shows a forgery but scatters from window to window; feature 1 does not, but moves between videos."""
    rng = np.random.default_rng(0)
    level = np.stack([rng.normal(size=300), rng.normal(scale=10, size=300)], axis=1)
    data = VideoFeatures(
        features=np.concatenate([level, level + 1]),
        label=np.repeat([0, 1], 300),
        real=np.concatenate([np.full(300, -1), np.arange(300)]),
        condition=np.full(600, "raw"),
        group=np.zeros(600, dtype=int),
        within=np.diag([4.0, 0.25]),
    )
    whole, contrast = fit_discriminant(data, 1e-6).weight, fit_contrast(data, 1e-6)
    assert whole[0] / whole[1] > 50
    np.testing.assert_allclose(contrast[1] / contrast[0], 16, rtol=1e-3)
    assert contrast @ data.within @ contrast == pytest.approx(1)
    assert not fit_contrast(replace(data, within=np.zeros((2, 2))), 0.1).any()  # one window a video says nothing


def test_the_contrast_of_the_model_scatters_by_one_within_a_video():
    model = NoiseDiscriminant(height=18, width=18)
    size = len(model.measures.names())
    rng = np.random.default_rng(1)
    levels, scale = rng.normal(scale=5, size=(60, size)), rng.uniform(0.1, 2, size)
    levels[30:, :3] += 3
    windows = levels[:, None] + scale * rng.normal(size=(60, 40, size))
    deviations = (windows - windows.mean(axis=1, keepdims=True)).reshape(-1, size)
    data = VideoFeatures(
        features=windows.mean(axis=1),
        label=np.repeat([0, 1], 30),
        real=np.full(60, -1),
        condition=np.full(60, "raw"),
        group=np.zeros(60, dtype=int),
        within=deviations.T @ deviations / (60 * 39),
    )
    model.solve(data)
    features = torch.from_numpy(windows[3]).float()
    contrast = model.contrast(model(features), features)
    assert contrast.shape == (40,)
    scatter = [
        model.contrast(model(features), features).std().item() for features in torch.from_numpy(windows[:30]).float()
    ]
    assert np.mean(scatter) == pytest.approx(1, abs=0.1)


def test_the_model_scores_as_the_discriminant_does():
    model = NoiseDiscriminant(height=18, width=18)
    size = len(model.measures.names())
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.1, 10, size)
    features = rng.normal(size=(80, size)) * scale + 5
    features[40:] += scale * 0.5
    data = VideoFeatures(
        features=features,
        label=np.repeat([0, 1], 40),
        real=np.full(80, -1),
        condition=np.full(80, "raw"),
        group=np.zeros(80, dtype=int),
        within=np.diag(scale**2),
    )
    model.solve(data)
    logits = model(torch.from_numpy(features).float())
    expected = fit_discriminant(
        replace(data, features=((features - features.mean(axis=0)) / features.std(axis=0)).clip(-4, 4)), 0.001, 0.3
    )
    standardised = ((features - features.mean(axis=0)) / features.std(axis=0)).clip(-4, 4)
    margins = (logits[:, 1] - logits[:, 0]).detach().numpy()
    np.testing.assert_allclose(margins, standardised @ expected.weight + expected.bias, rtol=1e-3, atol=1e-3)
    assert roc_auc_score(data.label, margins) > 0.9


def test_settings_of_gradient_descent_are_refused():
    loss, augment = LossConfig(inconsistency=0.0), AugmentConfig(flip=0.0)
    config = Config(model=ModelConfig("noise_discriminant"), loss=loss, augment=augment)
    with pytest.raises(UserError, match="--train.epochs 1; .*--train.bag 1"):
        replace(config, train=TrainConfig(epochs=3, bag=4)).check()
    model = build_model(replace(config, train=TrainConfig(epochs=1)))
    assert not model.weight.any()
