"""The total loss: a weighted sum of terms, each registered by its name.

To add a term, write a function of `LossInputs` that returns a scalar and register it by `@register_loss_term("name")`;
its weight is `loss.other` in the config. History, plots, progress and results.csv follow from the names.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from lipinc.config import LossConfig
from lipinc.config.registry import nearest
from lipinc.errors import UserError
from lipinc.losses.inconsistency import inconsistency_loss
from lipinc.losses.precision import to_float


@dataclass(frozen=True)
class LossInputs:
    """What a term can be computed from."""

    logits: torch.Tensor
    """(B, 2), class 1 = fake; bf16 under autocast."""
    features: torch.Tensor | None
    """(B, N, C, H, W), what the model returns for the inconsistency loss; None where that is off."""
    labels: torch.Tensor
    """(B,) int64, 1 = fake."""
    config: LossConfig


LossTerm = Callable[[LossInputs], torch.Tensor]

TERMS: dict[str, LossTerm] = {}


def register_loss_term(name: str) -> Callable[[LossTerm], LossTerm]:
    """Decorator: a term of the total loss, a function of `LossInputs` to a scalar tensor with a gradient."""

    def register(term: LossTerm) -> LossTerm:
        if name in ("total", ""):
            raise UserError(f"a loss term cannot be called {name!r}")
        TERMS[name] = term
        return term

    return register


@register_loss_term("classification")
def classification_term(inputs: LossInputs) -> torch.Tensor:
    """Cross-entropy, in float32."""
    smoothing = inputs.config.label_smoothing
    return functional.cross_entropy(to_float(inputs.logits), inputs.labels, label_smoothing=smoothing)


@register_loss_term("inconsistency")
def inconsistency_term(inputs: LossInputs) -> torch.Tensor:
    """The inconsistency loss of the papers."""
    return inconsistency_loss(inputs.features, inputs.labels)


def loss_terms(config: LossConfig) -> list[str]:
    """The names of the terms that are computed. Raises UserError on a weight of no term, and if there is no
    weight."""
    if not config.weights():
        raise UserError("every loss term has weight 0; give one of them a weight, such as --loss.classification 1")
    for name in config.weights():
        if name not in TERMS:
            raise UserError(f"loss.other names {name!r}, which is no registered term: {nearest(name, TERMS)}")
    return list(config.weights())


def total_loss(inputs: LossInputs) -> dict[str, torch.Tensor]:
    """The terms by name, scalars on the device, and "total": the sum of weight x term. Terms of weight 0 are not
    computed. Raises UserError if a term is no scalar."""
    losses = {name: TERMS[name](inputs) for name in loss_terms(inputs.config)}
    for name, value in losses.items():
        if not (isinstance(value, torch.Tensor) and value.dim() == 0):
            found = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise UserError(f"the loss term {name!r} must return a scalar tensor, not {found}")
    weights = inputs.config.weights()
    return {"total": sum(weights[name] * value for name, value in losses.items()), **losses}
