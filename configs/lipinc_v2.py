"""LIPINC-V2 on FakeAVCeleb: the experiment of config.py with the V2 network, on the same cache."""

from dataclasses import replace

from lipinc.config import load_config

fakeavceleb = load_config("fakeavceleb")

config = replace(
    fakeavceleb,
    name="fakeavceleb_lipinc_v2",
    model=fakeavceleb.model.replace(network="lipinc_v2", hidden=1024),
    train=replace(fakeavceleb.train, learning_rate=4e-4),
)
