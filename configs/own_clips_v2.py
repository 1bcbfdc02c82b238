"""LIPINC-V2 on your own videos: the experiment of configs/own_clips.py with the V2 network, on the same cache.

AUC 0.87 on people that were not trained on; on sources that were not, 0.84 within a fold and 0.73 pooled (the same
cross-validation, docs/results.md). V2 gains from maps of more cells.
"""

from dataclasses import replace

from lipinc.config import load_config

own_clips = load_config("own_clips")

config = replace(
    own_clips,
    name="own_clips_v2",
    model=own_clips.model.replace(network="lipinc_v2", height=16, width=40, hidden=1024),
    train=replace(own_clips.train, learning_rate=4e-4),
)
