"""LIPINC-V2 on your own videos: the experiment of configs/own_clips.py with the V2 network, on the same cache.

AUC 0.74 raw, and fakes above their own real videos in 96 %, by the same cross-validation (docs/results.md).
"""

from dataclasses import replace

from lipinc.config import ModelConfig, load_config

own_clips = load_config("own_clips")

config = replace(
    own_clips,
    name="own_clips_v2",
    model=ModelConfig("lipinc_v2", batch_norm_momentum=0.1, pixels="detail"),
    train=replace(own_clips.train, epochs=3, clips_per_epoch=1280, learning_rate=2e-4),
)
