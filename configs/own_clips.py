"""Your own videos with a CSV index: a path, a label and a person for each.

python preprocess_extract_lips.py --config configs/own_clips.py --data.root CLIPS --data.index CLIPS/clips.csv
"""

from lipinc.config import (
    AugmentConfig,
    CacheConfig,
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    SamplingConfig,
    SplitConfig,
    TrainConfig,
)

config = Config(
    name="own_clips",
    data=DataConfig(
        kind="csv", root="data/clips", index="data/clips/clips.csv", columns={"path": "file", "identity": "person"}
    ),
    sampling=SamplingConfig(windows=16, fallback="nearest"),
    cache=CacheConfig(path="cache/own_clips"),
    split=SplitConfig(train=0.6, validation=0.2, test=0.2),
    model=ModelConfig(name="lipinc", batch_norm_momentum=0.1, input_scale=1 / 255),
    loss=LossConfig(features="pooled"),
    augment=AugmentConfig(flip=0.5),
    train=TrainConfig(epochs=6, patience=6, optimizer="adamw", learning_rate=1e-4, adam_epsilon=1e-8, loader_workers=0),
)
