"""LIPINC (V1) on your own videos, with a CSV index of paths, labels and people.

    python preprocess_extract_lips.py --config configs/own_clips.py --data.root CLIPS --data.index CLIPS/clips.csv

For a few hundred videos: noise maps, a short cosine schedule, no early stopping. The index should name the real video
of each fake in its column pair: the network is trained within such pairs. AUC 0.89 on people that were not trained on;
on sources that were not, 0.87 within a fold and 0.85 pooled over four folds; there it accuses 1.8 % of the real people,
decides 43 % of the videos, and is wrong in 6 % of these (docs/results.md: 368 clips, three seeds; pooled: seed 0).
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
    # aligned_size: at 256, the poses of high-resolution faces would be measured in downscaled ones.
    mouth=MouthConfig(aligned_size=512, cut="native", margin=0.15),
    sampling=SamplingConfig(windows=12, fallback="nearest"),
    cache=CacheConfig(path="cache/own_clips"),
    split=SplitConfig(train=0.6, validation=0.2, test=0.2),
    model=ModelConfig("noise_maps", network="lipinc", batch_norm_momentum=0.1),
    loss=LossConfig(inconsistency=0.0, ranking=1.0),
    augment=AugmentConfig(flip=0.0),
    train=TrainConfig(
        epochs=3,
        select="last",
        clips_per_epoch=1280,
        batch_size=16,
        bag=4,
        optimizer="adamw",
        learning_rate=1e-3,
        adam_epsilon=1e-8,
        weight_decay=0.01,
        schedule="cosine",
        warmup=0.4,
        pairs=0.7,
        loader_workers=0,
    ),
)
