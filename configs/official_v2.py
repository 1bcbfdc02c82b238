"""LIPINC-V2 as published by the authors, with the clips and the cache of configs/official_v1.py.

Usage:

    lipinc convert Best_Weights.hdf5 --out official_v2.safetensors
"""

from dataclasses import replace

from lipinc.config import ModelConfig, load_config

config = replace(load_config("official_v1"), name="official_v2", model=ModelConfig("lipinc_v2", input_scale=1.0))
