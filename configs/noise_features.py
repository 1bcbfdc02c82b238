"""Predecessor of the default detector: noise features of native mouth crops, with pseudo-fakes and H.264 compression.

    python preprocess_extract_lips.py --config configs/noise_features.py --data.root CLIPS --data.index CLIPS/clips.csv
    python train_pipeline.py --config configs/noise_features.py

docs/results.md describes how the settings were chosen, and what did not help.
"""

from dataclasses import replace

from lipinc.config import AugmentConfig, CacheConfig, LossConfig, ModelConfig, MouthConfig, load_config

own_clips = load_config("own_clips")

config = replace(
    own_clips,
    name="noise_features",
    data=replace(own_clips.data, conditions=("crf28",), forgeries=3),
    mouth=MouthConfig(aligned_size=512, cut="native", margin=0.15),
    sampling=replace(own_clips.sampling, windows=12),
    cache=CacheConfig(path="cache/noise_features"),
    model=ModelConfig("noise_features", levels=3, batch_norm_momentum=0.05),
    loss=LossConfig(inconsistency=0.0, label_smoothing=0.1),
    augment=AugmentConfig(flip=0.0),
    train=replace(
        own_clips.train,
        epochs=5,
        clips_per_epoch=6400,
        batch_size=128,
        bag=4,
        learning_rate=2e-3,
        weight_decay=0.2,
        warmup=0.0,
        pairs=0.0,
    ),
)
