"""A small cache of made-up clips, for tests of everything that comes after extraction."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lipinc.cache.clip_file import write_clips
from lipinc.cache.manifest import OK, ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import (
    AugmentConfig,
    CacheConfig,
    Config,
    EvaluateConfig,
    LossConfig,
    ModelConfig,
    MouthConfig,
    SamplingConfig,
    SplitConfig,
    TrainConfig,
)
from lipinc.datasets.records import Label, VideoRecord
from lipinc.video.clips import Clips
from lipinc.video.mouth import residues


def tiny_config(folder: Path, **changes) -> Config:
    """A config whose mouths are 16 x 24 px and whose runs take seconds; everything lies below `folder`."""
    config = Config(
        name="tiny",
        output=str(folder / "outputs"),
        mouth=MouthConfig(height=16, width=24),
        sampling=SamplingConfig(windows=3),
        cache=CacheConfig(path=str(folder / "cache")),
        split=SplitConfig(train=0.6, validation=0.2, test=0.2),
        model=ModelConfig(batch_norm_momentum=0.1, hidden=64),
        loss=LossConfig(features="pooled"),
        augment=AugmentConfig(flip=0.5, brightness=0.1),
        train=TrainConfig(
            epochs=2,
            batch_size=8,
            optimizer="adamw",
            learning_rate=3e-4,
            adam_epsilon=1e-8,
            loader_workers=0,
            device="cpu",
        ),
        evaluate=EvaluateConfig(bootstrap=50),
    )
    return replace(config, **changes)


def make_clips(random: np.random.Generator, *, fake: bool, config: Config, windows: int = 3) -> Clips:
    """Smooth moving stripes; a fake's frames flicker."""
    count, height, width = (
        config.sampling.local_frames + config.sampling.global_frames,
        config.mouth.height,
        config.mouth.width,
    )
    rows, columns = np.mgrid[:height, :width]
    phase = random.uniform(0, 6, size=(windows, 1, 1, 1)) + 0.1 * np.arange(count)[None, :, None, None]
    image = 128 + 60 * np.sin(rows / 4 + columns / 7 + phase)
    if fake:
        image = image + random.normal(0, 40, size=(windows, count, 1, 1))
    frames = np.repeat(image[..., None], 3, axis=-1).clip(0, 255).astype(np.uint8)
    return Clips(
        frames=frames,
        residues=residues(frames, config.mouth.residue),
        sizes=np.tile(np.int32([height, width]), (windows, 1)),
        frame_ids=np.arange(windows * count, dtype=np.int32).reshape(windows, count),
        times=np.arange(windows * count, dtype=np.float64).reshape(windows, count) / 25,
        pose_ratios=random.random((windows, count, 4)).astype(np.float32),
        nearest=np.zeros(windows, dtype=np.uint8),
        faces=np.zeros(windows, dtype=np.int32),
        video_frames=100,
        face_frames=100,
    )


def make_cache(config: Config, people: int = 10, refused: tuple[str, ...] = ()) -> list[ManifestRow]:
    """A finished cache: of each person one real and one fake. refused: keys that get a rejection instead of clips."""
    cache = Cache.of(config)
    cache.prepare()
    rows = []
    for person in range(people):
        for label in Label:
            key = f"{label.name.lower()}/person {person}/video.mp4"
            generator = "-" if label == Label.REAL else ("alpha", "beta")[person % 2]
            record = VideoRecord(key, label, identity=f"id{person:02d}", generator=generator, gender="mw"[person % 2])
            if key in refused:
                rows.append(ManifestRow(record, "no_face", "0 faces in 100 frames", size=1, frames=100))
                continue
            clips = make_clips(np.random.default_rng((person, label)), fake=label == Label.FAKE, config=config)
            about = write_clips(cache.clips_file(key), clips, cache.settings, key, size=1)
            rows.append(ManifestRow(record, OK, **about))
    cache.finish(rows, config.data)
    return rows
