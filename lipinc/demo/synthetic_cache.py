"""Caches of synthetic clips, for tests and benchmarks of everything that comes after extraction.

>>> rows = make_cache(config)                                    # a real and a fake video of each of ten people
>>> rows = fill_cache(config, videos=10_000, different=100)      # many videos: hard links to 100 clip files
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lipinc.cache.clip_file import Summary, write_clips
from lipinc.cache.manifest import OK, ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import Config
from lipinc.datasets.records import Label, VideoRecord
from lipinc.video.clips import Clips
from lipinc.video.mouth import residues
from lipinc.video.quality import Quality

GENERATORS = ("alpha", "beta")
"""Generators of the fakes of `make_cache`, by turns."""
QUALITY = Quality(
    face_height=200, sharpness=-4, noise=0.5, blockiness=0.1, frame_rate=25, bits_per_pixel=0.1, repeats=0
)
"""Input quality of all clips: that of a good video."""


def make_clips(random: np.random.Generator, *, fake: bool, config: Config, windows: int = 3) -> Clips:
    """Clips of one video that a model can learn to classify: smooth moving stripes, whose brightness flickers in a
    fake."""
    count, height, width = _shape(config)
    rows, columns = np.mgrid[:height, :width]
    phase = random.uniform(0, 6, size=(windows, 1, 1, 1)) + 0.1 * np.arange(count)[None, :, None, None]
    image = 128 + 60 * np.sin(rows / 4 + columns / 7 + phase)
    if fake:
        image = image + random.normal(0, 40, size=(windows, count, 1, 1))
    frames = np.repeat(image[..., None], 3, axis=-1).clip(0, 255).astype(np.uint8)
    return _clips(random, frames, config)


def make_noise_clips(random: np.random.Generator, *, fake: bool, config: Config, windows: int = 1) -> Clips:
    """Clips of uniform noise, the same for real and fake: the most expensive content for a JPEG round trip."""
    count, height, width = _shape(config)
    frames = random.integers(256, size=(windows, count, height, width, 3), dtype=np.uint8)
    return _clips(random, frames, config)


def make_cache(config: Config, people: int = 10, rejected: tuple[str, ...] = ()) -> list[ManifestRow]:
    """A finished cache with one real and one fake video of each person; returns its manifest.

    Args:
        rejected: keys ("fake/person 3/video.mp4") of videos that are rejected and have no clips.
    """
    cache = Cache.of(config)
    cache.prepare()
    rows = []
    for person in range(people):
        for label in Label:
            key = f"{label.name.lower()}/person {person}/video.mp4"
            generator = "" if label is Label.REAL else GENERATORS[person % 2]
            record = VideoRecord(key, label, identity=f"id{person:02d}", generator=generator, gender="mw"[person % 2])
            if key in rejected:
                rows.append(ManifestRow(record, "no_face", "0 faces in 100 frames", size=1, frames=100))
                continue
            clips = make_clips(np.random.default_rng((person, label)), fake=label is Label.FAKE, config=config)
            about = write_clips(
                cache.clips_file(key), clips, cache.settings, key, size=1, with_residues=config.cache.residues
            )
            rows.append(ManifestRow(record, OK, **about))
    cache.finish(rows, config.data)
    return rows


def fill_cache(
    config: Config,
    videos: int,
    *,
    different: int | None = None,
    videos_per_person: int = 10,
    make: Callable[..., Clips] = make_clips,
) -> list[ManifestRow]:
    """A finished cache of many videos with one clip each, real and fake by turns; returns its manifest.

    Args:
        different: how many clip files are written, an even number; the other videos are hard links to them, so that
            the cache needs little disk space. None: one for each video.
        videos_per_person: every group of so many consecutive videos shows one person.
        make: the content of the clips, `make_clips` or `make_noise_clips`.
    """
    if different is not None and different % 2:
        raise ValueError(f"different must be even, so that a link has the label of its file, not {different}")
    cache = Cache.of(config)
    cache.prepare()
    rows: list[ManifestRow] = []
    written: list[tuple[Path, Summary]] = []
    for video in range(videos):
        label, person = Label(video % 2), f"id{video // videos_per_person:05d}"
        record = VideoRecord(f"{label.name.lower()}/{person}/{video:06d}.mp4", label, identity=person)
        file = cache.clips_file(record.key)
        if different is not None and video >= different:
            original, about = written[video % different]
            file.parent.mkdir(parents=True, exist_ok=True)
            os.link(original, file)
        else:
            clips = make(np.random.default_rng(video), fake=label is Label.FAKE, config=config, windows=1)
            about = write_clips(file, clips, cache.settings, record.key, size=1, with_residues=config.cache.residues)
            written.append((file, about))
        rows.append(ManifestRow(record, OK, **about))
    cache.finish(rows, config.data)
    return rows


def _shape(config: Config) -> tuple[int, int, int]:
    """Mouths of a clip, and their height and width in px."""
    sampling, mouth = config.sampling, config.mouth
    return sampling.local_frames + sampling.global_frames, mouth.height, mouth.width


def _clips(random: np.random.Generator, frames: np.ndarray, config: Config) -> Clips:
    """Clips of these frames (K, N, H, W, 3) uint8."""
    windows, count, height, width, _ = frames.shape
    return Clips(
        frames=frames,
        residues=residues(frames, config.mouth.residue),
        sizes=np.tile(np.int32([height, width]), (windows, 1)),
        frame_ids=np.arange(windows * count, dtype=np.int32).reshape(windows, count),
        times=np.arange(windows * count, dtype=np.float64).reshape(windows, count) / 25,
        pose_ratios=random.random((windows, count, 4)).astype(np.float32),
        nearest=np.zeros(windows, dtype=np.uint8),
        faces=np.zeros(windows, dtype=np.int32),
        quality=np.tile(QUALITY.to_array(), (windows, 1)),
        video_frames=100,
        face_frames=100,
        repeats=0,
    )
