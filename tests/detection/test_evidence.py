"""Heat lies where the score comes from."""

import numpy as np
import pytest
import torch

from lipinc.detection.evidence import SMOOTHING, gather_evidence, heat_map
from lipinc.models.registry import MouthModel

CPU = torch.device("cpu")
PATCH = (slice(20, 28), slice(60, 72))
REACH = int(5 * SMOOTHING * 144)
"""Of the smoothing, in px."""


class Patch(MouthModel):
    """Its score is the mean of one patch of one mouth, or of one residue."""

    def __init__(self, of: str, mouth: int):
        super().__init__()
        self.of, self.mouth = of, mouth

    def forward(self, frames: torch.Tensor, residues: torch.Tensor) -> torch.Tensor:
        looked_at = {"frames": frames, "residues": residues}[self.of]
        rows, columns = PATCH
        score = looked_at[:, self.mouth, rows, columns].mean(dim=(1, 2, 3))
        return torch.stack([nothing(frames, residues), score], dim=1)


def nothing(frames: torch.Tensor, residues: torch.Tensor) -> torch.Tensor:
    """A score that both inputs lead to and neither moves."""
    return 0 * (frames.mean(dim=(1, 2, 3, 4)) + residues.mean(dim=(1, 2, 3, 4)))


@pytest.fixture(scope="module")
def clips() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return (
        draw.integers(1, 256, (2, 8, 64, 144, 3), dtype=np.uint8),
        draw.integers(1, 256, (2, 7, 64, 144, 3), dtype=np.uint8),
    )


def outside(heat: np.ndarray) -> np.ndarray:
    """Heat beyond the reach of the patch."""
    far = heat.copy()
    rows, columns = PATCH
    far[..., rows.start - REACH : rows.stop + REACH, columns.start - REACH : columns.stop + REACH] = 0
    return far


@pytest.mark.parametrize(("of", "mouth", "hot"), [("frames", 6, [6]), ("frames", 0, [0]), ("residues", 2, [2, 3])])
def test_heat_lies_on_the_patch_that_the_score_depends_on(clips, of, mouth, hot) -> None:
    heat = heat_map(Patch(of, mouth), *clips, CPU)
    assert heat.shape == (2, 8, 64, 144) and heat.dtype == np.float32
    cold = [frame for frame in range(8) if frame not in hot]
    assert not heat[:, cold].any()
    assert outside(heat).max() < 1e-3
    for clip in heat:
        assert clip.max() == pytest.approx(1) and clip.min() >= 0
        assert all(clip[(frame, *PATCH)].mean() > 0.4 for frame in hot)


def test_each_clip_has_its_own_scale(clips) -> None:
    frames, residues = clips
    dark = np.stack([frames[0], frames[0] // 8])
    heat = heat_map(Patch("frames", 1), dark, residues, CPU)
    assert heat.max(axis=(1, 2, 3)) == pytest.approx([1, 1])


def test_a_score_that_depends_on_nothing_has_no_heat(clips) -> None:
    class Constant(MouthModel):
        def forward(self, frames, residues):
            return nothing(frames, residues)[:, None].expand(-1, 2)

    assert not heat_map(Constant(), *clips, CPU).any()


def test_evidence_carries_its_window_and_its_pictures(clips) -> None:
    frames, residues = clips
    evidence = gather_evidence(Patch("frames", 1), 3, frames[1], residues[1], CPU)
    assert evidence.window == 3
    assert np.array_equal(evidence.frames, frames[1]) and np.array_equal(evidence.residues, residues[1])
    assert evidence.heat.shape == (8, 64, 144)
