"""NoiseFeatures: a small network on noise measures."""

import numpy as np
import pytest
import torch

from lipinc.config import Config, ModelConfig, MouthConfig, SamplingConfig
from lipinc.detection.evidence import heat_map
from lipinc.errors import UserError
from lipinc.models import NoiseFeatures, build_model


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
