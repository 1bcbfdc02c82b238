"""Default detector: a linear classifier of mouth noise, measured by sources that it was not trained on.

    python preprocess_extract_lips.py --config configs/mouth_noise.py --data.root CLIPS --data.index CLIPS/clips.csv
    lipinc crossval --config mouth_noise --split.folds 8 --split.apart family --calibration out-of-fold

The classifier is fitted within pairs of a fake and its real video. The index names the real video of each fake in its
column pair, and the source of each video in a column source_repo, for --split.apart family.
"""

from dataclasses import replace

from lipinc.config import CacheConfig, LossConfig, ModelConfig, TrainConfig, load_config

noise_features = load_config("noise_features")

config = replace(
    noise_features,
    name="mouth_noise",
    data=replace(
        noise_features.data,
        columns={"path": "file", "identity": "person", "family": "source_repo"},
        conditions=("half", "crf28", "social", "up"),
        forgeries=0,
        other_kinds=("echomimic", "edityourself-i2v", "hallo", "hallo2", "sadtalker"),  # heads driven from a photo
    ),
    cache=CacheConfig(path="cache/mouth_noise", residues=False),
    split=replace(noise_features.split, train=0.8, validation=0.0, train_conditions=("raw", "half", "crf28")),
    model=ModelConfig("noise_discriminant"),
    loss=LossConfig(inconsistency=0.0),
    train=TrainConfig(epochs=1, select="last", loader_workers=0),
)
