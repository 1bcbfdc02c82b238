"""Synthetic identities: any number of faces, made from two portrait photographs.

Both portraits are in the public domain and come with packages that are installed anyway: Grace Hopper in matplotlib,
Eileen Collins (NASA's "astronaut") in scikit-image. An identity is one of them with a different face shape, colour,
lighting, framing and sensor noise, and possibly mirrored. It is not the likeness of any person.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

FRAME = 224
"""Height and width of a frame in px, as in FakeAVCeleb."""
MARGIN = 40
"""Width of the canvas border around the frame, in px: room for the head to move."""
CANVAS = FRAME + 2 * MARGIN

_BUMP_CENTRES = np.array([[0.0, 0.55], [0.0, -0.45], [0.0, 0.0], [0.0, 0.45], [-0.42, -0.25], [0.42, -0.25]])
"""Centres of the Gaussian bumps that deform a face: jaw, brow, nose, mouth, left and right eye. In units of half the
face height, relative to the centre of the face."""
_BUMP_WIDTHS = np.array([0.55, 0.5, 0.3, 0.35, 0.3, 0.3])
"""Standard deviation of each bump, in the same unit."""


@dataclass(frozen=True)
class Identity:
    """The image of a synthetic face and the positions of its features."""

    canvas: np.ndarray
    """(CANVAS, CANVAS, 3) float32 BGR, 0..255: the upright face and its surroundings."""
    mesh: np.ndarray
    """(478, 2) float64: face mesh on the canvas, in px. Landmarks of a mirrored portrait are those of the
    mirrored image, so that point 33 is always at the left."""
    roll: float
    """Average roll angle of the head, in radians."""
    noise: float
    """Standard deviation of the sensor noise, in grey levels."""
    skin: np.ndarray
    """(3,) float32 BGR: mean colour of the cheeks."""


@lru_cache(maxsize=1)
def portraits() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """The two photographs, each followed by its mirror image, as pairs of image and face mesh.

    Images are (H, W, 3) uint8 BGR, meshes (478, 2) float64 in px.
    """
    from matplotlib import cbook
    from skimage import data

    from lipinc.video.landmarks import FaceMesh

    images = (
        cv2.imread(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))),
        np.ascontiguousarray(data.astronaut()[..., ::-1]),
    )
    pairs = []
    mesh = FaceMesh(static=True)
    for image in images:
        for side in (image, np.ascontiguousarray(image[:, ::-1])):
            pairs.append((side, mesh(side)[0].astype(np.float64)))
    return tuple(pairs)


@lru_cache(maxsize=32)
def make_identity(number: int, seed: int = 0) -> Identity:
    """Make the synthetic identity `number` of a seed.

    The number determines the portrait and whether it is mirrored; everything else is random.
    """
    image, mesh = portraits()[number % 4]
    rng = np.random.default_rng([seed, number, 0])
    to_portrait, centre, half_height = _random_framing(mesh, rng)
    amounts = rng.uniform(-1, 1, _BUMP_CENTRES.shape) * np.array([0.13, 0.09])
    amounts[5] = amounts[4]  # both eyes change by the same amount

    def source(points: np.ndarray) -> np.ndarray:
        return cv2.transform(_deform(points, centre, half_height, amounts)[None], to_portrait)[0]

    grid = np.stack(np.meshgrid(np.arange(CANVAS), np.arange(CANVAS)), axis=-1).reshape(-1, 2).astype(np.float64)
    sampled = source(grid).reshape(CANVAS, CANVAS, 2).astype(np.float32)
    canvas = cv2.remap(image, sampled[..., 0], sampled[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    canvas = _change_lighting(canvas.astype(np.float32), rng)
    points = _invert(source, mesh, to_portrait)
    cheeks = points[[50, 280, 205, 425]].round().astype(int)
    skin = np.median([canvas[y - 3 : y + 4, x - 3 : x + 4].mean(axis=(0, 1)) for x, y in cheeks], axis=0)
    return Identity(
        canvas=canvas,
        mesh=points,
        roll=float(rng.uniform(-0.07, 0.07)),
        noise=float(rng.uniform(1.2, 3.0)),
        skin=skin.astype(np.float32),
    )


def _random_framing(mesh: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Draw the position and size of the face on the canvas.

    Returns:
        The (2, 3) affine matrix canvas px -> portrait px that levels the eyes, and the centre (2,) and half height of
        the face on the canvas, in px.
    """
    between_eyes = mesh[[263, 362]].mean(axis=0) - mesh[[33, 133]].mean(axis=0)
    cosine, sine = between_eyes / np.hypot(*between_eyes)
    level = np.array([[cosine, sine], [-sine, cosine]])
    upright = mesh @ level.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    half = FRAME * rng.uniform(0.28, 0.34)
    centre = CANVAS / 2 + np.array([rng.uniform(-12, 12), rng.uniform(-4, 12)])
    scale = (high - low)[1] / (2 * half)
    linear = level.T * scale
    middle = (low + high) / 2 @ level
    return np.column_stack([linear, middle - linear @ centre]), centre, half


def _deform(points: np.ndarray, centre: np.ndarray, half_height: float, amounts: np.ndarray) -> np.ndarray:
    """Map points (P, 2) of the deformed face to the original face: local scalings around six centres.

    amounts: (6, 2), the strength of each scaling in x and y.
    """
    face = (points - centre) / half_height
    moved = face.copy()
    for bump_centre, bump_width, amount in zip(_BUMP_CENTRES, _BUMP_WIDTHS, amounts, strict=True):
        offset = face - bump_centre
        weight = np.exp(-(offset**2).sum(axis=1, keepdims=True) / (2 * bump_width**2))
        moved += amount * offset * weight
    return moved * half_height + centre


def _invert(source: Callable[[np.ndarray], np.ndarray], targets: np.ndarray, to_portrait: np.ndarray) -> np.ndarray:
    """Find the canvas points (P, 2) that `source` maps to `targets`, by fixed-point iteration.

    The iteration converges because the deformation is small.
    """
    inverse = np.linalg.inv(to_portrait[:, :2])
    points = (targets - to_portrait[:, 2]) @ inverse.T
    for _ in range(15):
        points = points - (source(points) - targets) @ inverse.T
    return points


def _change_lighting(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Imitate a different camera and lighting: tone curve, saturation, white balance, light from one side."""
    tone = (canvas.clip(0, 255) / 255) ** rng.uniform(0.75, 1.35)
    grey = tone.mean(axis=-1, keepdims=True)
    tone = grey + (tone - grey) * rng.uniform(0.55, 1.25)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : CANVAS * 1j, -1 : 1 : CANVAS * 1j].astype(np.float32)
    light = 1 + rng.uniform(0.05, 0.3) * (np.cos(angle) * x + np.sin(angle) * y)
    balance = rng.uniform(0.9, 1.1, 3)
    return (255 * tone * light[..., None] * balance).clip(0, 250).astype(np.float32)
