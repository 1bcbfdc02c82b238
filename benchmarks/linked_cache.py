"""Large synthetic caches of little disk: a hundred different clips behind as many names as there are videos."""

import os

import numpy as np

from lipinc.config import Config
from lipinc.data.cache import OK, Cache, ManifestRow, write_clips
from lipinc.data.catalog import Label, VideoRecord
from lipinc.video.extract import Clips
from lipinc.video.mouth import residues

DIFFERENT = 100
"""Clips that are really there."""
PER_PERSON = 10
"""Videos of one person, half of them fake."""


def fill(config: Config, videos: int) -> list[ManifestRow]:
    """Make the cache of a config, of one window a video: hard links to a hundred files."""
    cache = Cache.of(config)
    cache.prepare()
    rows, written = [], {}
    for video in range(videos):
        label, person = Label(video % 2), f"id{video // PER_PERSON:05d}"
        record = VideoRecord(f"{label.name.lower()}/{person}/{video:06d}.mp4", label, identity=person)
        file, copy = cache.clips_file(record.key), video % DIFFERENT
        if copy in written:
            file.parent.mkdir(parents=True, exist_ok=True)
            os.link(written[copy][0], file)
        else:
            clips = striped_clip(np.random.default_rng(copy), fake=label == Label.FAKE, config=config)
            written[copy] = file, write_clips(file, clips, cache.settings, record.key, size=1)
        rows.append(ManifestRow(record, OK, **written[copy][1]))
    cache.finish(rows, config.data)
    return rows


def striped_clip(random: np.random.Generator, *, fake: bool, config: Config) -> Clips:
    """One window of smooth moving stripes; a fake's frames flicker."""
    count = config.sampling.local_frames + config.sampling.global_frames
    rows, columns = np.mgrid[: config.mouth.height, : config.mouth.width]
    phase = random.uniform(0, 6) + 0.1 * np.arange(count)[None, :, None, None]
    image = 128 + 60 * np.sin(rows / 4 + columns / 7 + phase)
    if fake:
        image = image + random.normal(0, 40, size=(1, count, 1, 1))
    frames = np.repeat(image[..., None], 3, axis=-1).clip(0, 255).astype(np.uint8)
    return Clips(
        frames=frames,
        residues=residues(frames, config.mouth.residue),
        sizes=np.array([[config.mouth.height, config.mouth.width]], dtype=np.int32),
        frame_ids=np.arange(count, dtype=np.int32)[None],
        times=np.arange(count, dtype=np.float64)[None] / 25,
        pose_ratios=random.random((1, count, 4)).astype(np.float32),
        nearest=np.zeros(1, dtype=np.uint8),
        faces=np.zeros(1, dtype=np.int32),
        video_frames=100,
        face_frames=100,
    )
