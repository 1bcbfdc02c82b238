"""Pseudo-fakes: a lip-sync forgery of any real video, made without a generator.

What lip-sync generators leave behind is imitated, one recipe drawn for each forgery: the mouth says what it said at
another moment, the region was generated at a low resolution and forgets from frame to frame where it was, its colour,
sharpness and noise are not those of the camera, a face enhancer draws details that flicker, and it is pasted in with a
mask (Wav2Lip: the lower half of a box; MuseTalk and LatentSync: the lower face; VideoReTalking: the mouth; others: the
whole face, or the whole picture is rendered anew). So a detector can be trained on generators that it has no videos of,
as Self-Blended Images does it for face swaps (Shiohara and Yamasaki, CVPR 2022).
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from lipinc.video.landmarks import FaceMesh, lip_outline, to_68
from lipinc.video.reader import Frame, fit, read_frames
from lipinc.video.writer import encode

WORKING_WIDTH = 800
"""Landmarks are sought at this width, as in extraction."""
MAX_SIDE = 640
"""Largest resolution at which a whole picture is rendered anew, in px."""
STILL = np.array([*range(27, 31), *range(36, 48)])
"""Of the 68 points, those that speech does not move: the bridge of the nose and the eyes."""
LOWER_FACE = np.array([*range(2, 15), 33])
"""Of the 68 points, the jaw and the base of the nose."""


@dataclass(frozen=True)
class Recipe:
    """What the frames of one forgery have in common."""

    mask: Literal["half", "mouth", "lower_face", "face", "picture"]
    """Which region is replaced."""
    delay: int
    """Frames between the mouth that is shown and the moment it comes from; 0: its own words, generated again."""
    side: int
    """Resolution of the generated face, in px."""
    blur: float
    """Standard deviation of the generator's own softness, in px of the generated face."""
    sharpen: float
    """Strength of the unsharp mask that covers it up."""
    enhance: float
    """Strength of the details that an enhancer adds to what is there; 0: none."""
    unsteady: float
    """Standard deviation of a smooth factor on these details that is new in every frame."""
    gain: tuple[float, float, float]
    """Factor on its colours."""
    flicker: float
    """Standard deviation of a factor on its light from frame to frame."""
    jitter: float
    """Standard deviation of its place from frame to frame, in px of the generated face."""
    texture: float
    """Standard deviation of a smooth random pattern that is new in every frame, in grey levels."""
    quality: int
    """Of the JPEG that stands for what an encoder-decoder network cannot reproduce."""
    feather: float
    """Width of the soft edge of the mask, as a share of the face's width."""


def draw_recipe(random: np.random.Generator) -> Recipe:
    """A generator that nobody has."""
    return Recipe(
        mask=str(random.choice(("half", "mouth", "lower_face", "face", "picture"), p=(0.3, 0.15, 0.3, 0.1, 0.15))),
        delay=int(random.integers(3, 25)) if random.random() < 0.6 else 0,
        side=int(random.choice((96, 128, 192, 256, 384))),
        blur=float(random.uniform(0.2, 1.1)),
        sharpen=float(random.choice((0.0, random.uniform(0.3, 1.2)))),
        enhance=float(random.uniform(0.4, 2.0)) if random.random() < 0.35 else 0.0,
        unsteady=float(random.uniform(0.1, 0.6)),
        gain=tuple(float(value) for value in 1 + random.normal(0, 0.012, 3)),
        flicker=float(random.uniform(0.0, 0.012)),
        jitter=float(random.uniform(0.0, 0.35)),
        texture=float(random.uniform(0.0, 1.5)),
        quality=int(random.integers(60, 98)),
        feather=float(random.uniform(0.02, 0.12)),
    )


def forge_video(source: Path, target: Path, *, seed: int) -> Recipe:
    """Forge a video of one face and encode it by H.264 (CRF 12 to 20); returns the recipe. Everything follows from
    the seed. Frames that show no face stay as they are. Raises reader.Unreadable."""
    random = np.random.default_rng(seed)
    recipe = draw_recipe(random)
    encode(_forged(source, recipe, random), target, crf=int(random.integers(12, 21)), preset="veryfast")
    return recipe


def _forged(source: Path, recipe: Recipe, random: np.random.Generator) -> Iterator[Frame]:
    past: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=recipe.delay + 1)
    with FaceMesh() as mesh:
        for frame in read_frames(source):
            image = frame.image
            small = fit(image, WORKING_WIDTH)
            faces = mesh(small)
            if not faces:
                yield frame
                continue
            points = faces[0].astype(np.float64) * (image.shape[1] // small.shape[1])
            past.append((image, points))
            yield Frame(frame.index, frame.time, forge_frame(image, points, *past[0], recipe, random))


def forge_frame(
    image: np.ndarray,
    points: np.ndarray,
    driving: np.ndarray,
    driving_points: np.ndarray,
    recipe: Recipe,
    random: np.random.Generator,
) -> np.ndarray:
    """A frame with the region of the mask generated after another frame of the same person.

    image, driving: [H, W, 3] uint8 BGR; points, driving_points: their face meshes [478, 2] in px. Returns [H, W, 3]
    uint8.
    """
    box = _face_box(points, image.shape)
    if box is None:
        return image
    left, top, right, bottom = box
    side = recipe.side
    if recipe.mask == "picture":
        height, width = image.shape[:2]
        side = min(MAX_SIDE, round(side * max(height, width) / (right - left)))
        left, top, right, bottom = 0, 0, width, height
    part = np.s_[top:bottom, left:right]
    face = image[part]
    if driving is not image:
        # Head to head, so that only what speech moves differs.
        move = cv2.estimateAffinePartial2D(to_68(driving_points)[STILL], to_68(points)[STILL])[0]
        if move is not None:
            move[:, 2] -= (left, top)
            face = cv2.warpAffine(
                driving, move, (right - left, bottom - top), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            )
    generated = _generate(face, side, recipe, random)
    mask = _mask(points - (left, top), face.shape[:2], recipe)[..., None]
    forged = image.copy()
    forged[part] = np.rint(image[part] + mask * (generated - image[part])).clip(0, 255).astype(np.uint8)
    return forged


def _face_box(points: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    low, high = points.min(axis=0), points.max(axis=0)
    pad = 0.08 * (high - low)
    left, top = np.floor(low - pad).astype(int).clip(0)
    right, bottom = np.ceil(high + pad).astype(int).clip(None, (shape[1], shape[0]))
    return (int(left), int(top), int(right), int(bottom)) if right - left >= 16 and bottom - top >= 16 else None


def _generate(face: np.ndarray, side: int, recipe: Recipe, random: np.random.Generator) -> np.ndarray:
    """A face [H, W, 3] uint8 as a network that works at side x side px would give it back: float32."""
    height, width = face.shape[:2]
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA if side < width else cv2.INTER_LINEAR)
    small = cv2.imdecode(
        cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, recipe.quality])[1], cv2.IMREAD_COLOR
    ).astype(np.float32)
    x, y = random.normal(0, recipe.jitter, 2)
    small = cv2.warpAffine(small, np.array([[1, 0, x], [0, 1, y]]), (side, side), borderMode=cv2.BORDER_REPLICATE)
    small = cv2.GaussianBlur(small, (0, 0), recipe.blur * random.uniform(0.85, 1.15))
    if recipe.sharpen:
        small += recipe.sharpen * (small - cv2.GaussianBlur(small, (0, 0), 1.5))
    texture = cv2.resize(random.normal(0, recipe.texture, (side // 6, side // 6, 3)).astype(np.float32), (side, side))
    light = np.float32(1 + random.normal(0, recipe.flicker))
    small = small * (np.array(recipe.gain, np.float32) * light) + texture
    generated = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    if recipe.enhance:
        details = generated - cv2.GaussianBlur(generated, (0, 0), max(0.8, 0.012 * width))
        strength = cv2.resize(random.normal(1, recipe.unsteady, (8, 8)).astype(np.float32), (width, height))
        generated += recipe.enhance * details * strength[..., None]
    return generated


def _mask(points: np.ndarray, shape: tuple[int, int], recipe: Recipe) -> np.ndarray:
    """How much of each px is replaced: [H, W] float32 in 0..1, soft at its edge. points: [478, 2] px of this region."""
    height, width = shape
    mask = np.zeros(shape, np.float32)
    if recipe.mask == "picture":
        return mask + 1
    if recipe.mask == "half":
        nose = to_68(points)[30][1]
        mask[int(np.clip(nose, 0, height - 1)) :, int(0.08 * width) : int(0.92 * width)] = 1
    else:
        outline = {"mouth": lip_outline(points), "lower_face": to_68(points)[LOWER_FACE], "face": points}[recipe.mask]
        if recipe.mask == "mouth":
            outline = outline.mean(axis=0) + 1.5 * (outline - outline.mean(axis=0))
        cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(outline).astype(np.int32)), 1.0)
    return cv2.GaussianBlur(mask, (0, 0), max(0.5, recipe.feather * width / 2))
