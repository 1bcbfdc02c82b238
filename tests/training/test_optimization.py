"""Optimizers and learning rates."""

import numpy as np
import pytest
import torch

from lipinc.config import TrainConfig
from lipinc.training.optimization import learning_rate, make_optimizer


@pytest.mark.parametrize("name", ["adam", "adamw", "keras_adam"])
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


def keras_weights(weight: np.ndarray, gradients: np.ndarray, rate: float, epsilon: float) -> np.ndarray:
    """Weights after each step of Keras 2.15's Adam, in plain numpy: gradients (T, P) -> (T, P)."""
    first, second, found = np.zeros_like(weight), np.zeros_like(weight), []
    for step, gradient in enumerate(gradients, start=1):
        corrected_rate = rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        first = first + (gradient - first) * (1 - 0.9)
        second = second + (gradient**2 - second) * (1 - 0.999)
        weight = weight - corrected_rate * first / (np.sqrt(second) + epsilon)
        found.append(weight)
    return np.array(found)


def optimizer_of(parameter: torch.nn.Parameter, **settings) -> torch.optim.Optimizer:
    return make_optimizer(torch.nn.ParameterList([parameter]), TrainConfig(learning_rate=1e-3, **settings))


def take_steps(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter, gradients: np.ndarray) -> np.ndarray:
    """Weights after each step (T, P)."""
    found = []
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
        found.append(parameter.detach().numpy().copy())
    return np.array(found)


@pytest.mark.parametrize("epsilon", [0.1, 1e-7])
def test_keras_adam_takes_the_steps_of_keras_also_after_a_resume(epsilon):
    rng = np.random.default_rng(0)
    gradients = 10.0 ** rng.uniform(-4, 0, size=6) * rng.normal(size=(1000, 6))  # of very different sizes
    begin = rng.normal(size=6)
    expected = keras_weights(begin, gradients, 1e-3, epsilon)
    parameter = torch.nn.Parameter(torch.from_numpy(begin.copy()))
    settings = {"optimizer": "keras_adam", "adam_epsilon": epsilon}
    optimizer = optimizer_of(parameter, **settings)
    before = take_steps(optimizer, parameter, gradients[:7])
    resumed = optimizer_of(parameter, **settings)
    resumed.load_state_dict(optimizer.state_dict())
    after = take_steps(resumed, parameter, gradients[7:])
    np.testing.assert_allclose(np.concatenate([before, after]), expected, rtol=0, atol=1e-12)


def test_torch_adam_takes_larger_steps_than_keras_at_the_published_epsilon():
    gradients = np.full((1, 1), 1e-3)
    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    [[step]] = take_steps(optimizer_of(parameter, optimizer="adam", adam_epsilon=0.1), parameter, gradients)
    assert step / keras_weights(np.zeros(1), gradients, 1e-3, 0.1)[0, 0] == pytest.approx(31.4, rel=0.01)
