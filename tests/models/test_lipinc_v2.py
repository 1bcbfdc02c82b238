"""LIPINC-V2: the published network, layer by layer, and what training relies on."""

import math

import numpy as np
import pytest
import torch
from keras_in_numpy import array, dense, disturb, head, layer_norm, map_attention, multi_head_attention, relu
from torch import nn

from lipinc.config import Config, LossConfig, ModelConfig, MouthConfig, SamplingConfig
from lipinc.errors import UserError
from lipinc.losses.inconsistency import inconsistency_loss
from lipinc.losses.total import LossInputs, total_loss
from lipinc.models import LIPINCV2, build_model

SMALL = {"height": 8, "width": 12, "patch": 4, "model_width": 6, "heads": 3, "hidden": 16, "input_scale": 1 / 255}


def clips(count: int, *, frames: int = 5, height: int = 8, width: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Random frames and residues, uint8."""
    random = torch.Generator().manual_seed(0)

    def draw(time: int) -> torch.Tensor:
        return torch.randint(256, (count, time, height, width, 3), generator=random, dtype=torch.uint8)

    return draw(frames), draw(frames - 1)


def small(**changes) -> LIPINCV2:
    torch.manual_seed(0)
    return LIPINCV2(**{**SMALL, **changes})


@pytest.fixture(scope="module")
def published() -> LIPINCV2:
    torch.manual_seed(0)
    return LIPINCV2()


def size(model: nn.Module) -> int:
    return sum(weights.numel() for weights in model.parameters() if weights.requires_grad)


def test_published_size(published):
    assert size(published) == 4_590_082
    with torch.inference_mode():
        logits, features = published.eval()(*clips(1, frames=8, height=64, width=144), loss_features=True)
    assert logits.shape == (1, 2)
    assert logits.isfinite().all()
    assert features.shape == (1, 8, 128, 8, 18)


def uniform_within(weights: torch.Tensor, bound: float) -> bool:
    share = weights.abs().max().item() / bound
    return 0.98 < share <= 1.0001 and weights.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.08)


def test_initialisation_is_kerass(published):
    for transformer in (published.frame_transformer, published.residue_transformer):
        assert uniform_within(transformer.projection.weight, math.sqrt(6 / (192 + 128)))
        assert transformer.position_embedding.shape == (1, 144, 128)
        assert transformer.position_embedding.std().item() == pytest.approx(1, rel=0.03)
        assert transformer.position_embedding.mean().item() == pytest.approx(0, abs=0.03)
        for block in (*transformer.spatial, *transformer.temporal):
            attention = block.attention
            # Fans of (128, 4, 128) and (4, 128, 128) kernels: all but the last two axes count as a receptive field.
            for layer in (attention.query, attention.key, attention.value):
                assert uniform_within(layer.weight, math.sqrt(6 / (4 * 128 + 128 * 128)))
            assert uniform_within(attention.output.weight, math.sqrt(6 / (4 * 128 + 4 * 128)))
            for layer in block.feed_forward[::2]:
                assert uniform_within(layer.weight, math.sqrt(6 / (128 + 512)))
    for layer in published.head.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            field = layer.weight[0, 0].numel()
            fans = field * (layer.weight.shape[0] + layer.weight.shape[1])
            assert uniform_within(layer.weight, math.sqrt(6 / fans)) or layer.weight.shape[0] == 2
    biases = [values for name, values in published.named_parameters() if name.endswith("bias")]
    assert not any(values.any() for values in biases)


@pytest.mark.parametrize(
    "changes", [{}, {"heads": 2, "spatial_blocks": 1, "temporal_blocks": 3}, {"patch": 2, "model_width": 10}]
)
def test_whole_network_is_kerass(changes):
    model = disturb(small(**changes), seed=1)
    settings = {"spatial_blocks": 2, "temporal_blocks": 2, **SMALL, **changes}
    patch, width, heads = settings["patch"], settings["model_width"], settings["heads"]
    mouths, residues = clips(3)

    def block(x: np.ndarray, layers: nn.Module) -> np.ndarray:
        x = layer_norm(x + multi_head_attention(x, layers.attention, heads), layers.attention_norm)
        forward = dense(relu(dense(x, layers.feed_forward[0])), layers.feed_forward[2])
        return layer_norm(x + forward, layers.feed_forward_norm)

    def to_map(x: torch.Tensor, layers: nn.Module, last: nn.Linear) -> np.ndarray:
        clips, time, rows, columns, _ = x.shape
        tokens = [
            x[:, :, top : top + patch, left : left + patch].reshape(clips * time, -1)
            for top in range(0, rows, patch)
            for left in range(0, columns, patch)
        ]
        tokens = np.stack([array(token) for token in tokens], axis=1) / 255
        tokens = dense(tokens, layers.projection) + array(layers.position_embedding)
        for position in range(settings["spatial_blocks"]):
            tokens = block(tokens, layers.spatial[position])
        over_time = tokens.reshape(clips, time, -1, width).mean(axis=2)
        for position in range(settings["temporal_blocks"]):
            over_time = block(over_time, layers.temporal[position])
        return relu(dense(over_time.mean(axis=1), last)).reshape(clips, 8, 8, 3)

    frame = to_map(mouths, model.frame_transformer, model.frame_map[0])
    residue = to_map(residues, model.residue_transformer, model.residue_map[0])
    colour = np.concatenate([frame, map_attention(residue, frame, frame, 192)], axis=-1)
    structure = np.concatenate([residue, map_attention(frame, residue, residue, 192)], axis=-1)
    fusion = map_attention(structure, colour, colour, 192)
    expected = head(np.concatenate([structure, fusion], axis=-1), model.head)
    logits = model(mouths, residues).detach()
    assert logits.std(dim=0).min() > 1e-2
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("frames", "height", "width", "patch"), [(5, 32, 72, 8), (3, 12, 20, 4), (8, 32, 72, 4), (2, 10, 15, 5)]
)
def test_other_clips_and_their_features(frames, height, width, patch):
    model = small(height=height, width=width, patch=patch).eval()
    mouths, residues = clips(2, frames=frames, height=height, width=width)
    seen = []
    model.frame_transformer.spatial.register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.inference_mode():
        logits, features = model(mouths, residues, loss_features=True)
        assert torch.equal(model(mouths, residues), logits)
    rows, columns = height // patch, width // patch
    assert logits.shape == (2, 2)
    assert features.shape == (2, frames, 6, rows, columns)
    # The token of each patch lies where the patch lies.
    tokens = torch.sigmoid(seen[0]).reshape(2, frames, rows, columns, 6)
    for row, column in np.ndindex(rows, columns):
        assert torch.equal(features[:, :, :, row, column], tokens[:, :, row, column])


def test_time_has_no_position_and_space_has():
    model = disturb(small(), seed=1)
    mouths, residues = clips(2)
    logits = model(mouths, residues)
    torch.testing.assert_close(model(mouths.flip(1), residues.flip(1)), logits, rtol=1e-4, atol=1e-5)
    patches_swapped = mouths.unflatten(3, (3, 4)).flip(3).flatten(3, 4)
    assert not torch.allclose(model(patches_swapped, residues), logits, rtol=1e-3, atol=1e-4)


def test_uint8_float_and_scaled_inputs_agree():
    model = small().eval()
    mouths, residues = clips(2)
    expected = model(mouths, residues)
    torch.testing.assert_close(model(mouths.float(), residues.float()), expected)
    unscaled = small(input_scale=1.0).eval()
    torch.testing.assert_close(unscaled(mouths / 255, residues / 255), expected)
    assert not torch.allclose(unscaled(mouths, residues), expected, rtol=0.05)


@pytest.mark.parametrize("attention", ["published", "projected"])
def test_a_clip_alone_and_in_a_batch(attention):
    model = disturb(small(attention=attention), seed=1)
    mouths, residues = clips(4)
    together = model(mouths, residues)
    assert torch.equal(model(mouths, residues), together)
    alone = torch.cat([model(mouths[clip : clip + 1], residues[clip : clip + 1]) for clip in range(4)])
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)


def reached(model: nn.Module) -> set[str]:
    """Weights with a gradient above rounding."""
    return {
        name
        for name, weights in model.named_parameters()
        if weights.grad is not None and weights.grad.abs().max() > 1e-9
    }


def names(model: nn.Module) -> set[str]:
    """All but the biases of keys: they raise all scores of a query alike, which softmax takes out again."""
    return {name for name, _ in model.named_parameters() if not name.endswith(".key.bias")}


@pytest.mark.parametrize("attention", ["published", "projected"])
def test_classification_reaches_every_weight(attention):
    model = small(attention=attention).train()
    logits = model(*clips(6))
    config = LossConfig(inconsistency=0)
    total_loss(LossInputs(logits, None, torch.tensor([0, 1, 0, 1, 0, 1]), config))["total"].backward()
    assert reached(model) >= names(model)


def test_inconsistency_alone_reaches_the_projection_of_the_frames():
    model = small(height=28, width=32).train()
    _, maps = model(*clips(4, height=28, width=32), loss_features=True)
    inconsistency_loss(maps, torch.tensor([0, 1, 0, 1])).backward()
    before_the_mean = {"projection", "position_embedding", "spatial"}
    wanted = {
        name for name in names(model) if name.startswith("frame_transformer.") and name.split(".")[1] in before_the_mean
    }
    assert "frame_transformer.projection.weight" in wanted
    assert {name for name in reached(model) if not name.endswith(".key.bias")} == wanted


def test_learned_attention_is_an_option(published):
    torch.manual_seed(0)
    model = LIPINCV2(attention="projected")
    # Three projections into 64 values and one out of them, on 3, 3 and 6 channels.
    assert size(model) - size(published) == sum(3 * (c + 1) * 64 + (64 + 1) * c for c in (3, 3, 6)) == 3_660
    assert small(attention="projected")(*clips(3)).shape == (3, 2)


def test_normalisation_is_kerass():
    model = small(batch_norm_momentum=0.25)
    batch = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    layer = [layer for layer in model.modules() if isinstance(layer, nn.LayerNorm)]
    assert [(norm.eps, norm.momentum) for norm in batch] == [(1e-3, 0.25)] * 4
    assert [norm.eps for norm in layer] == [1e-3] * 16


def config_of(model: ModelConfig, *, height: int, width: int) -> Config:
    sampling = SamplingConfig(local_frames=3, global_frames=2)
    return Config(model=model, sampling=sampling, mouth=MouthConfig(height=height, width=width))


def test_built_from_a_config():
    options = ModelConfig("lipinc_v2", attention="projected", batch_norm_momentum=0.1, input_scale=0.5)
    model = build_model(config_of(options, height=32, width=72))
    assert isinstance(model, LIPINCV2)
    assert (size(model.fusion_attention), model.input_scale) == (1734, 0.5)
    assert model(*clips(2, height=32, width=72)).shape == (2, 2)
    with pytest.raises(UserError, match="lipinc_v2 does not support 5 mouths of 30 x 72"):
        build_model(config_of(options, height=30, width=72))
