"""Layers shared by both LIPINC networks: attention with and without learned weights, and the head."""

import math

import torch
from torch import nn

BATCH_NORM_EPSILON = 1e-3
"""Keras' default, which the published weights were trained with."""


def published_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale_size: int) -> torch.Tensor:
    """Compute softmax(Q K^T / sqrt(scale_size)) V over the last two axes, without projections or heads.

    On the (B, 8, 8, 3) maps of the networks, each of the 8 rows is a sequence of 8 cells with 3 channels. Source: V1
    and V2, code.

    Args:
        query: (..., S, C).
        key: (..., S, C).
        value: (..., S, D).
        scale_size: number of values of a map (8 x 8 x 3 = 192), not the channel count.

    Returns:
        (..., S, D).
    """
    weights = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(scale_size), dim=-1)
    return weights @ value


class ProjectedAttention(nn.Module):
    """Multi-head attention with learned projections, an alternative to `published_attention` (not in the papers).

    Maps (B, S, S, C) become S * S tokens, so that all cells attend to each other. The output has the channels of the
    value, as in `published_attention`.
    """

    def __init__(self, *, channels: int, width: int = 64, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, width)
        self.key = nn.Linear(channels, width)
        self.value = nn.Linear(channels, width)
        self.output = nn.Linear(width, channels)

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attend. query, key, value: (B, S, S, C); returns (B, S, S, C)."""

        def tokens(projection: nn.Linear, maps: torch.Tensor) -> torch.Tensor:
            return projection(maps.flatten(1, 2)).unflatten(-1, (self.heads, -1)).transpose(1, 2)

        mixed = nn.functional.scaled_dot_product_attention(
            tokens(self.query, query), tokens(self.key, key), tokens(self.value, value)
        )
        return self.output(mixed.transpose(1, 2).flatten(2)).unflatten(1, value.shape[1:3])


class MultiHeadAttention(nn.Module):
    """Multi-head self-attention as in Keras: the key size is per head, so all heads together are wider than the model.

    nn.MultiheadAttention differs: it divides the model width among the heads.
    """

    def __init__(self, *, width: int, heads: int, key_size: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, heads * key_size)
        self.key = nn.Linear(width, heads * key_size)
        self.value = nn.Linear(width, heads * key_size)
        self.output = nn.Linear(heads * key_size, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend. x: (B, T, width); returns (B, T, width)."""
        query, key, value = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, T, key_size)
            for projection in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.output(mixed.transpose(1, 2).flatten(2))


class FusionHead(nn.Module):
    """Classification head: fused maps (B, S, S, C) -> logits (B, 2), class 1 = fake.

    Two blocks of a 3x3 and a 1x1 convolution, each followed by ReLU and then batch normalisation (in this order, as
    published), with max pooling by 2 and by 4; then three dense layers.
    """

    def __init__(self, *, channels: int, map_size: int, hidden: int, batch_norm_momentum: float):
        super().__init__()

        def block(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
            norm = nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPSILON, momentum=batch_norm_momentum)
            return [nn.Conv2d(inputs, outputs, kernel, padding="same"), nn.ReLU(), norm]

        self.convolutions = nn.Sequential(
            *block(channels, 64, 3),
            *block(64, 64, 1),
            nn.MaxPool2d(2),  # (B, 64, S / 2, S / 2)
            *block(64, 128, 3),
            *block(128, 128, 1),
            nn.MaxPool2d(4),  # (B, 128, S / 8, S / 8)
        )
        self.dense = nn.Sequential(
            nn.Linear(128 * (map_size // 8) ** 2, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 2),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Classify. maps: (B, S, S, C), channels last like all maps of the networks; returns (B, 2)."""
        x = self.convolutions(maps.permute(0, 3, 1, 2))
        # Flatten with channels last: the order of the published dense weights.
        return self.dense(x.permute(0, 2, 3, 1).flatten(1))
