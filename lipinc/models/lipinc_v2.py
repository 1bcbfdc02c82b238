"""LIPINC-V2: a network of two vision temporal transformers, on frames and on residues, fused by attention.

Datta, Jia, Lyu: Detecting Lip-Syncing Deepfakes: Vision Temporal Transformer for Analyzing Mouth Inconsistencies,
arXiv 2504.01470.

>>> model = LIPINCV2()
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
from lipinc.models.layers import (
    FusionHead,
    MultiHeadAttention,
    ProjectedAttention,
    published_attention,
)
from lipinc.models.registry import ClipShape, MouthModel, register_model

LAYER_NORM_EPSILON = 1e-3
"""Keras' default, which the published weights were trained with."""
PATCH = 8
"""Side of a patch, in px (published)."""


@dataclass(frozen=True)
class LIPINCV2Options:
    """Options of the model lipinc_v2, the network of the second paper (V2) with 4.6 M parameters."""

    attention: Literal["published", "projected"] = "published"
    """Fusion attention. published: without projections and heads. projected: with learned projections and several
    heads. Kept: for ablations of the paper's attention."""
    hidden: Annotated[int, Range(1)] = 1024
    """Width of the dense layers of the head (published). Kept: small networks for tests and small data sets."""
    batch_norm_momentum: UnitInterval = 0.01
    """Weight of a new batch in the running statistics (published: 0.99 in Keras' convention, 0.01 in PyTorch's). Runs
    of a few hundred steps need about 0.1."""
    input_scale: float = 1.0
    """Factor applied to the 0..255 input (published: 1.0). At 1.0 attention is saturated at the start of training. At
    1 / 255 the position embeddings dominate the pixels. 1 / 16 is a compromise."""


@register_model("lipinc_v2")
class LIPINCV2(MouthModel):
    """The LIPINC-V2 network: 4 590 082 trainable parameters with the default sizes."""

    Options = LIPINCV2Options
    has_loss_features = True

    def __init__(
        self,
        *,
        height: int = 64,
        width: int = 144,
        patch: int = PATCH,
        model_width: int = 128,
        heads: int = 4,
        spatial_blocks: int = 2,
        temporal_blocks: int = 2,
        map_size: int = 8,
        map_channels: int = 3,
        hidden: int = 1024,
        attention: Literal["published", "projected"] = "published",
        batch_norm_momentum: float = 0.01,
        input_scale: float = 1.0,
    ):
        """Create the network with fresh weights. It accepts any number of frames: there is no temporal position.

        Args:
            height: mouth height in px, a multiple of `patch`.
            width: mouth width in px, a multiple of `patch`.
            patch: side of a patch in px.
            model_width: width of the tokens, and key size of each head.
            heads: attention heads of each block.
            spatial_blocks: transformer blocks over the patches of a frame.
            temporal_blocks: transformer blocks over frames.
            map_size: side of the maps given to the fusion attention, a multiple of 8.
            map_channels: channels of these maps.
            hidden, attention, batch_norm_momentum, input_scale: see `LIPINCV2Options`.

        Raises:
            ValueError: the sizes are not supported.
        """
        super().__init__()
        if height % patch or width % patch or map_size % 8:
            raise ValueError("height and width must be multiples of the patch size, and map_size a multiple of 8")
        self.input_scale = input_scale
        self.map_values = map_size * map_size * map_channels

        def transformer() -> VisionTemporalTransformer:
            return VisionTemporalTransformer(
                height=height,
                width=width,
                patch=patch,
                model_width=model_width,
                heads=heads,
                spatial_blocks=spatial_blocks,
                temporal_blocks=temporal_blocks,
            )

        def to_map() -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(model_width, self.map_values),
                nn.ReLU(),
                nn.Unflatten(1, (map_size, map_size, map_channels)),
            )

        self.frame_transformer, self.frame_map = transformer(), to_map()
        self.residue_transformer, self.residue_map = transformer(), to_map()
        if attention == "projected":
            self.colour_attention = ProjectedAttention(channels=map_channels)
            self.structure_attention = ProjectedAttention(channels=map_channels)
            self.fusion_attention = ProjectedAttention(channels=2 * map_channels)
        else:
            self.colour_attention = self.structure_attention = self.fusion_attention = self._published_attention
        self.head = FusionHead(
            channels=4 * map_channels, map_size=map_size, hidden=hidden, batch_norm_momentum=batch_norm_momentum
        )
        self.apply(_initialise)

    @classmethod
    def from_options(cls, options: LIPINCV2Options, clip: ClipShape) -> "LIPINCV2":
        """See `MouthModel.from_options`."""
        return cls(height=clip.height, width=clip.width, **asdict(options))

    @classmethod
    def validate(cls, config: Config) -> list[str]:
        """See `MouthModel.validate`."""
        clip = ClipShape.of(config)
        maps = (clip.frames, clip.height // PATCH, clip.width // PATCH)
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
            loss_features: also return feature maps for the inconsistency loss.

        Returns:
            Logits (B, 2), class 1 = fake. With `loss_features` also the maps (B, N, model_width, H / patch, W / patch):
            the spatial tokens of each frame in the layout of the patches, before averaging. They describe single
            frames, like the convolution output in V1. (The published V2 code uses its input layer, which has no
            gradient.) A sigmoid maps them to (0, 1), the range that the constants of SSIM assume, because tokens after
            layer normalisation are signed.
        """
        frame_vector, tokens = self.frame_transformer(to_float(frames) * self.input_scale)
        residue_vector, _ = self.residue_transformer(to_float(residues) * self.input_scale)
        frame_map, residue_map = self.frame_map(frame_vector), self.residue_map(residue_vector)  # (B, 8, 8, 3)
        colour = torch.cat([frame_map, self.colour_attention(residue_map, frame_map, frame_map)], dim=-1)
        structure = torch.cat([residue_map, self.structure_attention(frame_map, residue_map, residue_map)], dim=-1)
        fusion = self.fusion_attention(structure, colour, colour)  # (B, 8, 8, 6)
        logits = self.head(torch.cat([structure, fusion], dim=-1))  # (B, 8, 8, 12) -> (B, 2)
        return (logits, torch.sigmoid(tokens)) if loss_features else logits

    def _published_attention(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return published_attention(query, key, value, self.map_values)


class VisionTemporalTransformer(nn.Module):
    """Mouths (B, T, H, W, 3) -> a vector (B, model_width), by attention over the patches of a frame, then over
    frames."""

    def __init__(
        self,
        *,
        height: int,
        width: int,
        patch: int,
        model_width: int,
        heads: int,
        spatial_blocks: int,
        temporal_blocks: int,
    ):
        super().__init__()
        self.patch = patch
        self.grid = (height // patch, width // patch)
        self.projection = nn.Linear(patch * patch * 3, model_width)
        self.position_embedding = nn.Parameter(torch.randn(1, self.grid[0] * self.grid[1], model_width))
        self.spatial = nn.Sequential(*(_Block(model_width, heads) for _ in range(spatial_blocks)))
        self.temporal = nn.Sequential(*(_Block(model_width, heads) for _ in range(temporal_blocks)))

    def forward(self, mouths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the vector, and the spatial tokens as maps (B, T, model_width, H / patch, W / patch)."""
        batch, time = mouths.shape[:2]
        rows, columns = self.grid
        patches = mouths.reshape(batch * time, rows, self.patch, columns, self.patch, 3).transpose(2, 3)
        patches = patches.reshape(batch * time, rows * columns, -1)  # values of a patch: row, column, channel
        tokens = self.spatial(self.projection(patches) + self.position_embedding)  # (B T, rows columns, width)
        tokens = tokens.unflatten(0, (batch, time))
        vector = self.temporal(tokens.mean(dim=2)).mean(dim=1)
        return vector, tokens.transpose(2, 3).unflatten(3, self.grid)


class _Block(nn.Module):
    """Post-norm transformer block: self-attention, then a feed-forward network of four times the width."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention = MultiHeadAttention(width=width, heads=heads, key_size=width)
        self.attention_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPSILON)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
        self.feed_forward_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.attention_norm(x + self.attention(x))
        return self.feed_forward_norm(x + self.feed_forward(x))


def _initialise(layer: nn.Module) -> None:
    """Initialise as published: Keras' glorot_uniform and zero biases. Position embeddings are standard normal."""
    if isinstance(layer, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    elif isinstance(layer, MultiHeadAttention):  # `apply` visits it after its linear layers
        # Keras computes the fans of the kernels (width, heads, key) and (heads, key, width) as for a convolution.
        width, heads = layer.query.in_features, layer.heads
        key_size = layer.query.out_features // heads
        bound = math.sqrt(6 / (width * (heads + key_size)))
        for projection in (layer.query, layer.key, layer.value):
            nn.init.uniform_(projection.weight, -bound, bound)
        bound = math.sqrt(6 / (heads * (key_size + width)))
        nn.init.uniform_(layer.output.weight, -bound, bound)
