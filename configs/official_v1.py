"""LIPINC (V1) as published by the authors, with the clip settings that their weights need.

    pip install dlib-bin face_recognition_models
    lipinc convert FakeAv.hdf5 --out official_v1.safetensors
    python preprocess_extract_lips.py --config configs/official_v1.py --data.root VIDEOS
    python train_pipeline.py --config configs/official_v1.py --data.root VIDEOS --test-only official_v1.safetensors

The second command stores these settings in the checkpoint. Some equal the defaults; they are listed because the weights
depend on them.

With dlib, clips are those of the authors' code, which the tests compare to the bit. Without it, the default landmarks
(MediaPipe's) are used, and every command says so: on ten real clips, boxes of the mouth differed by up to 32 px of 256
and 73 % in height (medians of the clips: 1 to 7 px, 4 to 25 %), and the mean of the residues by a factor of up to 1.6.
"""

from importlib.util import find_spec

from lipinc.config import AugmentConfig, CacheConfig, Config, ModelConfig, MouthConfig, SamplingConfig

HAS_DLIB = all(find_spec(module) for module in ("dlib", "face_recognition_models"))

config = Config(
    name="official_v1",
    mouth=MouthConfig(
        landmarks="dlib" if HAS_DLIB else MouthConfig.landmarks,
        working_width=800,
        aligned_size=256,
        eye=(0.40, 0.40),
        margin=0.0,
        height=64,
        width=144,
        residue="wrapped",
        repeats="keep",
    ),
    sampling=SamplingConfig(
        local_frames=5,
        global_frames=3,
        windows=1,
        fallback="refuse",
        published_quirks=True,
        min_movement=0.0,
    ),
    cache=CacheConfig(path="cache/official_v1"),
    model=ModelConfig("lipinc", input_scale=1.0),
    augment=AugmentConfig(flip=0.0),
)
