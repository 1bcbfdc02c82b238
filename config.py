"""FakeAVCeleb experiment: LIPINC (V1) on the lip-sync part of FakeAVCeleb. The default config of all scripts.

lipinc/config/schema.py documents all settings; this file contains those specific to the experiment. To change settings,
use command-line flags (--train.epochs 5), or copy this file and pass it with --config.

The recipe is that of configs/own_clips.py, LIPINC on noise maps in place of pixels, which was chosen on other clips
(docs/results.md). It has not been run on FakeAVCeleb.
"""

from lipinc.config import (
    AugmentConfig,
    CacheConfig,
    Config,
    LossConfig,
    ModelConfig,
    MouthConfig,
    SamplingConfig,
    TrainConfig,
)
from lipinc.datasets import FakeAVCeleb

config = Config(
    name="fakeavceleb_lipinc",
    data=FakeAVCeleb(
        root="data/FakeAVCeleb_v1.2",  # the folder with meta_data.csv and RealVideo-RealAudio/
        fake_methods=("wav2lip",),
    ),
    mouth=MouthConfig(cut="native", margin=0.15),
    sampling=SamplingConfig(windows=4),
    cache=CacheConfig(path="cache/fakeavceleb"),
    model=ModelConfig("noise_maps", network="lipinc"),
    loss=LossConfig(inconsistency=0.0, ranking=1.0),
    augment=AugmentConfig(flip=0.0),  # maps are computed once
    train=TrainConfig(
        epochs=5,
        batch_size=32,
        bag=4,
        optimizer="adamw",
        learning_rate=1e-3,
        adam_epsilon=1e-8,
        weight_decay=0.01,
        schedule="cosine",
        warmup=0.2,
        pairs=0.7,  # every fake has the real video of its person
    ),
)
