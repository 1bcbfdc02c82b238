"""The two networks, built from a config."""

from lipinc.config import ModelConfig
from lipinc.errors import UserError
from lipinc.models.lipinc import LIPINC
from lipinc.models.lipinc_v2 import LIPINCV2

__all__ = ["LIPINC", "LIPINCV2", "build_model"]


def build_model(config: ModelConfig, *, frames: int, height: int, width: int) -> LIPINC | LIPINCV2:
    """The network of a config for clips of `frames` mouths of height x width px. Raises UserError if it cannot be."""
    shared = {
        "height": height,
        "width": width,
        "batch_norm_momentum": config.batch_norm_momentum,
        "input_scale": config.input_scale,
    }
    if config.hidden:
        shared["hidden"] = config.hidden
    try:
        if config.name == "lipinc":
            return LIPINC(frames=frames, dropout=config.dropout, **shared)
        return LIPINCV2(attention=config.attention, **shared)
    except ValueError as error:
        raise UserError(f"model {config.name} cannot take {frames} mouths of {height} x {width} px: {error}") from error
