"""Adam as Keras computes it, with which the papers were trained."""

import math
from collections.abc import Callable
from typing import Any

import torch


class KerasAdam(torch.optim.Adam):
    """Adam with Keras' epsilon, which is added before the bias correction of the second moment, not after it.

    With moments m and v after step t, from 1:

        Keras    w -= lr / (1 - beta1^t) * m / ((sqrt(v) + epsilon) / sqrt(1 - beta2^t))
        torch    w -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

    The steps are equal if eps = epsilon / sqrt(1 - beta2^t), which falls from 32 epsilon to epsilon over some thousand
    steps. At epsilon 1e-8 nobody sees the difference; at the papers' 0.1 torch's first steps are up to 32 times larger.
    As in Keras, t counts the steps of the optimizer: every parameter needs a gradient at each of them. Source: Keras
    2.15, `keras/optimizers/adam.py`.
    """

    def __init__(self, parameters: Any, *, epsilon: float, **options: Any):
        """Create the optimizer.

        Args:
            parameters: as of `torch.optim.Adam`.
            epsilon: Keras' epsilon.
            options: further options of `torch.optim.Adam`.
        """
        super().__init__(parameters, eps=epsilon, **options)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """See `torch.optim.Adam.step`."""
        for group in self.param_groups:
            group["steps"] = group.get("steps", 0) + 1  # in the group, which the state of a run contains
            group["eps"] = self.defaults["eps"] / math.sqrt(1 - group["betas"][1] ** group["steps"])
        return super().step(closure)
