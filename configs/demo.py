"""Demo experiment: the complete pipeline on the demo corpus, in a few minutes on a laptop (`make demo`)."""

from lipinc.config import (
    AugmentConfig,
    CacheConfig,
    Config,
    ModelConfig,
    SamplingConfig,
    SplitConfig,
    TrainConfig,
)
from lipinc.datasets import FakeAVCeleb

config = Config(
    name="demo",
    data=FakeAVCeleb(
        root="data/demo",
        max_missing=0.1,
        note="demo corpus, rendered from two portraits: it proves the machinery and says nothing about real deepfakes",
    ),
    cache=CacheConfig(path="cache/demo"),
    sampling=SamplingConfig(windows=8),
    split=SplitConfig(train=0.6, validation=0.2, test=0.2),
    model=ModelConfig("lipinc", batch_norm_momentum=0.1, input_scale=1 / 255, loss_features="pooled"),
    augment=AugmentConfig(flip=0.5),
    train=TrainConfig(
        epochs=6,
        optimizer="adamw",
        learning_rate=1e-4,
        adam_epsilon=1e-8,
        clips_per_epoch=192,
        loader_workers=0,
    ),
)
