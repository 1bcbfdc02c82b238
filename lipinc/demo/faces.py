"""Portraits to synthetic identities: two photographs in, any number of faces out.

Both portraits are in the public domain and lie in packages that are installed anyway: Grace Hopper in matplotlib,
Eileen Collins (NASA's "astronaut") in scikit-image. An identity is one of them with another face shape, side, colour,
light, framing and sensor noise. It is nobody's likeness, and nobody's voice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

FRAME = 224
"""Side of a frame in px, as in FakeAVCeleb."""
MARGIN = 40
"""Canvas px beyond each side of the frame: room for the head to move."""
CANVAS = FRAME + 2 * MARGIN

_SQUEEZE = np.array([[0.0, 0.55], [0.0, -0.45], [0.0, 0.0], [0.0, 0.45], [-0.42, -0.25], [0.42, -0.25]])
"""Centres of the bumps that change a face: jaw, brow, nose, mouth, eyes; in half face heights from its centre."""
_SPREAD = np.array([0.55, 0.5, 0.3, 0.35, 0.3, 0.3])
"""And how far each bump reaches."""


@dataclass(frozen=True)
class Identity:
    """A face that can talk: its picture, and where its features are there."""

    canvas: np.ndarray
    """[CANVAS, CANVAS, 3] float32 BGR, 0..255: the upright face and what is around it."""
    mesh: np.ndarray
    """[478, 2] float64: MediaPipe's points on the canvas, in px. Mirrored portraits have landmarks of their own:
    point 33 is always at the left."""
    roll: float
    """How the head is held on average, in radians."""
    noise: float
    """Standard deviation of the sensor noise, in grey levels."""
    skin: np.ndarray
    """[3] float32 BGR: mean colour of the cheeks."""


@lru_cache(maxsize=1)
def portraits() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """The photographs, each followed by its mirror image: [H, W, 3] uint8 BGR, and landmarks [478, 2] float64 in px."""
    from matplotlib import cbook
    from skimage import data

    from lipinc.video.landmarks import FaceMesh, quiet_native_logs

    images = (
        cv2.imread(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))),
        np.ascontiguousarray(data.astronaut()[..., ::-1]),
    )
    pairs = []
    with quiet_native_logs(), FaceMesh(static=True) as mesh:
        for image in images:
            for side in (image, np.ascontiguousarray(image[:, ::-1])):
                pairs.append((side, mesh(side)[0].astype(np.float64)))
    return tuple(pairs)


@lru_cache(maxsize=32)
def identity(number: int, seed: int = 0) -> Identity:
    """Synthetic identity `number` of a seed. The portrait and its side follow from the number, all else is drawn."""
    image, mesh = portraits()[number % 4]
    rng = np.random.default_rng([seed, number, 0])
    to_portrait, centre, unit = _framing(mesh, rng)
    squeeze = rng.uniform(-1, 1, _SQUEEZE.shape) * np.array([0.13, 0.09])
    squeeze[5] = squeeze[4]  # the eyes change alike

    def source(points: np.ndarray) -> np.ndarray:
        return cv2.transform(_reshape(points, centre, unit, squeeze)[None], to_portrait)[0]

    grid = np.stack(np.meshgrid(np.arange(CANVAS), np.arange(CANVAS)), axis=-1).reshape(-1, 2).astype(np.float64)
    where = source(grid).reshape(CANVAS, CANVAS, 2).astype(np.float32)
    canvas = cv2.remap(image, where[..., 0], where[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    canvas = _light(canvas.astype(np.float32), rng)
    points = _solve(source, mesh, to_portrait)
    cheeks = points[[50, 280, 205, 425]].round().astype(int)
    skin = np.median([canvas[y - 3 : y + 4, x - 3 : x + 4].mean(axis=(0, 1)) for x, y in cheeks], axis=0)
    return Identity(
        canvas=canvas,
        mesh=points,
        roll=float(rng.uniform(-0.07, 0.07)),
        noise=float(rng.uniform(1.2, 3.0)),
        skin=skin.astype(np.float32),
    )


def _framing(mesh: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Canvas px -> portrait px [2, 3] with level eyes, and the face's centre and half height on the canvas."""
    across = mesh[[263, 362]].mean(axis=0) - mesh[[33, 133]].mean(axis=0)
    cosine, sine = across / np.hypot(*across)
    level = np.array([[cosine, sine], [-sine, cosine]])
    upright = mesh @ level.T
    low, high = upright.min(axis=0), upright.max(axis=0)
    half = FRAME * rng.uniform(0.28, 0.34)
    centre = CANVAS / 2 + np.array([rng.uniform(-12, 12), rng.uniform(-4, 12)])
    scale = (high - low)[1] / (2 * half)
    linear = level.T * scale
    middle = (low + high) / 2 @ level
    return np.column_stack([linear, middle - linear @ centre]), centre, half


def _reshape(points: np.ndarray, centre: np.ndarray, unit: float, squeeze: np.ndarray) -> np.ndarray:
    """Where on the unchanged face each point [P, 2] of the changed one comes from: local scalings about six places."""
    face = (points - centre) / unit
    moved = face.copy()
    for place, reach, amount in zip(_SQUEEZE, _SPREAD, squeeze, strict=True):
        away = face - place
        weight = np.exp(-(away**2).sum(axis=1, keepdims=True) / (2 * reach**2))
        moved += amount * away * weight
    return moved * unit + centre


def _solve(source: Callable[[np.ndarray], np.ndarray], wanted: np.ndarray, to_portrait: np.ndarray) -> np.ndarray:
    """The canvas points [P, 2] whose source is `wanted`. The deformation is small: the iteration contracts."""
    inverse = np.linalg.inv(to_portrait[:, :2])
    points = (wanted - to_portrait[:, 2]) @ inverse.T
    for _ in range(15):
        points = points - (source(points) - wanted) @ inverse.T
    return points


def _light(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another camera and another lamp: tone curve, saturation, white balance, light from one side."""
    tone = (canvas.clip(0, 255) / 255) ** rng.uniform(0.75, 1.35)
    grey = tone.mean(axis=-1, keepdims=True)
    tone = grey + (tone - grey) * rng.uniform(0.55, 1.25)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : CANVAS * 1j, -1 : 1 : CANVAS * 1j].astype(np.float32)
    lamp = 1 + rng.uniform(0.05, 0.3) * (np.cos(angle) * x + np.sin(angle) * y)
    balance = rng.uniform(0.9, 1.1, 3)
    return (255 * tone * lamp[..., None] * balance).clip(0, 250).astype(np.float32)
