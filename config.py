"""FakeAVCeleb experiment: LIPINC (V1) on the lip-sync part of FakeAVCeleb. The default config of all scripts.

lipinc/config/schema.py documents all settings; this file contains those specific to the experiment. To change settings,
use command-line flags (--train.epochs 5), or copy this file and pass it with --config.
"""

from lipinc.config import AugmentConfig, CacheConfig, Config, ModelConfig, TrainConfig
from lipinc.datasets import FakeAVCeleb

config = Config(
    name="fakeavceleb_lipinc",
    data=FakeAVCeleb(
        root="data/FakeAVCeleb_v1.2",  # the folder with meta_data.csv and RealVideo-RealAudio/
        fake_methods=("wav2lip",),
    ),
    cache=CacheConfig(path="cache/fakeavceleb"),
    model=ModelConfig("lipinc"),
    augment=AugmentConfig(flip=0.5, brightness=0.2, contrast=0.2, compression=0.3, blur=0.1, rescale=0.1),
    train=TrainConfig(epochs=40, patience=10, batch_size=32, optimizer="adam", learning_rate=1e-3, adam_epsilon=0.1),
)
