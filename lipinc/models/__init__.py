"""Models that classify clips. Each model is one file; `--model.name` selects one."""

from lipinc.models.lipinc import LIPINC
from lipinc.models.lipinc_v2 import LIPINCV2
from lipinc.models.noise_discriminant import NoiseDiscriminant
from lipinc.models.noise_features import NoiseFeatures
from lipinc.models.noise_maps import NoiseMaps
from lipinc.models.registry import ClipShape, MouthModel, build_model, register_model

__all__ = [
    "LIPINC",
    "LIPINCV2",
    "ClipShape",
    "MouthModel",
    "NoiseDiscriminant",
    "NoiseFeatures",
    "NoiseMaps",
    "build_model",
    "register_model",
]
