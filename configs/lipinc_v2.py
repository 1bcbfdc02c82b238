"""LIPINC-V2 on FakeAVCeleb: the experiment of config.py with the other network, on the same cache."""

from dataclasses import replace

from config import config as lipinc
from lipinc.config import ModelConfig

config = replace(lipinc, name="fakeavceleb_lipinc_v2", model=ModelConfig(name="lipinc_v2"))
