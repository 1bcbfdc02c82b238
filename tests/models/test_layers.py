"""Layers that the networks share: the papers' attention by hand, Keras' multi-head one in numpy, the learned
alternative, and the classifier that both networks end in."""

import math

import numpy as np
import pytest
import torch
from keras_in_numpy import array, disturb, head, map_attention, multi_head_attention
from torch import nn

from lipinc.models.layers import (
    FusionHead,
    MultiHeadAttention,
    ProjectedAttention,
    published_attention,
)


def maps(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_published_attention_by_hand():
    query = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    key = torch.tensor([[3.0, 1.0], [0.0, 1.0]])
    value = torch.tensor([[10.0], [20.0]])
    # Scores are divided by sqrt(9) = 3: the first query sees 3/3 and 0/3, the second 2/3 and 2/3.
    first = (math.e * 10 + 20) / (math.e + 1)
    result = published_attention(query, key, value, 9)
    assert result.flatten().tolist() == pytest.approx([first, 15.0])


def test_published_attention_cell_by_cell():
    query, key, value = maps(0, 2, 8, 8, 3), maps(1, 2, 8, 8, 3), maps(2, 2, 8, 8, 3)
    expected = np.zeros((2, 8, 8, 3))
    for clip, row, cell in np.ndindex(2, 8, 8):
        scores = [float(query[clip, row, cell] @ key[clip, row, other]) / math.sqrt(192) for other in range(8)]
        total = sum(math.exp(score) for score in scores)
        for other, score in enumerate(scores):
            expected[clip, row, cell] += math.exp(score) / total * value[clip, row, other].numpy()
    np.testing.assert_allclose(published_attention(query, key, value, 192), expected, atol=1e-6)
    np.testing.assert_allclose(map_attention(array(query), array(key), array(value), 192), expected, atol=1e-6)


def test_rows_of_a_map_do_not_see_each_other_in_published_attention_and_do_in_projected():
    x = maps(0, 1, 8, 8, 3)
    changed = x.clone()
    changed[:, 0] += 1
    difference = published_attention(changed, changed, changed, 192) - published_attention(x, x, x, 192)
    assert difference[:, 0].abs().min() > 0.1
    assert not difference[:, 1:].any()
    torch.manual_seed(0)
    projected = ProjectedAttention(channels=3)
    difference = projected(changed, changed, changed) - projected(x, x, x)
    assert (difference[:, 1:].abs().amax(dim=-1) > 1e-6).all()


@pytest.mark.parametrize(("width", "heads", "key_size"), [(6, 3, 6), (6, 2, 5)])
def test_multi_head_attention_is_kerass(width, heads, key_size):
    torch.manual_seed(0)
    attention = MultiHeadAttention(width=width, heads=heads, key_size=key_size)
    x = maps(1, 2, 7, width) * 2
    expected = multi_head_attention(array(x), attention, heads)
    np.testing.assert_allclose(attention(x).detach(), expected, atol=1e-5)
    assert attention.query.weight.shape == (heads * key_size, width)


def test_projected_attention_by_hand():
    torch.manual_seed(0)
    attention = ProjectedAttention(channels=3, width=8, heads=2)
    query, key, value = (maps(seed, 1, 4, 4, 3) for seed in range(3))

    def heads_of(layer: torch.nn.Linear, x: torch.Tensor) -> np.ndarray:
        return (array(x).reshape(16, 3) @ array(layer.weight).T + array(layer.bias)).reshape(16, 2, 4)

    q, k, v = heads_of(attention.query, query), heads_of(attention.key, key), heads_of(attention.value, value)
    mixed = np.zeros((16, 8))
    for number in range(2):
        weights = np.exp(q[:, number] @ k[:, number].T / math.sqrt(4))
        mixed[:, 4 * number : 4 * number + 4] = weights / weights.sum(axis=1, keepdims=True) @ v[:, number]
    expected = (mixed @ array(attention.output.weight).T + array(attention.output.bias)).reshape(1, 4, 4, 3)
    np.testing.assert_allclose(attention(query, key, value).detach(), expected, atol=1e-5)


@pytest.mark.parametrize("map_size", [8, 16])  # 16: more than one cell is left to flatten, so their order shows
def test_head_is_kerass(map_size):
    torch.manual_seed(0)
    model = disturb(FusionHead(channels=6, map_size=map_size, hidden=32, batch_norm_momentum=0.01), seed=1)
    maps = torch.randn(3, map_size, map_size, 6)
    logits = model(maps).detach()
    assert logits.shape == (3, 2)
    assert logits.std(dim=0).min() > 0.05
    np.testing.assert_allclose(logits, head(array(maps), model), rtol=1e-4, atol=1e-5)


def test_normalisation_comes_after_the_relu_with_kerass_epsilon():
    model = FusionHead(channels=6, map_size=8, hidden=32, batch_norm_momentum=0.25)
    kinds = [type(layer) for layer in model.convolutions]
    block = [nn.Conv2d, nn.ReLU, nn.BatchNorm2d]
    assert kinds == [*block, *block, nn.MaxPool2d, *block, *block, nn.MaxPool2d]
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert [(norm.eps, norm.momentum) for norm in norms] == [(1e-3, 0.25)] * 4
