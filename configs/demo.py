"""Demo experiment: the recipe of config.py on the demo corpus, in about a minute of training (`make demo`)."""

from dataclasses import replace

from lipinc.config import CacheConfig, SamplingConfig, SplitConfig, load_config
from lipinc.datasets import FakeAVCeleb

fakeavceleb = load_config("fakeavceleb")

config = replace(
    fakeavceleb,
    name="demo",
    data=FakeAVCeleb(
        root="data/demo",
        max_missing=0.1,
        note="demo corpus, rendered from two portraits: it proves the machinery and says nothing about real deepfakes",
    ),
    cache=CacheConfig(path="cache/demo"),
    sampling=SamplingConfig(windows=8),
    split=SplitConfig(train=0.6, validation=0.2, test=0.2),
    model=fakeavceleb.model.replace(batch_norm_momentum=0.1),  # for a few hundred steps
    train=replace(fakeavceleb.train, epochs=6, clips_per_epoch=192, batch_size=16, loader_workers=0),
)
