"""NoiseMeasures: by pictures whose measures are known."""

import numpy as np
import pytest
import torch

from lipinc.models.noise_measures import NoiseMeasures

SIZE = (64, 144)
MEASURES = NoiseMeasures(5, 4, regions=True)


def measure(frames: np.ndarray) -> dict[str, float]:
    """Frames [N, H, W] or [N, H, W, 3] -> features by name."""
    frames = np.repeat(frames[..., None], 3, axis=-1) if frames.ndim == 3 else frames
    values = MEASURES(torch.from_numpy(frames[None].astype(np.float32)))[0]
    assert len(values) == len(MEASURES.names()) == len(set(MEASURES.names()))
    return dict(zip(MEASURES.names(), values.tolist(), strict=True))


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(128, 20, SIZE)


def noise(sigma: float, seed: int = 1, colours: int = 0) -> np.ndarray:
    shape = (8, *SIZE, colours) if colours else (8, *SIZE)
    return np.random.default_rng(seed).normal(0, sigma, shape)


def test_temporal_correlation_is_one_for_a_still_mouth_and_zero_for_noise():
    still = measure(np.repeat(picture()[None], 8, axis=0))
    assert still["temporal correlation 0 brightness mean"] == pytest.approx(1, abs=1e-3)
    assert still["local-global correlation 0 brightness mean"] == pytest.approx(1, abs=1e-3)
    assert still["difference energy 0 brightness mean"] == pytest.approx(np.log(0.05), abs=1e-3)
    flickering = measure(128 + noise(20))
    assert abs(flickering["temporal correlation 0 brightness mean"]) < 0.05
    assert abs(flickering["local-global correlation 1 brightness mean"]) < 0.1


def test_energies_are_those_of_the_noise():
    frames = measure(np.repeat(picture()[None], 8, axis=0) + noise(12))
    quiet = measure(np.repeat(picture()[None], 8, axis=0) + noise(6))
    for band in range(2):  # further up, little of it is left beside the floor
        name = f"difference energy {band} brightness mean"
        assert frames[name] - quiet[name] == pytest.approx(np.log(4), abs=0.15)
    # The second difference of white noise has three times the energy of the first: 1 4 1 against 1 1, with weights.
    second, first = (frames[f"{order} energy 0 brightness mean"] for order in ("second-difference", "difference"))
    assert second - first == pytest.approx(np.log(3), abs=0.1)


def test_cross_channel_correlation_separates_noise_of_one_colour_from_independent_noise():
    apart = measure(128 + noise(5, colours=3))
    # (B + 2 G + R) / 4 against B - G, whatever the noise: (1 - 2) / sqrt(6 * 2).
    assert apart["cross-channel correlation 0 brightness with blue-green mean"] == pytest.approx(-(12**-0.5), abs=0.05)
    tinted = 128 + noise(5)[..., None] * np.array([1.0, 0.2, 0.2])
    assert measure(tinted)["cross-channel correlation 0 brightness with blue-green mean"] > 0.9
    assert measure(128 + noise(5))["energy 0 blue-green mean"] == pytest.approx(np.log(0.05), abs=1e-3)


def test_smooth_changes_have_spatial_autocorrelation():
    grainy = measure(128 + noise(5))
    assert abs(grainy["spatial autocorrelation 1 px right brightness mean"]) < 0.05
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    waves = np.stack([128 + 20 * np.sin(columns / 20 + phase) for phase in range(8)])
    smooth = measure(waves)
    near, far = (smooth[f"spatial autocorrelation {shift} px right brightness mean"] for shift in (1, 8))
    assert near > 0.99
    assert far < near


def test_global_frames_count_only_in_the_local_global_correlation():
    frames = np.repeat(picture()[None], 8, axis=0) + noise(2)
    other = frames.copy()
    other[5:] = noise(40)[5:]
    a, b = measure(frames), measure(other)
    changed = {name for name in a if a[name] != b[name]}
    assert changed and all(name.startswith("local-global correlation") for name in changed)


def test_relative_energies_say_where_the_noise_is():
    """A ninth of the mouth, at its left or right, is four times as noisy: half of that in the mean of both sides."""
    amplitude = np.full(SIZE, 5.0)
    amplitude[:21, :48] = 10.0
    left = measure(128 + amplitude * noise(1))
    same = measure(128 + noise(5))
    mirrored = measure(128 + (amplitude * noise(1))[:, :, ::-1])
    top = "relative energy 0 top sides"
    assert left[top] - same[top] == pytest.approx(np.log(4) / 2 - np.log(4) / 9, abs=0.1)
    assert left[top] == pytest.approx(mirrored[top], abs=0.05)
    for row, column in (("middle", "centre"), ("bottom", "sides"), ("top", "centre")):
        name = f"relative energy 0 {row} {column}"
        assert left[name] - same[name] == pytest.approx(-np.log(4) / 9, abs=0.1)


def test_without_colours_the_measures_of_brightness_are_the_same():
    clips = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 8, 32, 48, 3), dtype=np.uint8))
    every, grey = NoiseMeasures(5, 3), NoiseMeasures(5, 3, chroma=False)
    found = dict(zip(every.names(), every(clips).T, strict=True))
    for name, values in zip(grey.names(), grey(clips).T, strict=True):
        torch.testing.assert_close(values, found[name])


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_equal_mouths_have_finite_measures(value):
    frames = torch.full((2, 8, *SIZE, 3), value, dtype=torch.uint8)
    assert MEASURES(frames).isfinite().all()
