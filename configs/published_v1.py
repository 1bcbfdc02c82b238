"""LIPINC (V1) trained as published, as far as the paper and its code say; for comparisons.

    python preprocess_extract_lips.py --config configs/published_v1.py
    python train_pipeline.py --config configs/published_v1.py

Published: the clips and residues of configs/official_v1.py, pixels of 0 to 255, cross-entropy plus five times the
inconsistency loss on the full feature maps, Adam with a learning rate of 1e-3 and Keras' epsilon of 0.1, in float32,
no augmentation.

Not published, and ours: epochs, batch size, how an epoch is selected, class weights (real and fake clips are drawn
equally often), and the split. The published inconsistency loss cannot be run; ours is what the paper describes, over
the pairs of different frames. In the published code class 1 is real. Here class 1 is fake, which is the same
experiment; `lipinc convert` swaps the two outputs of the authors' weights.

docs/results.md says what is wrong with this recipe: the inconsistency loss dominates, does not fall, and its sign is
wrong on real mouths.
"""

from dataclasses import replace

from lipinc.config import AugmentConfig, LossConfig, ModelConfig, TrainConfig, load_config
from lipinc.datasets import FakeAVCeleb

config = replace(
    load_config("official_v1"),
    name="published_v1",
    data=FakeAVCeleb(fake_methods=("wav2lip",)),
    model=ModelConfig(
        "lipinc", dropout=0.5, hidden=4096, batch_norm_momentum=0.01, input_scale=1.0, loss_features="full"
    ),
    loss=LossConfig(classification=1.0, inconsistency=5.0, label_smoothing=0.0),
    augment=AugmentConfig(flip=0.0),
    train=TrainConfig(
        epochs=40,
        patience=10,
        batch_size=32,
        optimizer="keras_adam",
        learning_rate=1e-3,
        adam_epsilon=0.1,
        schedule="constant",
        clip_gradient=0.0,
        amp=False,
    ),
)
