"""The authors' LIPINC-V2 as published: the clips of configs/official_v1.py, on the same cache, for the other network.

python -m lipinc.models.keras_weights Best_Weights.hdf5 --out official_v2.safetensors
"""

from dataclasses import replace

from configs.official_v1 import config as official_v1
from lipinc.config import ModelConfig

config = replace(official_v1, name="official_v2", model=ModelConfig(name="lipinc_v2", input_scale=1.0))
