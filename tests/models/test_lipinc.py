"""LIPINC (V1): the published network, layer by layer, and what training relies on."""

import math

import numpy as np
import pytest
import torch
from keras_in_numpy import array, batch_norm, convolution, dense, disturb, head, map_attention, max_pool, relu
from torch import nn

from lipinc.config import Config, LossConfig, ModelConfig, MouthConfig, SamplingConfig
from lipinc.errors import UserError
from lipinc.losses.inconsistency import inconsistency_loss
from lipinc.losses.total import LossInputs, total_loss
from lipinc.models import LIPINC, build_model

SMALL = {"frames": 5, "height": 14, "width": 21, "hidden": 16, "input_scale": 1 / 255}


def clips(count: int, *, frames: int = 5, height: int = 14, width: int = 21) -> tuple[torch.Tensor, torch.Tensor]:
    """Random frames and residues, uint8."""
    random = torch.Generator().manual_seed(0)

    def draw(time: int) -> torch.Tensor:
        return torch.randint(256, (count, time, height, width, 3), generator=random, dtype=torch.uint8)

    return draw(frames), draw(frames - 1)


def small(**changes) -> LIPINC:
    torch.manual_seed(0)
    return LIPINC(**{**SMALL, **changes})


@pytest.fixture(scope="module")
def published() -> LIPINC:
    torch.manual_seed(0)
    return LIPINC()


def test_published_size(published):
    assert sum(weights.numel() for weights in published.parameters() if weights.requires_grad) == 42_191_042
    with torch.inference_mode():
        logits = published.eval()(*clips(1, frames=8, height=64, width=144))
    assert logits.shape == (1, 2)
    assert logits.isfinite().all()


def uniform_within(weights: torch.Tensor, bound: float) -> bool:
    share = weights.abs().max().item() / bound
    return 0.98 < share <= 1.0001 and weights.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.08)


def test_initialisation_is_kerass(published):
    for branch, inputs in ((published.frame_branch, 73_728), (published.residue_branch, 55_296)):
        assert uniform_within(branch.convolution.weight, math.sqrt(6 / 81))
        assert branch.dense.in_features == inputs
        assert uniform_within(branch.dense.weight, math.sqrt(6 / inputs))
    convolutions = [layer for layer in published.head.convolutions if isinstance(layer, nn.Conv2d)]
    for layer, inputs in zip(convolutions, (6 * 9, 64, 64 * 9, 128), strict=True):
        check_he_normal(layer, inputs)
    for layer in published.head.dense[::2]:
        assert uniform_within(layer.weight, math.sqrt(6 / (layer.in_features + layer.out_features)))
    biases = [values for name, values in published.named_parameters() if name.endswith("bias")]
    assert not any(values.any() for values in biases)


def check_he_normal(layer: nn.Conv2d, inputs: int) -> None:
    deviation = math.sqrt(2 / inputs)
    assert layer.weight[0].numel() == inputs
    assert layer.weight.std().item() == pytest.approx(deviation, rel=0.05)
    assert layer.weight.abs().max().item() <= 2 * deviation / 0.8796  # Keras cuts it at two standard deviations
    assert layer.weight.abs().max().item() > 1.9 * deviation


@pytest.mark.parametrize("frames", [3, 5, 8])  # an odd number of frames or residues loses one in the pooling
def test_whole_network_is_kerass(frames):
    model = disturb(small(frames=frames), seed=1)
    mouths, residues = clips(3, frames=frames)

    def branch(x: torch.Tensor, layers: nn.Module) -> np.ndarray:
        x = max_pool(relu(convolution(array(x) / 255, layers.convolution)), 2)
        return relu(dense(batch_norm(x, layers.norm).reshape(3, -1), layers.dense)).reshape(3, 8, 8, 3)

    frame, residue = branch(mouths, model.frame_branch), branch(residues, model.residue_branch)
    colour = map_attention(residue, frame, frame, 192)
    structure = map_attention(frame, residue, residue, 192)
    fusion = map_attention(structure, colour, colour, 192)
    expected = head(np.concatenate([residue, fusion], axis=-1), model.head)
    logits = model(mouths, residues).detach()
    assert logits.std(dim=0).min() > 1e-2
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("frames", "height", "width"), [(5, 32, 72), (3, 14, 20), (8, 64, 144)])
def test_other_clips_and_their_features(frames, height, width):
    model = small(frames=frames, height=height, width=width).eval()
    mouths, residues = clips(2, frames=frames, height=height, width=width)
    seen = {}
    model.frame_branch.convolution.register_forward_hook(lambda *call: seen.update(full=torch.relu(call[2])))
    model.frame_branch.pool.register_forward_hook(lambda *call: seen.update(pooled=call[2]))
    with torch.inference_mode():
        logits = model(mouths, residues)
        shapes = {"full": (2, frames, 8, height, width), "pooled": (2, frames // 2, 8, height // 2, width // 2)}
        for kind, shape in shapes.items():
            model.loss_features = kind
            again, features = model(mouths, residues, loss_features=True)
            assert torch.equal(again, logits)
            assert features.shape == shape
            assert torch.equal(features, seen[kind].transpose(1, 2))
    assert logits.shape == (2, 2)


def test_uint8_float_and_scaled_inputs_agree():
    model = small().eval()
    mouths, residues = clips(2)
    expected = model(mouths, residues)
    torch.testing.assert_close(model(mouths.float(), residues.float()), expected)
    unscaled = small(input_scale=1.0).eval()
    torch.testing.assert_close(unscaled(mouths / 255, residues / 255), expected)
    assert not torch.allclose(unscaled(mouths, residues), expected, rtol=0.1)


def test_a_clip_alone_and_in_a_batch():
    model = disturb(small(), seed=1)
    mouths, residues = clips(4)
    together = model(mouths, residues)
    assert torch.equal(model(mouths, residues), together)
    alone = torch.cat([model(mouths[clip : clip + 1], residues[clip : clip + 1]) for clip in range(4)])
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)


def test_dropout_is_a_matter_of_training():
    mouths, residues = clips(4)
    model = small(dropout=0.5).train()
    assert not torch.equal(model(mouths, residues), model(mouths, residues))
    model = small(dropout=0.0).train()
    assert torch.equal(model(mouths, residues), model(mouths, residues))


def reached(model: nn.Module) -> set[str]:
    return {name for name, weights in model.named_parameters() if weights.grad is not None and weights.grad.any()}


def test_classification_reaches_every_weight():
    model = small().train()
    logits = model(*clips(6))
    config = LossConfig(inconsistency=0)
    total_loss(LossInputs(logits, None, torch.tensor([0, 1, 0, 1, 0, 1]), config))["total"].backward()
    assert reached(model) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("features", ["full", "pooled"])
def test_inconsistency_alone_reaches_the_first_convolution(features):
    model = small(frames=8, height=16, width=24, loss_features=features).train()
    _, maps = model(*clips(4, frames=8, height=16, width=24), loss_features=True)
    inconsistency_loss(maps, torch.tensor([0, 1, 0, 1])).backward()
    assert reached(model) == {"frame_branch.convolution.weight", "frame_branch.convolution.bias"}


def test_normalisation_is_kerass():
    norms = [layer for layer in small(batch_norm_momentum=0.25).modules() if hasattr(layer, "running_mean")]
    assert [(norm.eps, norm.momentum) for norm in norms] == [(1e-3, 0.25)] * 6


def config_of(model: ModelConfig, *, local_frames: int, global_frames: int) -> Config:
    sampling = SamplingConfig(local_frames=local_frames, global_frames=global_frames)
    return Config(model=model, sampling=sampling, mouth=MouthConfig(height=14, width=21))


def test_built_from_a_config():
    options = ModelConfig("lipinc", dropout=0.25, batch_norm_momentum=0.1, input_scale=0.5, loss_features="pooled")
    model = build_model(config_of(options, local_frames=3, global_frames=2))
    assert isinstance(model, LIPINC)
    assert (model.frame_branch.dropout.p, model.frame_branch.norm.momentum, model.input_scale) == (0.25, 0.1, 0.5)
    assert model.loss_features == "pooled"
    assert model(*clips(2)).shape == (2, 2)
    with pytest.raises(UserError, match="lipinc does not support 2 mouths of 14 x 21"):
        build_model(config_of(options, local_frames=1, global_frames=1))
