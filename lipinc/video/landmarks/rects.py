"""Rotated rectangles around faces, by the float32 rules of MediaPipe's calculators."""

import math
from typing import NamedTuple

import cv2
import numpy as np

from lipinc.video.landmarks.float32 import atan2f

SCALE = np.float32(1.5)
"""Side of the rectangle that the mesh sees, relative to the face."""
_CORNERS = np.array([[0, 1], [0, 0], [1, 0], [1, 1]], dtype=np.float32)  # in the order of cv2.boxPoints


class Rect(NamedTuple):
    """A rotated rectangle in fractions of the image's width and height (MediaPipe's NormalizedRect)."""

    x_center: np.float32
    y_center: np.float32
    width: np.float32
    height: np.float32
    rotation: np.float32
    """Clockwise, in rad."""


def square_around(
    corner: np.ndarray, size: np.ndarray, left_eye: np.ndarray, right_eye: np.ndarray, image_size: np.ndarray
) -> Rect:
    """The square that is upright for the face and 1.5 times as large as its box.

    MediaPipe's DetectionsToRectsCalculator followed by its RectTransformationCalculator.

    Args:
        corner: (2,) float32 (x, y): left top of the box, in fractions of the image.
        size: (2,) float32: width and height of the box.
        left_eye: (2,) float32: the eye at the left of the image.
        right_eye: (2,) float32: the other one.
        image_size: (2,) float32: width and height of the image in px.
    """
    width, height = image_size
    side = max(size[0] * width, size[1] * height)
    return Rect(
        corner[0] + size[0] / np.float32(2),
        corner[1] + size[1] / np.float32(2),
        side / width * SCALE,
        side / height * SCALE,
        _rotation(left_eye * image_size, right_eye * image_size),
    )


def _rotation(start: np.ndarray, end: np.ndarray) -> np.float32:
    """Angle between the line from start to end, in px, and the horizontal, normalised to -pi..pi."""
    across, down = end - start
    angle = float(np.float32(0) - atan2f(-down, across))
    return np.float32(angle - 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi)))


def intersection_over_union(corner: np.ndarray, size: np.ndarray, others: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Of a box with each of N others: (2,), (2,), (N, 2), (N, 2) float32 -> (N,) float32."""
    ends, end = others + sizes, corner + size
    overlap = np.minimum(ends, end) - np.maximum(others, corner)
    intersection = np.where((overlap > 0).all(axis=1), overlap[:, 0] * overlap[:, 1], np.float32(0))
    # A box is kept by its corner and size, but its area is that between its corners.
    return intersection / ((ends - others).prod(axis=1) + (end - corner).prod() - intersection)


def associate(detected: list[Rect], tracked: list[Rect]) -> list[Rect]:
    """AssociationNormRectCalculator: a later rectangle replaces those that it overlaps by more than half."""
    rects: list[Rect] = []
    for rect in (*detected, *tracked):
        if rects:
            kept = np.array(rects, dtype=np.float32)
            sizes, size = kept[:, 2:4], np.array(rect[2:4])
            half = np.float32(2)
            overlaps = intersection_over_union(
                np.array(rect[:2]) - size / half, size, kept[:, :2] - sizes / half, sizes
            )
            rects = [other for other, overlap in zip(rects, overlaps, strict=True) if not overlap > 0.5]
        rects.append(rect)
    return rects


def cut(image: np.ndarray, rect: Rect, side: int, *, border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
    """MediaPipe's ImageToTensorCalculator: the content of a rectangle, scaled to a square and turned upright.

    Args:
        image: (H, W, 3) uint8.
        side: Side of the square in px.
        border: What lies beyond the image, a border type of OpenCV.

    Returns:
        (side, side, 3) uint8.
    """
    height, width = image.shape[:2]
    center = (float(rect.x_center * np.float32(width)), float(rect.y_center * np.float32(height)))
    size = (float(rect.width * np.float32(width)), float(rect.height * np.float32(height)))
    degrees = float(np.float32(float(rect.rotation * np.float32(180)) / math.pi))
    corners = cv2.boxPoints((center, size, degrees))
    matrix = cv2.getPerspectiveTransform(corners, _CORNERS * np.float32(side))
    return cv2.warpPerspective(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=border)
