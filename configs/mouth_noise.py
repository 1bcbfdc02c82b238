"""Default detector: a linear classifier of mouth noise, measured by sources that it was not trained on.

    python preprocess_extract_lips.py --config configs/mouth_noise.py --data.root CLIPS --data.index CLIPS/clips.csv
    lipinc crossval --config mouth_noise --split.folds 8 --split.apart family --calibration out-of-fold

The features are those of configs/noise_features.py, of brightness only: colours and hidden layers detect better on
known sources and worse on others (docs/results.md). The index may name the
source of each video in a column source_repo, for --split.apart family.
"""

from dataclasses import replace

from lipinc.config import CacheConfig, ModelConfig, load_config

noise_features = load_config("noise_features")

config = replace(
    noise_features,
    name="mouth_noise",
    data=replace(
        noise_features.data,
        columns={"path": "file", "identity": "person", "family": "source_repo"},
        conditions=("half", "crf28", "social", "up"),
        forgeries=0,
    ),
    cache=CacheConfig(path="cache/mouth_noise"),
    split=replace(noise_features.split, train_conditions=("raw", "half")),
    model=ModelConfig(
        "noise_features",
        levels=3,
        hidden=0,
        chroma=False,
        input_dropout=0.0,
        input_noise=0.1,
        batch_norm_momentum=0.05,
    ),
    loss=replace(noise_features.loss, label_smoothing=0.0),
    train=replace(noise_features.train, epochs=20, learning_rate=5e-3, weight_decay=0.05, bag=12),
)
