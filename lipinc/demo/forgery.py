"""Lip-sync forgery of a rendered video: replaces the mouth region in each frame, as Wav2Lip does.

Wav2Lip (Prajwal et al., ACM Multimedia 2020) crops the face, scales it to 96 x 96, generates it with lips that match
other speech, each frame almost independently, and pastes it back at full size. This module imitates the artefacts by
which such a forgery is detected: low resolution, slightly different colour and sharpness, no sensor noise, and a shape,
position and texture that fluctuate from frame to frame.
"""

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from lipinc.demo.talking import Mouth

FACE_SIDE = 96
"""Height and width of the generated face in px."""


@dataclass(frozen=True)
class Generator:
    """The parameters of one forged video, the same for all its frames."""

    region: Literal["mouth", "face"]
    """mouth: replace the lower half of the face, as Wav2Lip does; face: replace all of it, as a face swap does."""
    gain: np.ndarray
    """(3,) float32 BGR: factors on the colours."""
    blur: float
    """Standard deviation of the blur, averaged over the frames, in px of the generated face."""


def draw_generator(rng: np.random.Generator, region: Literal["mouth", "face"] = "mouth") -> Generator:
    """Sample a generator with a random colour and sharpness."""
    return Generator(region, (1 + rng.normal(0, 0.015, 3)).astype(np.float32), float(rng.uniform(0.3, 0.6)))


def add_mouth_jitter(mouth: Mouth, rng: np.random.Generator) -> Mouth:
    """Add the random error of a generator that processes each frame independently to the pose of the mouth."""
    opening = max(0.0, mouth.opening * (1 + rng.normal(0, 0.12)) + rng.normal(0, 0.008))
    return replace(mouth, opening=opening, width=mouth.width * (1 + rng.normal(0, 0.012)))


def forge(
    frame: np.ndarray,
    driven: np.ndarray,
    box: tuple[int, int, int, int],
    generator: Generator,
    rng: np.random.Generator,
) -> np.ndarray:
    """Replace the generator's region of a frame.

    Args:
        frame: (H, W, 3) float32 BGR, 0..255, with sensor noise.
        driven: The same head saying something else: (H, W, 3) float32 BGR, 0..255, without sensor noise.
        box: The face (left, top, right, bottom) in px.

    Returns:
        (H, W, 3) float32 BGR; equal to `frame` outside the region.
    """
    left, top, right, bottom = box
    bottom = min(frame.shape[0], bottom + (bottom - top) // 10)  # Wav2Lip adds padding below the chin
    region = np.s_[top:bottom, left:right]
    face = cv2.resize(driven[region], (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_AREA)
    shift = rng.normal(0, 0.3, 2)
    face = cv2.warpAffine(
        face, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (FACE_SIDE, FACE_SIDE), borderMode=cv2.BORDER_REPLICATE
    )
    face = cv2.GaussianBlur(face, (0, 0), generator.blur * rng.uniform(0.7, 1.3))
    texture = rng.normal(0, 1.8, (16, 16, 3)).astype(np.float32)
    texture = cv2.resize(texture, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_CUBIC)
    face = face * generator.gain * (1 + rng.normal(0, 0.012, 3).astype(np.float32)) + texture
    face = cv2.resize(face, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    mask = _mask(right - left, bottom - top, generator.region)
    forged = frame.copy()
    forged[region] += mask[..., None] * (face - forged[region])
    return forged


def _mask(width: int, height: int, region: str) -> np.ndarray:
    """Blending weight of each pixel of the face box: (height, width) float32 in 0..1, with soft edges."""
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(0, 1, height, dtype=np.float32)
    first_row = 0.52 if region == "mouth" else 0.05
    sides = np.clip((1 - np.abs(x)) / 0.16, 0, 1)
    rows = np.clip((y - first_row) / 0.07, 0, 1) * np.clip((1 - y) / 0.06, 0, 1)
    return rows[:, None] * sides[None, :]
