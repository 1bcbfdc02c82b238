"""Optimizers and learning rates."""

import numpy as np
import pytest
import torch

from lipinc.config import TrainConfig
from lipinc.training.optimization import learning_rate, make_optimizer


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_optimizers_take_their_settings(name):
    settings = TrainConfig(optimizer=name, learning_rate=0.5, adam_epsilon=0.25, weight_decay=0.125)
    optimizer = make_optimizer(torch.nn.Linear(2, 2), settings)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["eps"]) == (0.5, 0.25)
    assert group["weight_decay"] == (0.125 if name == "adamw" else 0)


def test_learning_rate_schedule():
    constant = TrainConfig(learning_rate=1.0)
    assert learning_rate(constant, 12345, 10) == 1.0
    cosine = TrainConfig(learning_rate=1.0, schedule="cosine", epochs=4, warmup=1)
    rates = [learning_rate(cosine, step, 10) for step in range(40)]
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    assert rates[10] == 1.0
    assert all(a > b for a, b in zip(rates[10:], rates[11:], strict=False))
    assert rates[25] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.01
