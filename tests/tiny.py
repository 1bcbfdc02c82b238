"""A config whose runs take seconds, also as a file for the commands."""

from dataclasses import replace
from pathlib import Path

from lipinc.config import (
    AugmentConfig,
    CacheConfig,
    Config,
    EvaluateConfig,
    ModelConfig,
    MouthConfig,
    SamplingConfig,
    SplitConfig,
    TrainConfig,
)


def tiny_config(folder: Path, **changes) -> Config:
    """A config whose mouths are 16 x 24 px and whose runs take seconds; everything lies below `folder`."""
    config = Config(
        name="tiny",
        output=str(folder / "outputs"),
        mouth=MouthConfig(height=16, width=24),
        sampling=SamplingConfig(windows=3),
        cache=CacheConfig(path=str(folder / "cache")),
        split=SplitConfig(train=0.6, validation=0.2, test=0.2),
        model=ModelConfig("lipinc", batch_norm_momentum=0.1, hidden=64, loss_features="pooled"),
        augment=AugmentConfig(flip=0.5, brightness=0.1),
        train=TrainConfig(
            epochs=2,
            batch_size=8,
            optimizer="adamw",
            learning_rate=3e-4,
            adam_epsilon=1e-8,
            loader_workers=0,
            device="cpu",
        ),
        evaluate=EvaluateConfig(bootstrap=50),
    )
    return replace(config, **changes)


def config_source(config: Config) -> str:
    """A config file that gives this config."""
    return f"from lipinc.config import *\nfrom lipinc.datasets import *\n\nconfig = {config!r}\n"
