"""Mean SSIM of all pairs against scikit-image, and its hand-written gradient against autograd."""

from itertools import combinations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from benchmarks.plain_ssim import pairwise_ssim, similar_maps
from lipinc.losses import ssim_cpu, ssim_torch
from lipinc.losses.ssim import mean_ssim


@pytest.fixture(autouse=True, params=["cpu", "cuda"])
def implementation(request, monkeypatch):
    """Every test runs with both implementations; the one for CUDA runs on the CPU here."""
    if request.param == "cuda":
        monkeypatch.setattr(ssim_cpu, "mean_ssim_and_gradient", ssim_torch.mean_ssim_and_gradient)


def scikit_image_ssim(maps: torch.Tensor) -> np.ndarray:
    """Mean over the pairs of each clip, in float64."""
    options = {"channel_axis": 0, "data_range": 1}
    clips = maps.double().numpy()
    return np.array([np.mean([structural_similarity(a, b, **options) for a, b in combinations(c, 2)]) for c in clips])


def gradient_of(function, maps: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Gradient of the weighted sum of the clips' scores."""
    maps = maps.clone().requires_grad_()
    (function(maps) * weights).sum().backward()
    return maps.grad


@pytest.mark.parametrize("shape", [(2, 4, 3, 16, 24), (1, 8, 8, 32, 72), (3, 2, 1, 7, 7), (1, 3, 6, 8, 18)])
def test_it_equals_scikit_image(shape):
    maps = similar_maps(*shape)
    np.testing.assert_allclose(mean_ssim(maps), scikit_image_ssim(maps), rtol=0, atol=1e-12)
    np.testing.assert_allclose(mean_ssim(maps.float()), scikit_image_ssim(maps.float()), rtol=0, atol=1e-6)


def test_large_maps_in_float32():
    """Features of unscaled input: the error of float32 is 1e-5, and 0.02 for flat maps, the worst case."""
    textured = (255 * similar_maps(1, 4, 4, 32, 72)).round().float()
    bordered = textured.clone()
    bordered[..., :20] = 0
    ramp = torch.linspace(0, 255, 72).expand(1, 4, 4, 32, 72) + torch.arange(4).reshape(1, 4, 1, 1, 1)
    for maps in (textured, bordered, ramp):
        np.testing.assert_allclose(mean_ssim(maps), scikit_image_ssim(maps), rtol=0, atol=1e-5)
    flat = textured[..., ::8, ::8].repeat_interleave(8, 3).repeat_interleave(8, 4)
    np.testing.assert_allclose(mean_ssim(flat), scikit_image_ssim(flat), rtol=0, atol=0.02)
    assert mean_ssim(flat).abs().max() <= 1


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_identical_frames_give_one(scale):
    maps = (scale * similar_maps(2, 1, 3, 16, 24)).float().expand(2, 5, 3, 16, 24)
    assert torch.equal(mean_ssim(maps), torch.ones(2))


@pytest.mark.parametrize("shape", [(5, 4, 3, 16, 24), (2, 8, 8, 12, 20), (3, 2, 1, 7, 12)])
def test_value_and_gradient_match_the_plain_definition(shape):
    maps, weights = similar_maps(*shape), torch.linspace(-1, 2, shape[0], dtype=torch.float64)
    maps[:, :, :, :10, :10] = maps[:, :1, :1, :1, :1]  # partly flat, and identical in all frames
    expected = gradient_of(lambda maps: pairwise_ssim(maps).mean(dim=1), maps, weights)
    largest = expected.abs().max()
    np.testing.assert_allclose(mean_ssim(maps), pairwise_ssim(maps).mean(dim=1), rtol=0, atol=1e-12)
    assert (gradient_of(mean_ssim, maps, weights) - expected).abs().max() < 1e-10 * largest
    channels_last = maps.float().permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    for single in (maps.float(), channels_last):
        assert (gradient_of(mean_ssim, single, weights.float()) - expected).abs().max() < 1e-5 * largest


@pytest.mark.parametrize("channels", [1, 3])
def test_the_number_of_threads_changes_nothing_and_the_maps_are_not_modified(channels):
    maps, results = similar_maps(2, 4, channels, 12, 14), []
    given, threads = maps.clone(), torch.get_num_threads()
    try:
        for count in (1, 4, 9):
            torch.set_num_threads(count)
            results.append((mean_ssim(maps), gradient_of(mean_ssim, maps, torch.ones(2))))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(maps, given)
    for scores, gradient in results[1:]:
        assert torch.equal(scores, results[0][0])
        assert torch.equal(gradient, results[0][1])


def test_nan_stays_visible():
    maps = similar_maps(2, 4, 3, 12, 14).float()
    maps[0, 1, 2, 5, 5] = torch.nan
    scores = mean_ssim(maps)
    assert scores.isnan().tolist() == [True, False]


def test_gradient_against_finite_differences():
    assert torch.autograd.gradcheck(mean_ssim, similar_maps(1, 3, 1, 8, 8).requires_grad_())


@pytest.mark.parametrize("shape", [(1, 3, 2, 6, 12), (1, 3, 2, 12, 6), (1, 1, 2, 12, 12)])
def test_it_refuses_maps_without_a_pair_or_a_window(shape):
    with pytest.raises(ValueError, match="at least 7 x 7"):
        mean_ssim(torch.zeros(shape))
