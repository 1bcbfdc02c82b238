"""Default detector: a linear classifier of mouth noise, measured by sources that it was not trained on.

    python preprocess_extract_lips.py --config configs/mouth_noise.py --data.root CLIPS --data.index CLIPS/clips.csv
    lipinc crossval --config mouth_noise --split.folds 8 --split.apart family --calibration out-of-fold

The classifier is fitted within pairs of a fake and its real video. The index names the real video of each fake in its
column pair, and the source of each video in a column source_repo, for --split.apart family.
"""

from dataclasses import replace

from lipinc.config import AugmentConfig, CacheConfig, LossConfig, ModelConfig, TrainConfig, load_config

own_clips = load_config("own_clips")

config = replace(
    own_clips,
    name="mouth_noise",
    data=replace(
        own_clips.data,
        columns={"path": "file", "identity": "person", "family": "source_repo"},
        conditions=("half", "crf28", "social", "up"),
        other_kinds=("echomimic", "edityourself-i2v", "hallo", "hallo2", "sadtalker"),  # heads driven from a photo
    ),
    mouth=replace(own_clips.mouth, cut="native", margin=0.15),
    sampling=replace(own_clips.sampling, windows=12),
    cache=CacheConfig(path="cache/mouth_noise", residues=False),
    split=replace(own_clips.split, train=0.8, validation=0.0, train_conditions=("raw", "half")),
    model=ModelConfig("noise_discriminant"),
    loss=LossConfig(inconsistency=0.0),
    augment=AugmentConfig(flip=0.0),
    train=TrainConfig(epochs=1, select="last", loader_workers=0),
)
