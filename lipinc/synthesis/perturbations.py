"""Test conditions of a video: raw, re-encoded, or perturbed as in DeeperForensics.

A condition is a word: `raw`; `crf28`, re-encoded by H.264 at that constant rate factor; `half`, `up`, `social`, `twice`
or `repeats`, re-encoded as platforms do it (ENCODINGS); or a perturbation with its level from 1 to 5, such
as `blur3`. Perturbations are applied to the decoded frames at full size, before face detection.

Source: Jiang et al., DeeperForensics-1.0, CVPR 2020, and its code. In that code the number of blocks is zero for frames
smaller than 256 px; here it scales with the size of the frame. Its seventh perturbation, H.264 at CRF 30 to 40, is the
series `crf30`, `crf32`, `crf35`, `crf38`, `crf40`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np

RAW = "raw"
LEVELS = 5
COMPRESSION = ("crf23", "crf28", "crf35")
"""Compression levels for which results are reported, besides raw: x264's default, visibly worse, bad."""


def saturation(image: np.ndarray, factor: float, random: np.random.Generator) -> np.ndarray:
    """Multiply the chroma by a factor: 1 keeps the colours, 0 gives grey."""
    yuv = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb).astype(np.float32)
    yuv[..., 1:] = 128 + factor * (yuv[..., 1:] - 128)
    return cv2.cvtColor(np.rint(yuv).astype(np.uint8), cv2.COLOR_YCrCb2BGR)


def contrast(image: np.ndarray, factor: float, random: np.random.Generator) -> np.ndarray:
    """Multiply all values by a factor below 1: darker, with less contrast."""
    return (image * np.float32(factor)).astype(np.uint8)


def blocks(image: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Cover random positions by grey blocks of 8 x 8 px: `count` blocks per 256 px of the shorter side."""
    height, width = image.shape[:2]
    covered = image.copy()
    for _ in range(max(1, round(count * min(height, width) / 256))):
        top, left = random.integers(max(1, height - 8)), random.integers(max(1, width - 8))
        covered[top : top + 8, left : left + 8] = 128
    return covered


def noise(image: np.ndarray, variance: float, random: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise to luma and chroma; the variance is relative to values in 0..1."""
    yuv = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb).astype(np.float32)
    yuv += random.standard_normal(yuv.shape, dtype=np.float32) * np.float32(255 * variance**0.5)
    return cv2.cvtColor(np.rint(yuv).clip(0, 255).astype(np.uint8), cv2.COLOR_YCrCb2BGR)


def blur(image: np.ndarray, kernel: int, random: np.random.Generator) -> np.ndarray:
    """Gaussian blur with a kernel of kernel x kernel px and a standard deviation of kernel / 6."""
    return cv2.GaussianBlur(image, (kernel, kernel), kernel / 6)


def pixelation(image: np.ndarray, factor: int, random: np.random.Generator) -> np.ndarray:
    """Downscale by a factor and upscale again."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(1, width // factor), max(1, height // factor)))
    return cv2.resize(small, (width, height))


PERTURBATIONS: dict[str, tuple[Callable[..., np.ndarray], tuple[float, ...]]] = {
    "saturation": (saturation, (0.4, 0.3, 0.2, 0.1, 0.0)),
    "contrast": (contrast, (0.85, 0.725, 0.6, 0.475, 0.35)),
    "blocks": (blocks, (16, 32, 48, 64, 80)),
    "noise": (noise, (0.001, 0.002, 0.005, 0.01, 0.05)),
    "blur": (blur, (7, 9, 13, 17, 21)),
    "pixelation": (pixelation, (2, 3, 4, 5, 6)),
}
"""Name -> function of (image (H, W, 3) uint8 BGR, strength, random generator), and its strengths at levels 1 to 5."""


@dataclass(frozen=True)
class Encoding:
    """How a video is encoded again."""

    crf: int
    """Constant rate factor: 0 (lossless) to 51; 23 is x264's default."""
    scale: float = 1.0
    """Factor of width and height."""
    short_side: int = 0
    """Shorter side after scaling, in px; 0: as `scale` says."""
    repeats: int = 1
    """How often each picture is shown: 2 doubles the frame rate, and nothing moves in between."""


ENCODINGS: dict[str, tuple[Encoding, ...]] = {
    "half": (Encoding(crf=23, scale=0.5),),
    "up": (Encoding(crf=23, scale=1.5),),
    "social": (Encoding(crf=30, short_side=480),),
    "twice": (Encoding(crf=26), Encoding(crf=26)),
    "repeats": (Encoding(crf=23, repeats=2),),
}
"""Condition -> its encodings, one after the other: a small copy, an enlarged one, the one that a social network hands
out, an encoded download that is encoded again, and one at twice the frame rate."""
CRF_SERIES = tuple(f"crf{rate}" for rate in (30, 32, 35, 38, 40))
"""The perturbation by H.264 compression, at levels 1 to 5."""


def perturbation_series() -> dict[str, tuple[str, ...]]:
    """The seven perturbations: name -> conditions at levels 1 to 5."""
    by_level = {name: tuple(f"{name}{level}" for level in range(1, LEVELS + 1)) for name in PERTURBATIONS}
    return {**by_level, "crf": CRF_SERIES}


def expand_conditions(words: Iterable[str]) -> tuple[str, ...]:
    """Expand words to the conditions they stand for, without duplicates.

    Args:
        words: Each a condition, a perturbation (all five levels), `compression` (CRF 23, 28 and 35), `platforms`
            (half, up, social, twice and repeats), or `all`. `raw` stands for none: videos are used raw in any case.

    Raises:
        ValueError: for any other word; the message lists the valid ones.
    """
    groups = {"compression": COMPRESSION, "platforms": tuple(ENCODINGS), **perturbation_series()}
    groups["all"] = tuple(condition for group in groups.values() for condition in group)
    conditions: dict[str, None] = {}
    for word in words:
        if word == RAW:
            continue
        if word not in groups and not encodings_of(word) and _parse_perturbation(word) is None:
            raise ValueError(
                f"{word!r} is not a condition: use crf0 to crf51, {', '.join(ENCODINGS)}, {', '.join(PERTURBATIONS)} "
                f"with or without a level from 1 to {LEVELS}, compression, platforms, or all"
            )
        conditions |= dict.fromkeys(groups.get(word, (word,)))
    return tuple(conditions)


def parse_crf(condition: str) -> int | None:
    """The constant rate factor of a compression condition; None for any other condition."""
    match = re.fullmatch(r"crf(\d|[1-4]\d|5[01])", condition)
    return int(match[1]) if match else None


def encodings_of(condition: str) -> tuple[Encoding, ...]:
    """The encodings that a condition applies to the file, one after the other; empty if it applies none."""
    crf = parse_crf(condition)
    return ENCODINGS.get(condition, ()) if crf is None else (Encoding(crf),)


def make_perturbation(condition: str, seed: int) -> Callable[[int, np.ndarray], np.ndarray] | None:
    """The function that applies a condition to a frame.

    Args:
        seed: Random numbers of a frame depend only on this seed and on the index of the frame.

    Returns:
        Function of the frame index and the image (H, W, 3) uint8 BGR; None if the condition does not change frames.
    """
    perturbation = _parse_perturbation(condition)
    if perturbation is None:
        return None
    function, strength = perturbation
    return lambda index, image: function(image, strength, np.random.default_rng((seed, index)))


def _parse_perturbation(condition: str) -> tuple[Callable[..., np.ndarray], float] | None:
    match = re.fullmatch(r"([a-z]+)([1-5])", condition)
    if match is None or match[1] not in PERTURBATIONS:
        return None
    function, strengths = PERTURBATIONS[match[1]]
    return function, strengths[int(match[2]) - 1]
