"""Pseudo-fakes: lip-sync forgeries of real videos, made without a generator.

They imitate the artefacts of lip-sync generators, with a random recipe for each forgery. The mouth comes from another
moment of the video. The region has the low resolution of a generator, and its position jitters from frame to frame. Its
colour, sharpness and noise differ from those of the camera. A face enhancer adds details that flicker. The region is
pasted in with a mask (Wav2Lip: the lower half of a box; MuseTalk and LatentSync: the lower face; VideoReTalking: the
mouth; others: the whole face, or the whole image is rendered again).

This trains a detector for generators of which there are no videos, as Self-Blended Images does for face swaps (Shiohara
and Yamasaki, CVPR 2022).
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from lipinc.video.landmarks import FaceMesh, lip_outline, to_68
from lipinc.video.reader import Frame, downscale, read_frames
from lipinc.video.writer import encode

WORKING_WIDTH = 800
"""Landmarks are detected at this width in px, as in extraction."""
MAX_RESOLUTION = 640
"""Maximum resolution at which a whole image is rendered again, in px (longer side)."""
RIGID_POINTS = np.array([*range(27, 31), *range(36, 48)])
"""Landmarks (of the 68 points) that speech does not move: the bridge of the nose and the eyes."""
LOWER_FACE_POINTS = np.array([*range(2, 15), 33])
"""Landmarks (of the 68 points) of the jaw and the base of the nose."""


@dataclass(frozen=True)
class Recipe:
    """The parameters of one forgery, the same for all its frames. Lengths are in px of the generated face."""

    mask: Literal["half", "mouth", "lower_face", "face", "picture"]
    """The region that is replaced."""
    delay: int
    """The mouth comes from this many frames earlier; 0: the frame's own mouth, generated again."""
    resolution: int
    """Height and width of the generated face, in px."""
    blur: float
    """Standard deviation of the blur of the generator."""
    sharpen: float
    """Strength of the unsharp mask that compensates for the blur; 0: none."""
    enhance: float
    """Gain of the details that a face enhancer adds; 0: none."""
    enhance_flicker: float
    """Standard deviation of a smooth random factor on these details, drawn for each frame."""
    gain: tuple[float, float, float]
    """Factors on blue, green and red."""
    flicker: float
    """Standard deviation of a brightness factor, drawn for each frame."""
    jitter: float
    """Standard deviation of a shift, drawn for each frame."""
    texture: float
    """Standard deviation of a smooth random pattern, drawn for each frame, in grey levels."""
    jpeg_quality: int
    """JPEG quality. JPEG artefacts imitate what an encoder-decoder network cannot reproduce."""
    feather: float
    """Width of the soft edge of the mask, as a fraction of the face's width."""


def draw_recipe(random: np.random.Generator) -> Recipe:
    """Sample a random pseudo-fake recipe."""
    return Recipe(
        mask=str(random.choice(("half", "mouth", "lower_face", "face", "picture"), p=(0.3, 0.15, 0.3, 0.1, 0.15))),
        delay=int(random.integers(3, 25)) if random.random() < 0.6 else 0,
        resolution=int(random.choice((96, 128, 192, 256, 384))),
        blur=float(random.uniform(0.2, 1.1)),
        sharpen=float(random.choice((0.0, random.uniform(0.3, 1.2)))),
        enhance=float(random.uniform(0.4, 2.0)) if random.random() < 0.35 else 0.0,
        enhance_flicker=float(random.uniform(0.1, 0.6)),
        gain=tuple(float(value) for value in 1 + random.normal(0, 0.012, 3)),
        flicker=float(random.uniform(0.0, 0.012)),
        jitter=float(random.uniform(0.0, 0.35)),
        texture=float(random.uniform(0.0, 1.5)),
        jpeg_quality=int(random.integers(60, 98)),
        feather=float(random.uniform(0.02, 0.12)),
    )


def forge_video(source: Path, target: Path, *, seed: int) -> Recipe:
    """Forge a video of one face and encode it by H.264 (CRF 12 to 20).

    The result depends only on the source and the seed. Frames without a face are not changed.

    Returns:
        The recipe, drawn with the seed.

    Raises:
        reader.Unreadable: no frame of the source can be decoded.
    """
    random = np.random.default_rng(seed)
    recipe = draw_recipe(random)
    encode(_forge_frames(source, recipe, random), target, crf=int(random.integers(12, 21)), preset="veryfast")
    return recipe


def _forge_frames(source: Path, recipe: Recipe, random: np.random.Generator) -> Iterator[Frame]:
    history: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=recipe.delay + 1)
    mesh = FaceMesh()
    for frame in read_frames(source):
        image = frame.image
        small = downscale(image, WORKING_WIDTH)
        faces = mesh(small)
        if not faces:
            yield frame
            continue
        points = faces[0].astype(np.float64) * (image.shape[1] // small.shape[1])
        history.append((image, points))
        yield Frame(frame.index, frame.time, forge_frame(image, points, *history[0], recipe, random))


def forge_frame(
    image: np.ndarray,
    points: np.ndarray,
    driving: np.ndarray,
    driving_points: np.ndarray,
    recipe: Recipe,
    random: np.random.Generator,
) -> np.ndarray:
    """Replace the mask's region of a frame by a generated face that shows another frame of the same person.

    Args:
        image: (H, W, 3) uint8 BGR.
        points: (478, 2) face mesh of `image` in px.
        driving: (H, W, 3) uint8 BGR: the frame whose mouth is shown; may be `image` itself.
        driving_points: (478, 2) face mesh of `driving` in px.

    Returns:
        (H, W, 3) uint8 BGR; `image` itself if its face is too small or outside the image.
    """
    box = _face_box(points, image.shape)
    if box is None:
        return image
    left, top, right, bottom = box
    resolution = recipe.resolution
    if recipe.mask == "picture":
        height, width = image.shape[:2]
        resolution = min(MAX_RESOLUTION, round(resolution * max(height, width) / (right - left)))
        left, top, right, bottom = 0, 0, width, height
    region = np.s_[top:bottom, left:right]
    face = image[region]
    if driving is not image:
        # Align the two heads, so that only what speech moves differs.
        transform = cv2.estimateAffinePartial2D(to_68(driving_points)[RIGID_POINTS], to_68(points)[RIGID_POINTS])[0]
        if transform is not None:
            transform[:, 2] -= (left, top)
            size = (right - left, bottom - top)
            face = cv2.warpAffine(driving, transform, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    generated = _generate(face, resolution, recipe, random)
    mask = _mask(points - (left, top), face.shape[:2], recipe)[..., None]
    forged = image.copy()
    forged[region] = np.rint(image[region] + mask * (generated - image[region])).clip(0, 255).astype(np.uint8)
    return forged


def _face_box(points: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """The face (left, top, right, bottom) in px, clipped to the image; None if less than 16 px of it remain."""
    low, high = points.min(axis=0), points.max(axis=0)
    pad = 0.08 * (high - low)
    left, top = np.floor(low - pad).astype(int).clip(0)
    right, bottom = np.ceil(high + pad).astype(int).clip(None, (shape[1], shape[0]))
    return (int(left), int(top), int(right), int(bottom)) if right - left >= 16 and bottom - top >= 16 else None


def _generate(face: np.ndarray, resolution: int, recipe: Recipe, random: np.random.Generator) -> np.ndarray:
    """Imitate how a network with an input of resolution x resolution px reproduces a face.

    Args:
        face: (H, W, 3) uint8 BGR.

    Returns:
        (H, W, 3) float32 BGR, 0..255.
    """
    height, width = face.shape[:2]
    size = (resolution, resolution)
    small = cv2.resize(face, size, interpolation=cv2.INTER_AREA if resolution < width else cv2.INTER_LINEAR)
    small = cv2.imdecode(
        cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, recipe.jpeg_quality])[1], cv2.IMREAD_COLOR
    ).astype(np.float32)
    x, y = random.normal(0, recipe.jitter, 2)
    small = cv2.warpAffine(small, np.array([[1, 0, x], [0, 1, y]]), size, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.GaussianBlur(small, (0, 0), recipe.blur * random.uniform(0.85, 1.15))
    if recipe.sharpen:
        small += recipe.sharpen * (small - cv2.GaussianBlur(small, (0, 0), 1.5))
    coarse = random.normal(0, recipe.texture, (resolution // 6, resolution // 6, 3)).astype(np.float32)
    texture = cv2.resize(coarse, size)
    brightness = np.float32(1 + random.normal(0, recipe.flicker))
    small = small * (np.array(recipe.gain, np.float32) * brightness) + texture
    generated = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    if recipe.enhance:
        details = generated - cv2.GaussianBlur(generated, (0, 0), max(0.8, 0.012 * width))
        strength = cv2.resize(random.normal(1, recipe.enhance_flicker, (8, 8)).astype(np.float32), (width, height))
        generated += recipe.enhance * details * strength[..., None]
    return generated


def _mask(points: np.ndarray, shape: tuple[int, int], recipe: Recipe) -> np.ndarray:
    """Blending weight of each pixel: (H, W) float32 in 0..1, with a soft edge. points: (478, 2) in px of the region."""
    height, width = shape
    mask = np.zeros(shape, np.float32)
    if recipe.mask == "picture":
        return mask + 1
    if recipe.mask == "half":
        nose = to_68(points)[30][1]
        mask[int(np.clip(nose, 0, height - 1)) :, int(0.08 * width) : int(0.92 * width)] = 1
    else:
        lower_face = to_68(points)[LOWER_FACE_POINTS]
        outline = {"mouth": lip_outline(points), "lower_face": lower_face, "face": points}[recipe.mask]
        if recipe.mask == "mouth":
            outline = outline.mean(axis=0) + 1.5 * (outline - outline.mean(axis=0))
        cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(outline).astype(np.int32)), 1.0)
    return cv2.GaussianBlur(mask, (0, 0), max(0.5, recipe.feather * width / 2))
