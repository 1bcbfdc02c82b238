"""Total loss: the weighted sum of registered terms.

To add a term, write a function that takes `LossInputs` and returns a scalar, register it with
`@register_loss_term("name")`, and set its weight in `loss.other` of the config. The history, plots, progress lines and
results.csv then include it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from lipinc.config import LossConfig
from lipinc.config.registry import suggest
from lipinc.errors import UserError
from lipinc.losses.inconsistency import inconsistency_loss
from lipinc.losses.precision import to_float


@dataclass(frozen=True)
class LossInputs:
    """Inputs of a loss term."""

    logits: torch.Tensor
    """(B, 2), class 1 = fake; bf16 under autocast."""
    features: torch.Tensor | None
    """(B, N, C, H, W), the model's feature maps for the inconsistency loss; None if this loss is off."""
    labels: torch.Tensor
    """(B,) int64, 1 = fake."""
    config: LossConfig
    pairs: torch.Tensor | None = None
    """(P, 2) int64: positions in the batch of a fake and of a clip of its own real video; None without ranking loss."""


LossTerm = Callable[[LossInputs], torch.Tensor]

TERMS: dict[str, LossTerm] = {}


def register_loss_term(name: str) -> Callable[[LossTerm], LossTerm]:
    """Decorator that registers a loss term: a function from `LossInputs` to a scalar tensor with a gradient.

    Raises:
        UserError: the name is reserved.
    """

    def register(term: LossTerm) -> LossTerm:
        if name in ("total", ""):
            raise UserError(f"a loss term cannot be named {name!r}")
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


@register_loss_term("ranking")
def ranking_term(inputs: LossInputs) -> torch.Tensor:
    """Logistic loss of the score of each fake minus that of its own real video; 0 without pairs.

    Source: RankNet (Burges et al., Learning to Rank using Gradient Descent, ICML 2005).
    """
    logits = to_float(inputs.logits)
    scores = logits[:, 1] - logits[:, 0]
    if not len(inputs.pairs):
        return 0 * scores.sum()  # with a gradient
    fake, real = inputs.pairs.T
    return functional.softplus(scores[real] - scores[fake]).mean()


def loss_terms(config: LossConfig) -> list[str]:
    """Return the names of the terms with a nonzero weight.

    Raises:
        UserError: a weight names an unknown term, or all weights are 0.
    """
    if not config.weights():
        raise UserError("every loss term has weight 0; set a weight, for example --loss.classification 1")
    for name in config.weights():
        if name not in TERMS:
            raise UserError(f"loss.other names the unknown loss term {name!r}: {suggest(name, TERMS)}")
    return list(config.weights())


def total_loss(inputs: LossInputs) -> dict[str, torch.Tensor]:
    """Compute the total loss and its terms. Terms of weight 0 are not computed.

    Returns:
        "total", the sum of weight x term, followed by the terms by name; scalar tensors.

    Raises:
        UserError: a term is not a scalar tensor.
    """
    losses = {name: TERMS[name](inputs) for name in loss_terms(inputs.config)}
    for name, value in losses.items():
        if not (isinstance(value, torch.Tensor) and value.dim() == 0):
            found = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise UserError(f"the loss term {name!r} must return a scalar tensor, not {found}")
    weights = inputs.config.weights()
    return {"total": sum(weights[name] * value for name, value in losses.items()), **losses}
