"""LIPINC-V2 on FakeAVCeleb: the experiment of config.py with the V2 network, on the same cache."""

from dataclasses import replace

from lipinc.config import ModelConfig, load_config

config = replace(
    load_config("fakeavceleb"), name="fakeavceleb_lipinc_v2", model=ModelConfig("lipinc_v2", pixels="detail")
)
