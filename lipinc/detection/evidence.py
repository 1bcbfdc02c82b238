"""Where in the mouths a score comes from: gradient x input, on frames and residues together."""

import cv2
import numpy as np
import torch

from lipinc.detection.verdict import Evidence
from lipinc.models.registry import MouthModel

SMOOTHING = 1 / 48
"""Sigma of the Gaussian over the raw map, which is as grainy as the gradient: a share of the mouth's width."""


def gather_evidence(
    model: MouthModel, window: int, frames: np.ndarray, residue: np.ndarray, device: torch.device
) -> Evidence:
    """Evidence of a clip, the window of that number: frames [N, H, W, 3] and residues [N - 1, H, W, 3] uint8."""
    return Evidence(window, frames, residue, heat_map(model, frames[None], residue[None], device)[0])


def heat_map(model: MouthModel, frames: np.ndarray, residue: np.ndarray, device: torch.device) -> np.ndarray:
    """[K, N, H, W] float32 in 0..1, 1 where a clip's score depends on its mouths the most.

    The magnitude of gradient x input, summed over the colours. That of a residue counts for the two mouths it lies
    between, half each. Source: Shrikumar et al., Not just a black box, arXiv 1605.01713.
    """
    inputs = [torch.from_numpy(mouths).to(device).float().requires_grad_() for mouths in (frames, residue)]
    logits = model.score_clips(*inputs)
    margin = (logits[:, 1] - logits[:, 0]).sum()
    # A model may leave the residues aside, or extract features without a gradient: no heat then.
    if margin.requires_grad:
        gradients = torch.autograd.grad(margin, inputs, materialize_grads=True)
    else:
        gradients = [torch.zeros_like(mouths) for mouths in inputs]
    of_frames, of_residues = (
        (gradient * mouths).abs().sum(dim=-1).detach().cpu().numpy()
        for gradient, mouths in zip(gradients, inputs, strict=True)
    )
    heat = of_frames
    heat[:, :-1] += of_residues / 2
    heat[:, 1:] += of_residues / 2
    for clip in heat:
        for mouth in clip:
            cv2.GaussianBlur(mouth, (0, 0), SMOOTHING * mouth.shape[1], dst=mouth)
    return heat / heat.max(axis=(1, 2, 3), keepdims=True).clip(min=np.finfo(np.float32).tiny)
