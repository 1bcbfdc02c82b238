import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from lipinc.batches.clip_dataset import ClipDataset, Draw
from lipinc.batches.loaders import evaluation_loader
from lipinc.cache.clip_file import read_clips, read_window, write_clips
from lipinc.cache.manifest import OK
from lipinc.cache.store import Cache
from lipinc.config import AugmentConfig
from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.video.mouth import fit_mouths, residues
from tests.tiny import tiny_config


def test_without_augmentation_clips_are_the_cached_ones(config, rows):
    cache = Cache.of(config)
    batches = list(evaluation_loader(ClipDataset(cache, rows), config.train, pin=False))
    frames, residue = (torch.cat([getattr(batch, name) for batch in batches]) for name in ("frames", "residues"))
    expected = [read_clips(cache.clips_file(row.record.key)) for row in rows]
    np.testing.assert_array_equal(frames, np.concatenate([clips.frames for clips in expected]))
    np.testing.assert_array_equal(residue, np.concatenate([clips.residues for clips in expected]))
    assert frames.dtype == residue.dtype == torch.uint8
    assert torch.cat([batch.labels for batch in batches]).tolist() == [0, 0, 0, 1, 1, 1] * 4
    assert torch.cat([batch.videos for batch in batches]).tolist() == [video for video in range(8) for _ in range(3)]


def native_cache(config, sizes=((20, 40), (12, 30), (16, 24))):
    """The cache of native mouths of one person, whose windows have these sizes; and its rows."""
    config = replace(config, mouth=replace(config.mouth, cut="native"))
    rows = make_cache(config, people=1)
    cache, random = Cache.of(config), np.random.default_rng(0)
    for number, row in enumerate(rows):
        file = cache.clips_file(row.record.key)
        frames = np.zeros((3, 8, 20, 40, 3), np.uint8)
        for window, (height, width) in zip(frames, sizes, strict=True):
            window[:, :height, :width] = random.integers(256, size=(8, height, width, 3))
        clips = replace(read_clips(file), frames=frames, residues=residues(frames, "wrapped"), sizes=np.int32(sizes))
        about = write_clips(file, clips, cache.settings, row.record.key, size=1)
        rows[number] = replace(row, **about)
    return cache, rows


def test_native_mouths_are_brought_to_the_size_of_the_config(config):
    cache, rows = native_cache(config)
    batch = ClipDataset(cache, rows).__getitems__([Draw(clip, ()) for clip in range(6)])
    assert batch.frames.shape == (6, 8, 16, 24, 3)
    for clip, (frames, residue) in enumerate(zip(batch.frames.numpy(), batch.residues.numpy(), strict=True)):
        own, _ = read_clips(cache.clips_file(rows[clip // 3].record.key)).window(clip % 3)
        assert np.array_equal(frames, fit_mouths(own, 16, 24)) and np.array_equal(residue, residues(frames, "wrapped"))


def test_damaged_native_mouths_are_named(config):
    cache, rows = native_cache(config)
    dataset, file = ClipDataset(cache, rows), cache.clips_file(rows[0].record.key)
    dataset.__getitems__([Draw(0, ())])
    file.write_bytes(file.read_bytes()[:100])  # after its checksum was verified
    with pytest.raises(UserError, match="person 0/video.mp4.safetensors is damaged or missing"):
        dataset.__getitems__([Draw(1, ())])


@pytest.mark.parametrize("mode", ["wrapped", "absolute"])
def test_residues_fit_the_augmented_frames(tmp_path, mode):
    config = tiny_config(tmp_path)
    config = replace(config, mouth=replace(config.mouth, residue=mode))
    dataset = ClipDataset(Cache.of(config), make_cache(config, people=1), AugmentConfig(flip=1.0, brightness=0.4))
    batch = dataset.__getitems__([Draw(0, (1, 2, 3)), Draw(4, (1, 2, 4))])
    np.testing.assert_array_equal(batch.residues, residues(batch.frames.numpy(), mode))
    plain = ClipDataset(Cache.of(config), make_cache(config, people=1)).__getitems__([Draw(0, ()), Draw(4, ())]).frames
    assert not any(torch.equal(one, other) for one, other in zip(batch.frames, plain, strict=True))


def test_groups_follow_labels_and_versions(config, rows):
    forged = [replace(row, record=row.record.forged(0)) for row in rows if row.record.label == 0]
    dataset = ClipDataset(Cache.of(config), [*rows, *forged])
    assert dataset.groups.tolist() == [0, 0, 0, 1, 1, 1] * 4 + [2] * 12
    assert dataset.labels.tolist() == [min(group, 1) for group in dataset.groups]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_is_named(config, rows, workers):
    file = Cache.of(config).clips_file(rows[2].record.key)
    file.write_bytes(file.read_bytes()[:100])
    train = replace(config.train, loader_workers=workers)
    with pytest.raises(UserError, match="person 1/video.mp4.safetensors is damaged or missing") as caught:
        list(evaluation_loader(ClipDataset(Cache.of(config), rows), train, pin=False))
    caught.value.__traceback__ = None  # it holds the loader, in cycles: torch would wait 5 s for processes of garbage
    del caught


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:3],
        lambda content: (2).to_bytes(8, "little") + b"[]" + content[10:],
        lambda content: content.replace(b'"U8","shape":[3,8,16,24,3]', b'"U8","shape":[3,8,24,16,3]', 1),
        None,
    ],
    ids=["cut at the end", "cut in the header", "another header", "mouths of another size", "gone"],
)
def test_every_kind_of_damage_is_named(config, rows, damage):
    file = Cache.of(config).clips_file(rows[0].record.key)
    content = file.read_bytes()
    file.unlink()
    if damage is not None:
        assert damage(content) != content
        file.write_bytes(damage(content))
    with pytest.raises(UserError, match="person 0/video.mp4.safetensors is damaged or missing"):
        read_window(file, 0, np.empty((8, 16, 24, 3), np.uint8))  # which checksums do not guard


def test_content_that_is_not_what_was_written_is_named(config, rows):
    file = Cache.of(config).clips_file(rows[0].record.key)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="person 0/video.mp4.safetensors is damaged or missing .its SHA-256 differs"):
        ClipDataset(Cache.of(config), rows).__getitems__([Draw(0, ())])


def test_a_file_made_again_meanwhile_is_read_where_its_frames_are_now(config, rows):
    cache = Cache.of(config)
    dataset, file = ClipDataset(cache, rows), cache.clips_file(rows[0].record.key)
    before, clips = dataset.__getitems__([Draw(1, ())]).frames, read_clips(file)
    write_clips(file, clips, cache.settings, "a longer name of the same video", size=1)
    assert torch.equal(dataset.__getitems__([Draw(1, ())]).frames, before)


def test_no_file_stays_open(config, rows):
    dataset = ClipDataset(Cache.of(config), rows)
    before = len(os.listdir("/proc/self/fd"))
    dataset.__getitems__([Draw(clip, ()) for clip in range(len(dataset))])
    assert len(os.listdir("/proc/self/fd")) == before


def test_refused_videos_have_no_clips(config):
    rows = make_cache(config, people=2, rejected=("real/person 0/video.mp4",))
    dataset = ClipDataset(Cache.of(config), [row for row in rows if row.status == OK])
    assert len(dataset) == 9
