"""The networks, built from a config."""

from lipinc.config import ModelConfig
from lipinc.errors import UserError
from lipinc.models.lipinc import LIPINC
from lipinc.models.lipinc_v2 import LIPINCV2
from lipinc.models.noise_features import MouthStatistics

__all__ = ["LIPINC", "LIPINCV2", "MouthStatistics", "build_model"]


def build_model(
    config: ModelConfig, *, local_frames: int, global_frames: int, height: int, width: int
) -> LIPINC | LIPINCV2 | MouthStatistics:
    """The network of a config for clips of mouths of height x width px. Raises UserError if it cannot be."""
    shared = {"height": height, "width": width, "batch_norm_momentum": config.batch_norm_momentum}
    if config.hidden:
        shared["hidden"] = config.hidden
    frames = local_frames + global_frames
    try:
        if config.name == "lipinc":
            return LIPINC(frames=frames, dropout=config.dropout, input_scale=config.input_scale, **shared)
        if config.name == "statistics":
            names = ("dropout", "input_dropout", "noise", "levels")
            return MouthStatistics(local_frames=local_frames, **{n: getattr(config, n) for n in names}, **shared)
        return LIPINCV2(attention=config.attention, input_scale=config.input_scale, **shared)
    except ValueError as error:
        raise UserError(f"model {config.name} cannot take {frames} mouths of {height} x {width} px: {error}") from error
