"""Evidence for a score: heat maps over the mouths by gradient x input, on frames and residues together, and which
mouths of a suspicious stretch are shown."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from lipinc.detection.segments import Segment
from lipinc.detection.verdict import Evidence, WindowScore
from lipinc.models.registry import MouthModel, margin

MAX_SEGMENTS, MAX_STILLS = 4, 8
"""Maximum number of suspicious stretches of a face that are shown by mouths, and of mouths of each."""
SMOOTHING = 1 / 48
"""Standard deviation of the Gaussian that smooths the noisy raw map, as a fraction of the mouth width."""


def gather_evidence(
    model: MouthModel, window: int, frames: np.ndarray, residue: np.ndarray, device: torch.device
) -> Evidence:
    """Compute the evidence of one clip.

    Args:
        model: the model.
        window: index of the window.
        frames: (N, H, W, 3) uint8 BGR.
        residue: (N - 1, H, W, 3) uint8.
        device: device of the model.
    """
    return Evidence(window, frames, residue, heat_map(model, frames[None], residue[None], device)[0])


def choose_windows(windows: Sequence[WindowScore], segments: Sequence[Segment]) -> list[int]:
    """Choose the windows whose mouths show the suspicious stretches: the most suspicious stretches, evenly spread.

    Returns:
        Indices of at most MAX_SEGMENTS * MAX_STILLS windows, increasing. A stretch contains the start of each.
    """
    chosen: set[int] = set()
    for segment in sorted(segments, key=lambda one: one.probability, reverse=True)[:MAX_SEGMENTS]:
        inside = [number for number, one in enumerate(windows) if segment.start <= one.start <= segment.end]
        spread = np.linspace(0, len(inside) - 1, min(len(inside), MAX_STILLS)).round().astype(int)
        chosen.update(inside[position] for position in spread)
    return sorted(chosen)


def heat_map(model: MouthModel, frames: np.ndarray, residue: np.ndarray, device: torch.device) -> np.ndarray:
    """Compute the magnitude of gradient x input, summed over colour channels, smoothed and normalised per clip.

    The values of a residue are divided equally between its two mouths. Source: Shrikumar et al., Not just a black box,
    arXiv 1605.01713.

    Args:
        model: the model.
        frames: (K, N, H, W, 3) uint8 BGR.
        residue: (K, N - 1, H, W, 3) uint8.
        device: device of the model.

    Returns:
        (K, N, H, W) float32 in 0..1, with maximum 1 per clip; 0 if the model has no gradient.
    """
    inputs = [torch.from_numpy(mouths).to(device).float().requires_grad_() for mouths in (frames, residue)]
    score = margin(model.score_clips(*inputs)).sum()
    # A model may ignore the residues, or extract features without a gradient. The heat is 0 then.
    if score.requires_grad:
        gradients = torch.autograd.grad(score, inputs, materialize_grads=True)
    else:
        gradients = [torch.zeros_like(mouths) for mouths in inputs]
    frame_heat, residue_heat = (
        (gradient * mouths).abs().sum(dim=-1).detach().cpu().numpy()
        for gradient, mouths in zip(gradients, inputs, strict=True)
    )
    heat = frame_heat
    heat[:, :-1] += residue_heat / 2
    heat[:, 1:] += residue_heat / 2
    for clip in heat:
        for mouth in clip:
            cv2.GaussianBlur(mouth, (0, 0), SMOOTHING * mouth.shape[1], dst=mouth)
    return heat / heat.max(axis=(1, 2, 3), keepdims=True).clip(min=np.finfo(np.float32).tiny)
