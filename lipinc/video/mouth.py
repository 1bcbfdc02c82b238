"""From the landmarks of a face to its mouth and its four pose ratios (pure functions).

Points are (x, y) in px. A face is aligned as the papers' code does it: a rotation and one scale bring the eye centres
to fixed places of a square; the mouth is the tight box of the lips there. Or it is cut from the frame as it stands, so
that every pixel is one that was decoded.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lipinc.config import MouthConfig

POSE_RATIOS = ("openness", "width", "left_cheek", "right_cheek")
LEAST_SIDE = 18
"""Of a mouth cut from the frame as it stands, in px: smaller ones get more of the skin around them."""


@dataclass(frozen=True)
class Pose:
    """Where the mouth of one face is, and how it is held."""

    transform: np.ndarray
    """[2, 3] float64: frame px -> aligned face px."""
    box: tuple[int, int, int, int]
    """Lip box (left, top, right, bottom) in aligned face px, right and bottom exclusive."""
    ratios: np.ndarray
    """[4] float64 in the order of POSE_RATIOS: openness as a share of the face height, the others of its width."""


def measure(points: np.ndarray, lips: np.ndarray, config: MouthConfig) -> Pose | None:
    """The pose of a face from its 68 points [68, 2] and its lip outline [P, 2], both in frame px.

    None where the lips do not lie within the aligned face: a profile so strong that the eyes nearly coincide.
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
    """The similarity transform [2, 3] that puts the centres of the eyes at `eye` and at its mirror image.

    points: [68, 2] px. eye: place of the eye at the left of the picture, as a share of `size`. None if the eyes
    coincide. Source: V1, code (imutils' FaceAligner, without its rounding of the eye centres to whole px).
    """
    left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    across = right - left
    distance = float(np.hypot(*across))
    if distance < 1:
        return None
    scale = (1 - 2 * eye[0]) * size / distance
    cosine, sine = across / distance * scale
    middle = (left + right) / 2
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    shift = np.array([size / 2, eye[1] * size]) - rotation @ middle
    return np.column_stack([rotation, shift])


def pose_ratios(points: np.ndarray) -> np.ndarray:
    """Openness, width, left cheek and right cheek [4] of aligned 68 points [68, 2].

    The face box is the bounding box of the 68 points (the papers: dlib's detection box). Source: V1, code.
    """
    face_width, face_height = points.max(axis=0) - points.min(axis=0)

    def distance(a: int, b: int) -> float:
        return float(np.hypot(*(points[a] - points[b])))

    return np.array(
        [
            distance(62, 66) / face_height,
            distance(60, 64) / face_width,
            distance(48, 4) / face_width,
            distance(54, 12) / face_width,
        ]
    )


def is_in_picture(lips: np.ndarray, image: np.ndarray) -> bool:
    """Whether a lip outline [P, 2] in px lies within an image [H, W, 3]: landmarks go on where the picture ends."""
    height, width = image.shape[:2]
    return bool((lips >= 0).all() and (lips <= (width, height)).all())


def lip_box(lips: np.ndarray, margin: float = 0.0) -> tuple[int, int, int, int]:
    """The tight box of aligned lip points [P, 2] in whole px, widened by `margin` of its sides on each side."""
    low, high = lips.min(axis=0), lips.max(axis=0)
    extra = (high - low) * margin
    left, top = np.floor(low - extra).astype(int)
    right, bottom = np.floor(high + extra).astype(int) + 1
    return int(left), int(top), int(right), int(bottom)


def cut_mouth(image: np.ndarray, pose: Pose) -> np.ndarray:
    """The mouth of a frame, aligned, at the aligned face's own resolution: [bottom - top, right - left, 3] uint8.

    Bicubic, as published. Only the box is warped: the same pixels as a box cut from the whole aligned face.
    """
    left, top, right, bottom = pose.box
    transform = pose.transform - np.array([[0, 0, left], [0, 0, top]])
    return cv2.warpAffine(image, transform, (right - left, bottom - top), flags=cv2.INTER_CUBIC)


def resize_mouth(mouth: np.ndarray, config: MouthConfig) -> np.ndarray:
    """To the network's size: [config.height, config.width, 3] uint8. Bilinear, as published."""
    return cv2.resize(mouth, (config.width, config.height), interpolation=cv2.INTER_LINEAR)


def cut_native(image: np.ndarray, lips: np.ndarray, margin: float) -> np.ndarray | None:
    """The pixels [h, w, 3] uint8 of an image around a lip outline [P, 2] in px, as they are: its tight box widened by
    `margin` of its sides on each side, moved into the image where it would stand out. None if that has no room."""
    low, high = lips.min(axis=0), lips.max(axis=0)
    picture = np.array([image.shape[1], image.shape[0]])
    side = np.minimum(np.maximum(np.ceil((high - low) * (1 + 2 * margin)), LEAST_SIDE), picture).astype(int)
    if side.min() < LEAST_SIDE:
        return None
    left, top = np.clip(np.rint((low + high - side) / 2).astype(int), 0, picture - side)
    return image[top : top + side[1], left : left + side[0]]


def to_one_size(mouths: list[np.ndarray]) -> np.ndarray:
    """Mouths [h, w, 3] of N frames, cut to the least of their heights and widths around their centres: [N, H, W, 3]."""
    height, width = (min(mouth.shape[axis] for mouth in mouths) for axis in (0, 1))
    corners = [((mouth.shape[0] - height) // 2, (mouth.shape[1] - width) // 2) for mouth in mouths]
    return np.stack(
        [mouth[top : top + height, left : left + width] for mouth, (top, left) in zip(mouths, corners, strict=True)]
    )


def residues(frames: np.ndarray, mode: str) -> np.ndarray:
    """Differences of consecutive mouths: [..., N, H, W, 3] uint8 -> [..., N - 1, H, W, 3] uint8.

    The seam between local and global frames is included, as published. mode: `wrapped` is (later - earlier) modulo
    256, `absolute` is |later - earlier|.
    """
    later, earlier = frames[..., 1:, :, :, :], frames[..., :-1, :, :, :]
    if mode == "wrapped":
        return later - earlier
    return np.maximum(later, earlier) - np.minimum(later, earlier)


def _apply(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ transform[:, :2].T + transform[:, 2]
