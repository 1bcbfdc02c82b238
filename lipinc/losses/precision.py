"""The number format that pixels enter a network in."""

import torch


def to_float(x: torch.Tensor) -> torch.Tensor:
    """float32, except that float64 stays: the reference that float32 results are measured against."""
    return x if x.dtype == torch.float64 else x.float()
