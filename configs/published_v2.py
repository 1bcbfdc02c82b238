"""LIPINC-V2 trained as published: the experiment of configs/published_v1.py with the V2 network, on the same cache.

The published code takes the inconsistency loss of its input, which has no gradient. Here it compares the spatial tokens
of each frame (lipinc/models/lipinc_v2.py), as V1 compares its convolution output.
"""

from dataclasses import replace

from lipinc.config import ModelConfig, load_config

config = replace(
    load_config("published_v1"),
    name="published_v2",
    model=ModelConfig("lipinc_v2", attention="published", hidden=1024, batch_norm_momentum=0.01, input_scale=1.0),
)
