"""LIPINC (V1) on your own videos, with a CSV index of paths, labels and people.

    python preprocess_extract_lips.py --config configs/own_clips.py --data.root CLIPS --data.index CLIPS/clips.csv

For a few hundred videos: a short cosine schedule without early stopping, and augmentation by shifts, brightness and
contrast. The inconsistency loss is off, because it did not help on the clips of docs/results.md.
"""

from lipinc.config import (
    AugmentConfig,
    CacheConfig,
    Config,
    LossConfig,
    ModelConfig,
    MouthConfig,
    SamplingConfig,
    SplitConfig,
    TrainConfig,
)
from lipinc.datasets import CsvIndex

config = Config(
    name="own_clips",
    data=CsvIndex(root="data/clips", index="data/clips/clips.csv", columns={"path": "file", "identity": "person"}),
    mouth=MouthConfig(
        aligned_size=512
    ),  # at 256, mouths of high-resolution videos would be downscaled and upscaled again
    sampling=SamplingConfig(windows=16, fallback="nearest"),
    cache=CacheConfig(path="cache/own_clips"),
    split=SplitConfig(train=0.6, validation=0.2, test=0.2),
    model=ModelConfig("lipinc", batch_norm_momentum=0.1, input_scale=1 / 255),
    loss=LossConfig(inconsistency=0.0),
    augment=AugmentConfig(flip=0.5, shift=0.06, brightness=0.2, contrast=0.2),
    train=TrainConfig(
        epochs=4,
        select="last",
        clips_per_epoch=960,
        optimizer="adamw",
        learning_rate=1e-4,
        adam_epsilon=1e-8,
        weight_decay=0.01,
        schedule="cosine",
        warmup=0.3,
        loader_workers=0,
    ),
)
