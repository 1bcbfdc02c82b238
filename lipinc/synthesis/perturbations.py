"""The conditions a video is judged under: as it is, re-encoded, or perturbed as DeeperForensics does it.

A condition is a word: `raw`, `crf28` (re-encoded by H.264 at that constant rate factor), or a perturbation and its
level from 1 to 5, `blur3`. Perturbations work on the frames of the file at their full size, before mouths are sought.

Source: Jiang et al., DeeperForensics-1.0, CVPR 2020, and its code, whose count of blocks is zero for frames below
256 px; here it follows the size of the frame. Its seventh perturbation, H.264 at CRF 30 to 40, is `crf30` and so on.
"""

import re
from collections.abc import Callable, Iterable

import cv2
import numpy as np

RAW = "raw"
LEVELS = 5
COMPRESSION = ("crf23", "crf28", "crf35")
"""The levels that a number is given at, beside raw: x264's default, visibly worse, bad."""


def saturation(image: np.ndarray, factor: float, random: np.random.Generator) -> np.ndarray:
    """Colours drawn towards grey by a factor."""
    yuv = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb).astype(np.float32)
    yuv[..., 1:] = 128 + factor * (yuv[..., 1:] - 128)
    return cv2.cvtColor(np.rint(yuv).astype(np.uint8), cv2.COLOR_YCrCb2BGR)


def contrast(image: np.ndarray, factor: float, random: np.random.Generator) -> np.ndarray:
    """All values times a factor: darker and flatter."""
    return (image * np.float32(factor)).astype(np.uint8)


def blocks(image: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Grey blocks of 8 x 8 px at random places: `count` for each 256 px of the shorter side."""
    height, width = image.shape[:2]
    covered = image.copy()
    for _ in range(max(1, round(count * min(height, width) / 256))):
        top, left = random.integers(max(1, height - 8)), random.integers(max(1, width - 8))
        covered[top : top + 8, left : left + 8] = 128
    return covered


def noise(image: np.ndarray, variance: float, random: np.random.Generator) -> np.ndarray:
    """Gaussian noise, of a variance for values in 0..1, on luma and chroma."""
    yuv = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb).astype(np.float32)
    yuv += random.standard_normal(yuv.shape, dtype=np.float32) * np.float32(255 * variance**0.5)
    return cv2.cvtColor(np.rint(yuv).clip(0, 255).astype(np.uint8), cv2.COLOR_YCrCb2BGR)


def blur(image: np.ndarray, kernel: int, random: np.random.Generator) -> np.ndarray:
    """A Gaussian blur of kernel x kernel px, its standard deviation a sixth of that."""
    return cv2.GaussianBlur(image, (kernel, kernel), kernel / 6)


def pixelation(image: np.ndarray, factor: int, random: np.random.Generator) -> np.ndarray:
    """Scaled down by a factor, and up again."""
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
"""Name -> the function of (image [H, W, 3] uint8 BGR, strength, random) and its strengths at levels 1 to 5."""
CRF_SERIES = tuple(f"crf{rate}" for rate in (30, 32, 35, 38, 40))
"""The perturbation by H.264 at levels 1 to 5."""


def series() -> dict[str, tuple[str, ...]]:
    """The seven perturbations: name -> its conditions at levels 1 to 5."""
    named = {name: tuple(f"{name}{level}" for level in range(1, LEVELS + 1)) for name in PERTURBATIONS}
    return {**named, "crf": CRF_SERIES}


def expand(words: Iterable[str]) -> tuple[str, ...]:
    """The conditions that some words name, each once: a condition, a perturbation (its five levels), `compression`
    (CRF 23, 28, 35), or `all`. Raises ValueError, saying what a word may be."""
    groups = {**series(), "compression": COMPRESSION}
    groups["all"] = tuple(condition for group in (COMPRESSION, *series().values()) for condition in group)
    found: dict[str, None] = {}
    for word in words:
        if word not in groups and crf_of(word) is None and _perturbation(word) is None:
            raise ValueError(
                f"{word!r} is no condition: crf0 to crf51, {', '.join(PERTURBATIONS)} with a level from 1 to {LEVELS} "
                "or without, compression, all"
            )
        found |= dict.fromkeys(groups.get(word, (word,)))
    return tuple(found)


def crf_of(condition: str) -> int | None:
    """The constant rate factor that a condition re-encodes at; None if it is another one."""
    match = re.fullmatch(r"crf(\d|[1-4]\d|5[01])", condition)
    return int(match[1]) if match else None


def perturb(condition: str, seed: int) -> Callable[[int, np.ndarray], np.ndarray] | None:
    """What a condition does to the frame of an index, [H, W, 3] uint8 BGR; None if it leaves frames as they are. The
    noise of a frame follows from the seed and its index."""
    found = _perturbation(condition)
    if found is None:
        return None
    function, strength = found
    return lambda index, image: function(image, strength, np.random.default_rng((seed, index)))


def _perturbation(condition: str) -> tuple[Callable[..., np.ndarray], float] | None:
    match = re.fullmatch(r"([a-z]+)([1-5])", condition)
    if match is None or match[1] not in PERTURBATIONS:
        return None
    function, strengths = PERTURBATIONS[match[1]]
    return function, strengths[int(match[2]) - 1]
