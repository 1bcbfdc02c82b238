"""LIPINC (V1): a network of 3D convolutions on frames and residues, fused by attention.

Datta, Jia, Lyu: Exposing Lip-syncing Deepfakes from Mouth Inconsistencies, ICME 2024, arXiv 2401.10113.

>>> model = LIPINC()
>>> logits = model(frames, residues)  # (B, 8, 64, 144, 3) and (B, 7, 64, 144, 3), 0..255, BGR -> (B, 2), 1 = fake
"""

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import torch
from torch import nn

from lipinc.config import Config
from lipinc.config.ranges import Range, UnitInterval
from lipinc.losses.inconsistency import feature_map_problems
from lipinc.losses.precision import to_float
from lipinc.models.layers import BATCH_NORM_EPSILON, FusionHead, published_attention
from lipinc.models.registry import ClipShape, MouthModel, register_model


@dataclass(frozen=True)
class LIPINCOptions:
    """Options of the model lipinc, the network of the first paper (V1) with 42 M parameters."""

    dropout: UnitInterval = 0.5
    """Dropout rate before the dense layer of each branch (published)."""
    hidden: Annotated[int, Range(1)] = 4096
    """Width of the dense layers of the head (published). Kept: small networks for tests and small data sets."""
    batch_norm_momentum: UnitInterval = 0.01
    """Weight of a new batch in the running statistics (published: 0.99 in Keras' convention, 0.01 in PyTorch's). Runs
    of a few hundred steps need about 0.1."""
    input_scale: float = 1.0
    """Factor applied to the 0..255 input (published: 1.0); 1 / 255 scales it to 0..1."""
    loss_features: Literal["full", "pooled"] = "full"
    """Feature maps of the frame branch for the inconsistency loss. full: the convolution output, as in the paper.
    pooled: after the 2 x 2 x 2 max pooling of the network, which is much faster (docs/performance.md). The constants of
    SSIM assume features of about unit range, as with input_scale 1 / 255; at 1.0 the constants are negligible."""


@register_model("lipinc")
class LIPINC(MouthModel):
    """The LIPINC network: 42 191 042 trainable parameters with the default sizes."""

    Options = LIPINCOptions
    has_loss_features = True

    def __init__(
        self,
        *,
        frames: int = 8,
        height: int = 64,
        width: int = 144,
        channels: int = 8,
        map_size: int = 8,
        map_channels: int = 3,
        hidden: int = 4096,
        dropout: float = 0.5,
        batch_norm_momentum: float = 0.01,
        input_scale: float = 1.0,
        loss_features: Literal["full", "pooled"] = "full",
    ):
        """Create the network with fresh weights.

        Args:
            frames: frames per clip, N.
            height: mouth height in px.
            width: mouth width in px.
            channels: output channels of the 3D convolutions.
            map_size: side of the maps given to attention, a multiple of 8.
            map_channels: channels of these maps.
            hidden, dropout, batch_norm_momentum, input_scale, loss_features: see `LIPINCOptions`.

        Raises:
            ValueError: the sizes are not supported.
        """
        super().__init__()
        if frames < 3 or height < 2 or width < 2 or map_size % 8:
            raise ValueError("a clip needs at least 3 frames of 2 x 2 px, and map_size a multiple of 8")
        self.input_scale = input_scale
        self.loss_features = loss_features
        self.map_values = map_size * map_size * map_channels

        def branch(depth: int) -> _Branch:
            return _Branch(
                depth=depth,
                height=height,
                width=width,
                channels=channels,
                map_shape=(map_size, map_size, map_channels),
                dropout=dropout,
                batch_norm_momentum=batch_norm_momentum,
            )

        self.frame_branch = branch(frames)
        self.residue_branch = branch(frames - 1)
        self.head = FusionHead(
            channels=2 * map_channels, map_size=map_size, hidden=hidden, batch_norm_momentum=batch_norm_momentum
        )
        self.apply(_initialise)
        for layer in self.head.convolutions:
            if isinstance(layer, nn.Conv2d):
                _he_normal(layer.weight)  # published for the head's convolutions

    @classmethod
    def from_options(cls, options: LIPINCOptions, clip: ClipShape) -> "LIPINC":
        """See `MouthModel.from_options`."""
        return cls(frames=clip.frames, height=clip.height, width=clip.width, **asdict(options))

    @classmethod
    def validate(cls, config: Config) -> list[str]:
        """See `MouthModel.validate`."""
        clip, pooling = ClipShape.of(config), 2 if config.model.options.loss_features == "pooled" else 1
        maps = (clip.frames // pooling, clip.height // pooling, clip.width // pooling)
        return [
            *super().validate(config),
            *(feature_map_problems(*maps) if config.loss.inconsistency else ()),
        ]

    def classifier(self) -> nn.Linear:
        """See `MouthModel.classifier`."""
        return self.head.dense[-1]

    def forward(
        self, frames: torch.Tensor, residues: torch.Tensor, *, loss_features: bool = False
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Classify clips.

        Args:
            frames: (B, N, H, W, 3) uint8 or float, BGR, 0..255.
            residues: (B, N - 1, H, W, 3) uint8 or float, 0..255.
            loss_features: also return feature maps of the frame branch for the inconsistency loss.

        Returns:
            Logits (B, 2), class 1 = fake. With `loss_features` also the maps, according to the option `loss_features`.
            full: (B, N, channels, H, W), the convolution output after ReLU. pooled: (B, N // 2, channels, H // 2,
            W // 2), the same after max pooling.
        """
        frame_map, full, pooled = self.frame_branch(_channels_first(frames, self.input_scale))
        residue_map, _, _ = self.residue_branch(_channels_first(residues, self.input_scale))
        colour = published_attention(residue_map, frame_map, frame_map, self.map_values)
        structure = published_attention(frame_map, residue_map, residue_map, self.map_values)
        fusion = published_attention(structure, colour, colour, self.map_values)
        logits = self.head(torch.cat([residue_map, fusion], dim=-1))  # (B, 8, 8, 6) -> (B, 2)
        if not loss_features:
            return logits
        return logits, {"full": full, "pooled": pooled}[self.loss_features].transpose(1, 2)


class _Branch(nn.Module):
    """Convolutional branch: mouths (B, 3, T, H, W) -> a map (B, 8, 8, 3)."""

    def __init__(
        self,
        *,
        depth: int,
        height: int,
        width: int,
        channels: int,
        map_shape: tuple[int, int, int],
        dropout: float,
        batch_norm_momentum: float,
    ):
        super().__init__()
        self.map_shape = map_shape
        self.convolution = nn.Conv3d(3, channels, 3, padding="same")
        self.pool = nn.MaxPool3d(2)
        self.norm = nn.BatchNorm3d(channels, eps=BATCH_NORM_EPSILON, momentum=batch_norm_momentum)
        self.dropout = nn.Dropout(dropout)
        map_values = map_shape[0] * map_shape[1] * map_shape[2]
        self.dense = nn.Linear((depth // 2) * (height // 2) * (width // 2) * channels, map_values)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the map, and the convolution output before and after pooling, (B, channels, T, H, W)."""
        full = torch.relu(self.convolution(x))
        pooled = self.pool(full)
        x = self.dropout(self.norm(pooled))
        # Flatten as (B, T, H, W, C): the order of the published dense weights.
        x = torch.relu(self.dense(x.permute(0, 2, 3, 4, 1).flatten(1)))
        return x.unflatten(1, self.map_shape), full, pooled


def _channels_first(mouths: torch.Tensor, scale: float) -> torch.Tensor:
    """Convert (B, T, H, W, 3) of any dtype to (B, 3, T, H, W) float. The memory layout stays channels-last."""
    return to_float(mouths.permute(0, 4, 1, 2, 3)) * scale


def _he_normal(weight: torch.Tensor) -> None:
    """Initialise as Keras' he_normal: variance 2 / fan-in after truncation at two standard deviations."""
    deviation = math.sqrt(2 / weight[0].numel()) / 0.87962566  # standard deviation of the truncated standard normal
    nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)


def _initialise(layer: nn.Module) -> None:
    """Initialise as published: he_uniform for the branches, Keras' glorot_uniform elsewhere, zero biases."""
    if isinstance(layer, _Branch):
        for inner in (layer.convolution, layer.dense):
            nn.init.kaiming_uniform_(inner.weight, nonlinearity="relu")
            nn.init.zeros_(inner.bias)
    elif isinstance(layer, FusionHead):
        for inner in layer.modules():
            if isinstance(inner, nn.Linear | nn.Conv2d):
                nn.init.xavier_uniform_(inner.weight)
                nn.init.zeros_(inner.bias)
