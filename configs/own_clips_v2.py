"""LIPINC-V2 on your own videos: the experiment of configs/own_clips.py with the other network, on the same cache."""

from dataclasses import replace

from configs.own_clips import config as own_clips
from lipinc.config import LossConfig, ModelConfig

config = replace(
    own_clips,
    name="own_clips_v2",
    model=ModelConfig(name="lipinc_v2", batch_norm_momentum=0.1, input_scale=1 / 255),
    loss=LossConfig(features="full"),
)
