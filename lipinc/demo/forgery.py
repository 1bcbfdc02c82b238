"""A lip-sync forgery of a rendered video: the mouth region is generated again, frame by frame, as Wav2Lip does it.

Wav2Lip (Prajwal et al., ACM Multimedia 2020) cuts the face out at 96 x 96, generates it so that the lips fit other
speech, each frame almost on its own, and pastes it back at full size. What betrays it is what is imitated here: low
resolution, a slight shift of colour and sharpness, no sensor noise, and a shape, place and texture that change a little
from frame to frame without a cause.
"""

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from lipinc.demo.talking import Mouth

FACE = 96
"""Side of the generated face in px."""


@dataclass(frozen=True)
class Generator:
    """What one forged video has in common."""

    region: Literal["mouth", "face"]
    """mouth: the lower half of the face is replaced, as by Wav2Lip; face: all of it, as by a face swap."""
    gain: np.ndarray
    """[3] float32 BGR: factor on its colours."""
    blur: float
    """Standard deviation in px of the generated face, on average over the frames."""


def draw_generator(rng: np.random.Generator, region: Literal["mouth", "face"] = "mouth") -> Generator:
    """A generator with its own colour and sharpness."""
    return Generator(region, (1 + rng.normal(0, 0.015, 3)).astype(np.float32), float(rng.uniform(0.3, 0.6)))


def waver(mouth: Mouth, rng: np.random.Generator) -> Mouth:
    """The mouth a frame asks for, as a generator that does not remember the last frame hits it."""
    opening = max(0.0, mouth.opening * (1 + rng.normal(0, 0.12)) + rng.normal(0, 0.008))
    return replace(mouth, opening=opening, width=mouth.width * (1 + rng.normal(0, 0.012)))


def forge(
    frame: np.ndarray,
    driven: np.ndarray,
    box: tuple[int, int, int, int],
    generator: Generator,
    rng: np.random.Generator,
) -> np.ndarray:
    """The frame with the region of `driven` (the same head saying something else) generated and pasted in.

    frame, driven: [H, W, 3] float32 BGR, 0..255, the first with its sensor noise, the second without.
    box: the face, left, top, right, bottom in px. Returns [H, W, 3] float32; outside of the region it is `frame`.
    """
    left, top, right, bottom = box
    bottom = min(frame.shape[0], bottom + (bottom - top) // 10)  # Wav2Lip pads the chin
    part = np.s_[top:bottom, left:right]
    face = cv2.resize(driven[part], (FACE, FACE), interpolation=cv2.INTER_AREA)
    shift = rng.normal(0, 0.3, 2)
    face = cv2.warpAffine(
        face, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (FACE, FACE), borderMode=cv2.BORDER_REPLICATE
    )
    face = cv2.GaussianBlur(face, (0, 0), generator.blur * rng.uniform(0.7, 1.3))
    texture = rng.normal(0, 1.8, (16, 16, 3)).astype(np.float32)
    texture = cv2.resize(texture, (FACE, FACE), interpolation=cv2.INTER_CUBIC)
    face = face * generator.gain * (1 + rng.normal(0, 0.012, 3).astype(np.float32)) + texture
    face = cv2.resize(face, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    mask = _mask(right - left, bottom - top, generator.region)
    forged = frame.copy()
    forged[part] += mask[..., None] * (face - forged[part])
    return forged


def _mask(width: int, height: int, region: str) -> np.ndarray:
    """How much of each px of the face box is replaced: [height, width] float32, soft towards the rest."""
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(0, 1, height, dtype=np.float32)
    first = 0.52 if region == "mouth" else 0.05
    sides = np.clip((1 - np.abs(x)) / 0.16, 0, 1)
    rows = np.clip((y - first) / 0.07, 0, 1) * np.clip((1 - y) / 0.06, 0, 1)
    return rows[:, None] * sides[None, :]
