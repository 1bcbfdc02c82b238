"""The classifier both networks end in: convolutions on the fused map, then dense layers."""

import torch
from torch import nn

BATCH_NORM_EPSILON = 1e-3  # Keras' default, which the published weights were trained with


class FusionHead(nn.Module):
    """Fused map (B, S, S, C) -> logits (B, 2), class 1 = fake.

    Conv 3x3 and 1x1 twice, each followed by ReLU and then batch normalisation (in this order, as published), with
    max pooling by 2 and by 4; then three dense layers.
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
        """maps: (B, S, S, C), channels last as everywhere in the networks; returns (B, 2)."""
        x = self.convolutions(maps.permute(0, 3, 1, 2))
        # Channels last again before flattening: the order of the published dense weights.
        return self.dense(x.permute(0, 2, 3, 1).flatten(1))
