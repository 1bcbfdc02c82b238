"""NoiseFeatures: what it measures, by pictures whose features are known."""

import numpy as np
import pytest
import torch

from lipinc.config import Config, ModelConfig, MouthConfig, SamplingConfig
from lipinc.detection.evidence import heat_map
from lipinc.errors import UserError
from lipinc.models import NoiseFeatures, build_model

SIZE = (64, 144)


def measure(frames: np.ndarray) -> dict[str, float]:
    """Frames [N, H, W] or [N, H, W, 3] -> features by name."""
    frames = np.repeat(frames[..., None], 3, axis=-1) if frames.ndim == 3 else frames
    model = NoiseFeatures()
    clips = torch.from_numpy(frames[None].astype(np.float32))
    values = model.extract_features(clips, clips[:, 1:])[0]
    assert len(values) == len(model.names()) == len(set(model.names()))
    return dict(zip(model.names(), values.tolist(), strict=True))


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(128, 20, SIZE)


def noise(sigma: float, seed: int = 1, colours: int = 0) -> np.ndarray:
    shape = (8, *SIZE, colours) if colours else (8, *SIZE)
    return np.random.default_rng(seed).normal(0, sigma, shape)


def test_temporal_correlation_is_one_for_a_still_mouth_and_zero_for_noise():
    still = measure(np.repeat(picture()[None], 8, axis=0))
    assert still["temporal correlation 0 brightness mean"] == pytest.approx(1, abs=1e-3)
    assert still["local-global correlation 0 brightness mean"] == pytest.approx(1, abs=1e-3)
    assert still["difference energy 0 brightness mean"] == pytest.approx(np.log(0.05), abs=1e-3)
    flickering = measure(128 + noise(20))
    assert abs(flickering["temporal correlation 0 brightness mean"]) < 0.05
    assert abs(flickering["local-global correlation 1 brightness mean"]) < 0.1


def test_energies_are_those_of_the_noise():
    frames = measure(np.repeat(picture()[None], 8, axis=0) + noise(12))
    quiet = measure(np.repeat(picture()[None], 8, axis=0) + noise(6))
    for band in range(2):  # further up, little of it is left beside the floor
        name = f"difference energy {band} brightness mean"
        assert frames[name] - quiet[name] == pytest.approx(np.log(4), abs=0.15)
    # The second difference of white noise has three times the energy of the first: 1 4 1 against 1 1, with weights.
    second, first = (frames[f"{order} energy 0 brightness mean"] for order in ("second-difference", "difference"))
    assert second - first == pytest.approx(np.log(3), abs=0.1)


def test_cross_channel_correlation_separates_noise_of_one_colour_from_independent_noise():
    apart = measure(128 + noise(5, colours=3))
    # (B + 2 G + R) / 4 against B - G, whatever the noise: (1 - 2) / sqrt(6 * 2).
    assert apart["cross-channel correlation 0 brightness with blue-green mean"] == pytest.approx(-(12**-0.5), abs=0.05)
    tinted = 128 + noise(5)[..., None] * np.array([1.0, 0.2, 0.2])
    assert measure(tinted)["cross-channel correlation 0 brightness with blue-green mean"] > 0.9
    assert measure(128 + noise(5))["energy 0 blue-green mean"] == pytest.approx(np.log(0.05), abs=1e-3)


def test_smooth_changes_have_spatial_autocorrelation():
    grainy = measure(128 + noise(5))
    assert abs(grainy["spatial autocorrelation 1 px right brightness mean"]) < 0.05
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    waves = np.stack([128 + 20 * np.sin(columns / 20 + phase) for phase in range(8)])
    smooth = measure(waves)
    near, far = (smooth[f"spatial autocorrelation {shift} px right brightness mean"] for shift in (1, 8))
    assert near > 0.99
    assert far < near


def test_global_frames_count_only_in_the_local_global_correlation():
    frames = np.repeat(picture()[None], 8, axis=0) + noise(2)
    other = frames.copy()
    other[5:] = noise(40)[5:]
    a, b = measure(frames), measure(other)
    changed = {name for name in a if a[name] != b[name]}
    assert changed and all(name.startswith("local-global correlation") for name in changed)


def test_logits_gradients_and_evidence():
    options = ModelConfig("noise_features", hidden=16, dropout=0.2, input_dropout=0.1, batch_norm_momentum=0.3)
    model = build_model(Config(model=options))
    assert isinstance(model, NoiseFeatures)
    assert (model.network[0].p, model.network[1].out_features, model.network[4].p) == (0.1, 16, 0.2)
    assert (model.standardise.momentum, model.input_noise) == (0.3, 0.3)
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 8, 64, 144, 3), dtype=np.uint8))
    residues = torch.zeros(4, 7, 64, 144, 3, dtype=torch.uint8)
    logits = model.train().score_clips(frames, residues)
    assert logits.shape == (4, 2) and logits.dtype == torch.float32
    logits.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    model.eval()
    torch.testing.assert_close(model.score_clips(frames[:1], residues[:1]), model.score_clips(frames, residues)[:1])
    torch.testing.assert_close(model(model.extract_features(frames, residues)), model.score_clips(frames, residues))
    heat = heat_map(model, frames.numpy(), residues.numpy(), torch.device("cpu"))
    assert heat.shape == (4, 8, 64, 144) and heat.max() == pytest.approx(1)


def test_its_weights_are_few_and_its_filters_are_no_weights():
    model = NoiseFeatures()
    assert sum(parameter.numel() for parameter in model.parameters()) == 21_122
    with torch.device("meta"):  # as a checkpoint is loaded
        empty = NoiseFeatures()
    empty.load_state_dict(model.state_dict(), assign=True)
    frames = torch.zeros(1, 8, 64, 144, 3, dtype=torch.uint8)
    assert torch.equal(empty.eval().score_clips(frames, frames), model.eval().score_clips(frames, frames))


@pytest.mark.parametrize(
    ("local", "size", "reason"), [(2, (64, 144), "3 local frames"), (5, (16, 144), "4 bands"), (5, (8, 8), "bands")]
)
def test_clips_too_small_are_refused(local, size, reason):
    sampling, mouth = SamplingConfig(local_frames=local), MouthConfig(height=size[0], width=size[1])
    with pytest.raises(UserError, match=reason):
        build_model(Config(model=ModelConfig("noise_features"), sampling=sampling, mouth=mouth))


def test_black_and_equal_mouths_have_finite_features():
    for value in (0, 255):
        frames = torch.full((2, 8, 64, 144, 3), value, dtype=torch.uint8)
        assert NoiseFeatures().extract_features(frames, frames[:, 1:]).isfinite().all()
