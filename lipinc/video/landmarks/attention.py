"""The attention mesh: a trunk gives a mesh of the face and features, and heads refine the lips, eyes and irises.

In MediaPipe's model, two operations lie between trunk and heads that LiteRT does not have: they place a square of the
features around each region. Here they are functions (the second one in bilinear.py), named after MediaPipe's custom
operations, with the same float32 and float64 operations in the same order. The model is cut in two around them
(cut_models.py).

Source: "Attention Mesh: High-fidelity Face Mesh Prediction in Real-time" (Grishchenko et al., 2020, arXiv 2006.10962).
"""

from typing import NamedTuple

import cv2
import numpy as np

from lipinc.video.landmarks.bilinear import transform_tensor_bilinear
from lipinc.video.landmarks.float32 import atan2f, cos_sin, sigmoid
from lipinc.video.landmarks.litert import shared_model

SIDE = 192
"""Of the input, in px."""
_VALUES = np.arange(256, dtype=np.float32) * (np.float32(1) / np.float32(255))  # 0..1
_FEATURES = 48
"""Side of the feature map."""
_SQUARE = 16
"""Side of the square of features that a head sees."""
# fmt: off
_LIPS = np.array([
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409, 78, 95, 88, 178, 87,
    14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415, 76, 77, 90, 180, 85, 16, 315, 404, 320,
    307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408, 62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42,
    41, 38, 12, 268, 271, 272, 407,
])
_LEFT_EYE = np.array([
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110, 24, 23, 22, 26, 112,
    243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221,
    189, 35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
])
_RIGHT_EYE = np.array([
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255, 339, 254, 253, 252,
    256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444,
    443, 442, 441, 413, 265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293,
    334, 296, 336, 285, 417,
])
# fmt: on


class _Region(NamedTuple):
    points: np.ndarray
    """Indices of its points in the mesh, in the order of its head's output."""
    left: int
    """Point of its corner at the left of the image."""
    right: int


_REGIONS = (_Region(_LIPS, 61, 291), _Region(_LEFT_EYE, 33, 133), _Region(_RIGHT_EYE, 362, 263))
_HEADS = (
    (_LIPS, 0),
    (_LEFT_EYE, 1),
    (_RIGHT_EYE, 2),
    (np.arange(468, 473), 1),  # left iris
    (np.arange(473, 478), 2),  # right iris
)
"""For each output of the heads, its points in the mesh and the region that it saw."""
_X, _Y = (axis.ravel().astype(np.float32) for axis in np.meshgrid(np.arange(_SQUARE), np.arange(_SQUARE)))


class _Affine(NamedTuple):
    """x' = a x + b y + c, y' = d x + e y + f."""

    a: np.float32
    b: np.float32
    c: np.float32
    d: np.float32
    e: np.float32
    f: np.float32


class AttentionMesh:
    """Landmarks of one face in its patch, with refined lips, eyes and irises."""

    points = 478

    def __init__(self) -> None:
        self._trunk = shared_model("attention_trunk")
        self._heads = shared_model("attention_heads")

    def __call__(self, patch: np.ndarray) -> tuple[np.ndarray, np.float32]:
        """Find the landmarks.

        Args:
            patch: (192, 192, 3) uint8 BGR: the face, upright.

        Returns:
            (478, 2) float32 (x, y) in px of the patch, and the probability 0..1 that it shows a face.
        """
        self._trunk.run_on_image(cv2.cvtColor(patch, cv2.COLOR_BGR2RGB), _VALUES)
        presence = sigmoid(self._trunk.output(2).item())
        landmarks = np.empty((self.points, 2), dtype=np.float32)
        landmarks[:468] = self._trunk.output(1).reshape(468, 3)[:, :2]
        on_features = landmarks[:468] * np.float32(_FEATURES / SIDE)
        placed = [_landmarks_to_transform_matrix(on_features, region) for region in _REGIONS]
        squares = transform_tensor_bilinear(self._trunk.output(0), *_positions(placed))
        self._heads.run(*np.split(squares, len(placed)))
        scale = np.float32(SIDE / _FEATURES)
        for number, (points, region) in enumerate(_HEADS):
            x, y = self._heads.output(number).reshape(-1, 2).T
            a, b, c, d, e, f = placed[region]
            landmarks[points, 0] = (a * x + b * y) + c * scale
            landmarks[points, 1] = (d * x + e * y) + f * scale
        return landmarks, presence


def _landmarks_to_transform_matrix(mesh: np.ndarray, region: _Region) -> _Affine:
    """Landmarks2TransformMatrix: from px of a region's square to px of the feature map.

    The square is 1.5 times as large as the region in each direction, and turned with the line between its corners.

    Args:
        mesh: (468, 2) float32 in px of the feature map.
    """
    across, down = mesh[region.right] - mesh[region.left]
    cos, sin = cos_sin(np.float32(0) - atan2f(down, across))
    x, y = mesh[region.points].T
    upright_x, upright_y = cos * x + -sin * y, sin * x + cos * y
    left, right, top, bottom = upright_x.min(), upright_x.max(), upright_y.min(), upright_y.max()
    center_x, center_y = (left + right) / np.float32(2), (top + bottom) / np.float32(2)
    sin = -sin  # turned back
    x, y = cos * center_x + -sin * center_y, sin * center_x + cos * center_y
    scale_x = np.float32(1.5) * (right - left) / np.float32(_SQUARE)
    scale_y = np.float32(1.5) * (bottom - top) / np.float32(_SQUARE)
    a, b, d, e = cos * scale_x, -sin * scale_y, sin * scale_x, cos * scale_y
    back = np.float32(-_SQUARE / 2)
    return _Affine(a, b, (a * back + b * back) + x, d, e, (d * back + e * back) + y)


def _positions(placed: list[_Affine]) -> tuple[np.ndarray, np.ndarray]:
    """Of the cells of all squares on the feature map: x and y, (squares * 256,) float32 each, row by row."""
    affine = np.array(placed)  # (squares, 6)
    by_x, by_y, shift = affine[:, 0::3], affine[:, 1::3], affine[:, 2::3]  # (squares, 2): of x, of y
    to_centers = (by_x.astype(np.float64) * 0.5 + by_y.astype(np.float64) * 0.5 - 0.5) + shift.astype(np.float64)
    x, y = ((by_x[..., None] * _X + by_y[..., None] * _Y) + to_centers.astype(np.float32)[..., None]).swapaxes(0, 1)
    return x.ravel(), y.ravel()


class PlainMesh:
    """Landmarks of one face in its patch by the model without attention: faster, less accurate lips and eyes."""

    points = 468

    def __init__(self) -> None:
        self._model = shared_model("face_landmark")

    def __call__(self, patch: np.ndarray) -> tuple[np.ndarray, np.float32]:
        """See `AttentionMesh`; (468, 2) landmarks."""
        self._model.run_on_image(cv2.cvtColor(patch, cv2.COLOR_BGR2RGB), _VALUES)
        landmarks = self._model.output(0).reshape(468, 3)[:, :2].copy()
        return landmarks, sigmoid(self._model.output(1).item())
