"""Losses: SSIM of feature maps, the inconsistency loss, and the total loss of all registered terms."""

from lipinc.losses.inconsistency import inconsistency_loss
from lipinc.losses.total import LossInputs, loss_terms, register_loss_term, total_loss

__all__ = ["LossInputs", "inconsistency_loss", "loss_terms", "register_loss_term", "total_loss"]
