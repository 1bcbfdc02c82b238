import numpy as np
import pytest
import torch

from lipinc.batches.augment import augment
from lipinc.config import AugmentConfig

EVERYTHING = AugmentConfig(flip=0.5, shift=0.2, brightness=0.3, contrast=0.3, compression=0.5, blur=0.5, rescale=0.5)


def clip(seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (8, 16, 24, 3), dtype=np.uint8))


def test_shape_type_and_seed():
    first, again, other = (augment(clip(), EVERYTHING, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (8, 16, 24, 3)
    assert first.dtype == torch.uint8
    assert first.is_contiguous()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_off_changes_nothing():
    off = AugmentConfig(flip=0)
    assert not off.active()
    assert torch.equal(augment(clip(), off, np.random.default_rng(0)), clip())


@pytest.mark.parametrize("name", ["shift", "brightness", "contrast", "compression", "blur", "rescale"])
def test_each_setting_changes_pixels_and_alone(name):
    alone = AugmentConfig(**{"flip": 0, name: 1.0 if name not in ("brightness", "contrast") else 0.5})
    assert alone.active() == [name]
    assert not torch.equal(augment(clip(), alone, np.random.default_rng(0)), clip())


def test_shift_moves_whole_pixels_and_repeats_the_edge():
    moves = set()
    for seed in range(40):
        moved = augment(clip(), AugmentConfig(flip=0, shift=0.2), np.random.default_rng(seed))
        (down, right), *others = [
            (down, right)
            for down in range(-3, 4)
            for right in range(-5, 6)
            if torch.equal(moved[:, 4:12, 6:18], clip()[:, 4 - down : 12 - down, 6 - right : 18 - right])
        ]
        assert not others
        moves.add((down, right))
        if down > 0:
            assert torch.equal(moved[:, 0], moved[:, down])
        if right < 0:
            assert torch.equal(moved[:, :, -1], moved[:, :, right - 1])
    assert {down for down, _ in moves} == set(range(-3, 4))
    assert min(right for _, right in moves) <= -4 and max(right for _, right in moves) >= 4


def test_flip_mirrors_left_and_right():
    assert torch.equal(augment(clip(), AugmentConfig(flip=1.0), np.random.default_rng(0)), clip().flip(2))


@pytest.mark.parametrize("seed", range(20))
def test_the_same_for_all_frames_of_a_clip(seed):
    still = clip()[:1].repeat(8, 1, 1, 1)
    changed = augment(still, EVERYTHING, np.random.default_rng(seed))
    assert (changed == changed[:1]).all()


def test_colours_are_bgr():
    """Contrast pulls towards the grey value, which weighs red by 0.3 and blue by 0.11."""
    blue = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    blue[..., 0] = 255
    red = blue.flip(-1)
    low = AugmentConfig(flip=0, contrast=0.999)
    random = np.random.default_rng(3)  # draws a factor well below 1
    grey_of_blue = augment(blue, low, random)[..., 2].float().mean()
    grey_of_red = augment(red, low, np.random.default_rng(3))[..., 0].float().mean()
    assert grey_of_red > 2 * grey_of_blue > 0


def test_contrast_leaves_still_parts_of_a_moving_clip_still():
    moving = clip()
    moving[:, :, :12] = moving[:1, :, :12]  # the left half stands still, the right one changes from frame to frame
    changed = augment(moving, AugmentConfig(flip=0, contrast=0.5), np.random.default_rng(0))
    assert (changed[:, :, :12] == changed[:1, :, :12]).all()
    assert not torch.equal(changed, moving)
