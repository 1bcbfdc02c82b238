"""Mean SSIM of a clip's pairs against scikit-image, and its hand-written gradient against autograd's."""

from itertools import combinations

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from benchmarks.plain_ssim import pairwise_ssim, similar_maps
from lipinc import ssim, ssim_cpu
from lipinc.ssim import mean_ssim


@pytest.fixture(autouse=True, params=["cpu", "cuda"])
def implementation(request, monkeypatch):
    """Every test is of both; here, that of CUDA runs on the CPU."""
    if request.param == "cuda":
        monkeypatch.setattr(ssim_cpu, "compare", ssim._compare)


def by_scikit_image(maps: torch.Tensor) -> np.ndarray:
    """Mean over the pairs of each clip, in float64."""
    options = {"channel_axis": 0, "data_range": 1}
    clips = maps.double().numpy()
    return np.array([np.mean([structural_similarity(a, b, **options) for a, b in combinations(c, 2)]) for c in clips])


def gradient_of(function, maps: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Of the weighted sum of the clips' values."""
    maps = maps.clone().requires_grad_()
    (function(maps) * weights).sum().backward()
    return maps.grad


@pytest.mark.parametrize("shape", [(2, 4, 3, 16, 24), (1, 8, 8, 32, 72), (3, 2, 1, 7, 7), (1, 3, 6, 8, 18)])
def test_it_is_scikit_images(shape):
    maps = similar_maps(*shape)
    np.testing.assert_allclose(mean_ssim(maps), by_scikit_image(maps), rtol=0, atol=1e-12)
    np.testing.assert_allclose(mean_ssim(maps.float()), by_scikit_image(maps.float()), rtol=0, atol=1e-6)


def test_large_maps_in_float32():
    """Features of unscaled input: float32 keeps 1e-5, and 0.02 where they are flat, which is its worst case."""
    textured = (255 * similar_maps(1, 4, 4, 32, 72)).round().float()
    bordered = textured.clone()
    bordered[..., :20] = 0
    ramp = torch.linspace(0, 255, 72).expand(1, 4, 4, 32, 72) + torch.arange(4).reshape(1, 4, 1, 1, 1)
    for maps in (textured, bordered, ramp):
        np.testing.assert_allclose(mean_ssim(maps), by_scikit_image(maps), rtol=0, atol=1e-5)
    flat = textured[..., ::8, ::8].repeat_interleave(8, 3).repeat_interleave(8, 4)
    np.testing.assert_allclose(mean_ssim(flat), by_scikit_image(flat), rtol=0, atol=0.02)
    assert mean_ssim(flat).abs().max() <= 1


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_identical_frames_give_one(scale):
    maps = (scale * similar_maps(2, 1, 3, 16, 24)).float().expand(2, 5, 3, 16, 24)
    assert torch.equal(mean_ssim(maps), torch.ones(2))


@pytest.mark.parametrize("shape", [(5, 4, 3, 16, 24), (2, 8, 8, 12, 20), (3, 2, 1, 7, 12)])
def test_value_and_gradient_are_those_of_the_plain_definition(shape):
    maps, weights = similar_maps(*shape), torch.linspace(-1, 2, shape[0], dtype=torch.float64)
    maps[:, :, :, :10, :10] = maps[:, :1, :1, :1, :1]  # flat in part, and the same in all frames
    expected = gradient_of(lambda maps: pairwise_ssim(maps).mean(dim=1), maps, weights)
    largest = expected.abs().max()
    np.testing.assert_allclose(mean_ssim(maps), pairwise_ssim(maps).mean(dim=1), rtol=0, atol=1e-12)
    assert (gradient_of(mean_ssim, maps, weights) - expected).abs().max() < 1e-10 * largest
    channels_last = maps.float().permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    for single in (maps.float(), channels_last):
        assert (gradient_of(mean_ssim, single, weights.float()) - expected).abs().max() < 1e-5 * largest


@pytest.mark.parametrize("channels", [1, 3])
def test_threads_change_nothing_nor_do_the_maps_change(channels):
    maps, results = similar_maps(2, 4, channels, 12, 14), []
    given, threads = maps.clone(), torch.get_num_threads()
    try:
        for some in (1, 4, 9):
            torch.set_num_threads(some)
            results.append((mean_ssim(maps), gradient_of(mean_ssim, maps, torch.ones(2))))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(maps, given)
    for scores, gradient in results[1:]:
        assert torch.equal(scores, results[0][0])
        assert torch.equal(gradient, results[0][1])


def test_what_is_not_a_number_stays_visible():
    maps = similar_maps(2, 4, 3, 12, 14).float()
    maps[0, 1, 2, 5, 5] = torch.nan
    scores = mean_ssim(maps)
    assert scores.isnan().tolist() == [True, False]


def test_gradient_against_finite_differences():
    assert torch.autograd.gradcheck(mean_ssim, similar_maps(1, 3, 1, 8, 8).requires_grad_())


@pytest.mark.parametrize("shape", [(1, 3, 2, 6, 12), (1, 3, 2, 12, 6), (1, 1, 2, 12, 12)])
def test_it_refuses_maps_it_cannot_compare(shape):
    with pytest.raises(ValueError, match="at least 7 x 7"):
        mean_ssim(torch.zeros(shape))
