"""The inconsistency loss: its value, and what it does to features and weights."""

import math

import pytest
import torch

from benchmarks.plain_ssim import similar_maps
from lipinc.losses.inconsistency import inconsistency_loss
from lipinc.losses.ssim import mean_ssim
from lipinc.models import LIPINC, LIPINCV2


def test_inconsistency_loss_is_a_cross_entropy_with_fakes_at_zero():
    maps, labels = similar_maps(3, 4, 2, 10, 12), torch.tensor([0, 1, 1])
    real, first, second = mean_ssim(maps).tolist()
    expected = -(math.log(real) + math.log(1 - first) + math.log(1 - second)) / 3
    assert inconsistency_loss(maps, labels).item() == pytest.approx(expected)
    identical = maps[:, :1].expand_as(maps)
    assert inconsistency_loss(identical, torch.zeros(3, dtype=torch.int64)).item() == pytest.approx(0, abs=1e-5)
    assert inconsistency_loss(identical, torch.ones(3, dtype=torch.int64)).item() > 10


def test_opposite_frames_leave_the_loss_finite():
    wave = torch.linspace(0, 20, 24).sin().expand(2, 1, 16, 24)
    maps = torch.stack([0.5 + 0.5 * wave, 0.5 - 0.5 * wave], dim=1).requires_grad_()
    assert mean_ssim(maps).max() < 0
    loss = inconsistency_loss(maps, torch.tensor([0, 1]))
    loss.backward()
    assert loss.isfinite()
    assert maps.grad.isfinite().all()


def test_float32_under_autocast():
    features = similar_maps(4, 4, 3, 16, 24).to(torch.bfloat16)
    labels = torch.tensor([0, 1, 0, 1])
    expected = inconsistency_loss(features.float(), labels)
    with torch.autocast("cpu", torch.bfloat16):
        loss = inconsistency_loss(features, labels)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)


def talking_and_flickering() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two real-like clips, a smooth picture that moves a quarter of a pixel a frame, and two fake-like ones, the same
    with colours that flicker: frames (4, 6, 28, 32, 3), residues, labels."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, 3, 4, 5, generator=random)
    pictures = torch.nn.functional.interpolate(coarse, (112, 160), mode="bicubic").clamp(0, 1)
    frames = torch.stack([pictures[..., ::4, shift : shift + 128 : 4] for shift in range(6)], dim=1)
    frames = frames + 0.05 * torch.randn(frames.shape, generator=random)
    flicker = torch.rand(12, 3, 4, 5, generator=random)
    flicker = torch.nn.functional.interpolate(flicker, (28, 32), mode="bilinear").unflatten(0, (2, 6))
    frames[2:] += 0.8 * (flicker - 0.5)
    frames = (255 * frames.clamp(0, 1)).permute(0, 1, 3, 4, 2)
    return frames, (frames[:, 1:] - frames[:, :-1]) % 256, torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize("network", ["lipinc", "lipinc_v2"])
def test_minimising_it_alone_parts_real_from_fake(network):
    torch.manual_seed(0)
    frames, residues, labels = talking_and_flickering()
    shared = {"height": 28, "width": 32, "hidden": 16}
    if network == "lipinc":
        model, rate, steps = LIPINC(frames=6, input_scale=1 / 255, **shared), 1e-2, 20
    else:
        # A larger scale than usual: else the position embeddings outweigh the picture, and all clips begin near 1.
        model, rate, steps = LIPINCV2(patch=4, model_width=16, heads=2, input_scale=1 / 16, **shared), 3e-3, 60
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)

    def measured() -> torch.Tensor:
        with torch.no_grad():
            return mean_ssim(model(frames, residues, loss_features=True)[1])

    before = measured()
    for _ in range(steps):
        optimizer.zero_grad()
        inconsistency_loss(model(frames, residues, loss_features=True)[1], labels).backward()
        optimizer.step()
    after = measured()
    assert (after[labels == 0] > before[labels == 0] + 0.01).all()
    assert (after[labels == 1] < before[labels == 1] - 0.1).all()
