"""The classifier that both networks end in, against numpy."""

import numpy as np
import pytest
import torch
from keras_in_numpy import array, disturb, head
from torch import nn

from lipinc.models.layers import FusionHead


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
