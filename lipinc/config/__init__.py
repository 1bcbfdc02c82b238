"""Experiment configuration: schema, command line, config files and serialisation."""

from lipinc.config.command_line import experiment, one_per_config, parse_command_line
from lipinc.config.loading import load_config
from lipinc.config.schema import (
    AugmentConfig,
    CacheConfig,
    Config,
    DataConfig,
    EvaluateConfig,
    LossConfig,
    ModelConfig,
    MouthConfig,
    SamplingConfig,
    SplitConfig,
    TrainConfig,
)
from lipinc.config.serialization import from_json, to_json

__all__ = [
    "AugmentConfig",
    "CacheConfig",
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "LossConfig",
    "ModelConfig",
    "MouthConfig",
    "SamplingConfig",
    "SplitConfig",
    "TrainConfig",
    "experiment",
    "from_json",
    "load_config",
    "one_per_config",
    "parse_command_line",
    "to_json",
]
