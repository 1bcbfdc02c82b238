"""Crops the mouth of a face and computes its pose ratios, given the landmarks (pure functions).

Points are (x, y) in px. There are two kinds of crops. Aligned, as in the papers' code: a rotation and a uniform scale
move the eye centres to fixed positions in a square, and the mouth is the tight bounding box of the lips there. Native:
the mouth is cropped from the frame without resampling, so that every pixel is a decoded one.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lipinc.config import MouthConfig

POSE_RATIOS = ("openness", "width", "left_cheek", "right_cheek")
"""Names of the pose ratios, in the order of every array of them. See `pose_ratios`."""
OPENNESS = POSE_RATIOS.index("openness")
MIN_NATIVE_SIDE = 18
"""Minimum side of a native crop, in px: the crop of a smaller mouth includes more of the skin around it."""


@dataclass(frozen=True)
class Pose:
    """Position and pose of the mouth of one face."""

    transform: np.ndarray
    """(2, 3) float64 affine matrix: frame px -> aligned face px."""
    box: tuple[int, int, int, int]
    """Lip bounding box (left, top, right, bottom) in aligned face px; right and bottom are exclusive."""
    ratios: np.ndarray
    """(4,) float64, in the order of POSE_RATIOS."""


def estimate_pose(points: np.ndarray, lips: np.ndarray, config: MouthConfig) -> Pose | None:
    """Estimate the pose of a face.

    Args:
        points: (68, 2) landmarks in frame px.
        lips: (P, 2) lip outline in frame px.

    Returns:
        None if the lips are not inside the aligned face: a profile view in which the eyes nearly coincide.
    """
    transform = alignment(points, config.aligned_size, config.eye)
    if transform is None:
        return None
    box = lip_box(_apply(transform, lips), config.margin)
    left, top, right, bottom = box
    if left < 0 or top < 0 or right > config.aligned_size or bottom > config.aligned_size:
        return None
    return Pose(transform, box, pose_ratios(_apply(transform, points)))


def alignment(points: np.ndarray, size: int, eye: tuple[float, float]) -> np.ndarray | None:
    """The similarity transform that moves the eye centres to `eye` and to its mirror image.

    Source: V1, code (imutils' FaceAligner, but without rounding the eye centres to whole px).

    Args:
        points: (68, 2) landmarks in px.
        size: Side of the aligned face, in px.
        eye: Position of the eye at the left of the image, as a fraction of `size`.

    Returns:
        (2, 3) float64 affine matrix; None if the eyes coincide.
    """
    left, right = points[36:48].reshape(2, 6, 2).mean(axis=1)
    between_eyes = right - left
    distance = float(_length(between_eyes))
    if distance < 1:
        return None
    scale = (1 - 2 * eye[0]) * size / distance
    cosine, sine = between_eyes / distance * scale
    middle = (left + right) / 2
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    shift = np.array([size / 2, eye[1] * size]) - rotation @ middle
    return np.column_stack([rotation, shift])


def pose_ratios(points: np.ndarray) -> np.ndarray:
    """The pose ratios of a face, from its aligned landmarks (68, 2).

    Source: V1, code. The face box here is the bounding box of the 68 points; the papers use dlib's detection box.

    Returns:
        (4,) float64: gap between the lips / face height, then mouth width, and the distances of the left and the right
        mouth corner to the jaw, each / face width.
    """
    face_width, face_height = points.max(axis=0) - points.min(axis=0)
    lengths = _length(points[[62, 60, 48, 54]] - points[[66, 64, 4, 12]])
    return lengths / (face_height, face_width, face_width, face_width)


def _length(vectors: np.ndarray) -> np.ndarray:
    """Of vectors (..., 2). Not by hypot, whose last bit differs between C libraries."""
    return np.sqrt(vectors[..., 0] ** 2 + vectors[..., 1] ** 2)


def is_inside_image(lips: np.ndarray, image: np.ndarray) -> bool:
    """Whether a lip outline (P, 2) in px lies inside an image (H, W, 3). Landmarks may lie beyond the border."""
    height, width = image.shape[:2]
    return bool((lips >= 0).all() and (lips <= (width, height)).all())


def lip_box(lips: np.ndarray, margin: float = 0.0) -> tuple[int, int, int, int]:
    """The tight bounding box of lip points (P, 2), in whole px.

    margin: added on each side, as a fraction of the box's width or height.
    """
    low, high = lips.min(axis=0), lips.max(axis=0)
    extra = (high - low) * margin
    left, top = np.floor(low - extra).astype(int)
    right, bottom = np.floor(high + extra).astype(int) + 1
    return int(left), int(top), int(right), int(bottom)


def crop_mouth(image: np.ndarray, pose: Pose) -> np.ndarray:
    """Crop the aligned mouth from a frame, at the resolution of the aligned face.

    Bicubic, as published. Only the lip box is warped; its pixels are those of the whole aligned face.

    Returns:
        (bottom - top, right - left, 3) uint8.
    """
    left, top, right, bottom = pose.box
    transform = pose.transform - np.array([[0, 0, left], [0, 0, top]])
    return cv2.warpAffine(image, transform, (right - left, bottom - top), flags=cv2.INTER_CUBIC)


def resize_mouth(mouth: np.ndarray, config: MouthConfig) -> np.ndarray:
    """Resize a mouth to the network's input size: (config.height, config.width, 3) uint8. Bilinear, as published."""
    return cv2.resize(mouth, (config.width, config.height), interpolation=cv2.INTER_LINEAR)


def crop_native(image: np.ndarray, lips: np.ndarray, margin: float) -> np.ndarray | None:
    """Crop the mouth from an image without resampling.

    A crop that would extend beyond the image is moved inside.

    Args:
        image: (H, W, 3) uint8.
        lips: (P, 2) lip outline in px.
        margin: Added to the tight lip box on each side, as a fraction of its width or height.

    Returns:
        (h, w, 3) uint8, at least MIN_NATIVE_SIDE in both directions; None if the image is smaller than that.
    """
    low, high = lips.min(axis=0), lips.max(axis=0)
    image_size = np.array([image.shape[1], image.shape[0]])
    side = np.minimum(np.maximum(np.ceil((high - low) * (1 + 2 * margin)), MIN_NATIVE_SIDE), image_size).astype(int)
    if side.min() < MIN_NATIVE_SIDE:
        return None
    left, top = np.clip(np.rint((low + high - side) / 2).astype(int), 0, image_size - side)
    return image[top : top + side[1], left : left + side[0]]


def crop_to_common_size(mouths: list[np.ndarray]) -> np.ndarray:
    """Centre-crop N mouths (h, w, 3) to the smallest height and the smallest width among them: (N, H, W, 3)."""
    height, width = (min(mouth.shape[axis] for mouth in mouths) for axis in (0, 1))
    corners = [((mouth.shape[0] - height) // 2, (mouth.shape[1] - width) // 2) for mouth in mouths]
    return np.stack(
        [mouth[top : top + height, left : left + width] for mouth, (top, left) in zip(mouths, corners, strict=True)]
    )


def fit_mouths(mouths: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bring native mouths (N, h, w, 3) to one size without resampling: (N, height, width, 3).

    What is too large is cropped around the centre; what is too small is extended by its mirror image, which has the
    same noise.
    """
    for axis, size in ((1, height), (2, width)):
        start = max(0, mouths.shape[axis] - size) // 2
        mouths = mouths.take(range(start, start + min(size, mouths.shape[axis])), axis)
    missing = [size - mouths.shape[axis] for axis, size in ((1, height), (2, width))]
    return np.pad(mouths, ((0, 0), *((gap // 2, gap - gap // 2) for gap in missing), (0, 0)), mode="symmetric")


def residues(frames: np.ndarray, mode: str, out: np.ndarray | None = None) -> np.ndarray:
    """Differences of consecutive mouths: (..., N, H, W, 3) uint8 -> (..., N - 1, H, W, 3) uint8.

    The difference between the last local and the first global frame is included, as published.

    Args:
        mode: `wrapped`: (later - earlier) modulo 256; `absolute`: |later - earlier|.
        out: where the result is written and returned; None: a new array.
    """
    later, earlier = frames[..., 1:, :, :, :], frames[..., :-1, :, :, :]
    if mode == "wrapped":
        return np.subtract(later, earlier, out=out)
    return np.subtract(np.maximum(later, earlier), np.minimum(later, earlier), out=out)


def _apply(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ transform[:, :2].T + transform[:, 2]
