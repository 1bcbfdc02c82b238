"""MediaPipe's face detectors on LiteRT: the boxes and six key points of the faces of single images."""

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from lipinc.video.landmarks.float32 import sigmoid
from lipinc.video.landmarks.litert import shared_model
from lipinc.video.landmarks.rects import Rect, cut, intersection_over_union

MAX_OVERLAP = 0.3
"""Boxes that overlap more than this (intersection over union) show the same face."""
# -1..1, as OpenCV's convertTo computes it: one fused operation, rounded once.
_VALUES = (np.arange(256) * np.float64(np.float32(2) / np.float32(255)) - 1).astype(np.float32)


@dataclass(frozen=True)
class Detection:
    """A face found by a face detector."""

    score: float
    """0..1, at least 0.5; at least 0.6 by the full-range detector."""
    box: np.ndarray
    """(4,) float: left, top, right, bottom in px."""


class KeyedDetection(NamedTuple):
    """A detection as MediaPipe keeps it, in fractions of the image."""

    score: np.float32
    corner: np.ndarray
    """(2,) float32 (x, y): left top of the box."""
    size: np.ndarray
    """(2,) float32: width and height of the box."""
    keypoints: np.ndarray
    """(6, 2) float32: left eye, right eye, nose, mouth, left ear, right ear, as seen in the image."""


@dataclass(frozen=True)
class _Kind:
    """One of the two detectors."""

    model: str
    side: int
    """Of the input, in px."""
    layers: tuple[tuple[int, int], ...]
    """Stride in px and anchors per cell, of each of its output layers."""
    min_score: float
    """MediaPipe's. (Its option for it does not reach the full-range detector.)"""

    @cached_property  # the same for every detector of a process
    def anchors(self) -> np.ndarray:
        """(A, 2) float32 (x, y): the centres of the anchors as fractions of the input (SsdAnchorsCalculator)."""
        layers = []
        for stride, anchors_per_cell in self.layers:
            cells = self.side // stride
            y, x = np.mgrid[:cells, :cells]
            centers = np.stack([(x.ravel() + 0.5) / cells, (y.ravel() + 0.5) / cells], axis=1)
            layers.append(np.repeat(centers, anchors_per_cell, axis=0))
        return np.concatenate(layers).astype(np.float32)


# Strides 8, 16, 16, 16 with two anchors each: the last three are one layer with six.
_SHORT_RANGE = _Kind("face_detection_short_range", side=128, layers=((8, 2), (16, 6)), min_score=0.5)
_FULL_RANGE = _Kind("face_detection_full_range_sparse", side=192, layers=((4, 1),), min_score=0.6)


class FaceDetector:
    """Finds the boxes of the faces of single images: cheaper than FaceMesh, and able to find smaller faces."""

    def __init__(self, *, full_range: bool = False):
        """
        Args:
            full_range: Find faces up to five metres from the camera instead of two. Three times as slow.
        """
        self._kind = _FULL_RANGE if full_range else _SHORT_RANGE
        self._anchors = self._kind.anchors
        self._model = shared_model(self._kind.model)

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """Detect the faces of an image (H, W, 3) uint8 BGR. Best first."""
        size = np.array(image.shape[1::-1])
        found = []
        for detection in self.detect(image):
            corner = detection.corner.astype(np.float64)
            box = np.concatenate([corner * size, (corner + detection.size) * size])
            found.append(Detection(float(detection.score), box))
        return found

    def detect(self, image: np.ndarray) -> list[KeyedDetection]:
        """The same with key points, relative to the image."""
        height, width = (np.float32(length) for length in image.shape[:2])
        side = max(width, height)
        half = np.float32(0.5)
        square = Rect(half, half, side / width, side / height, np.float32(0))
        patch = cut(image, square, self._kind.side, border=cv2.BORDER_CONSTANT)
        self._model.run_on_image(cv2.cvtColor(patch, cv2.COLOR_BGR2RGB), _VALUES)
        found = _non_max_suppression(self._tensors_to_detections())
        return [_project(detection, width, height, side) for detection in found]

    def _tensors_to_detections(self) -> list[KeyedDetection]:
        """TensorsToDetectionsCalculator: the detections of at least the minimum score."""
        logits = self._model.output(1)[:, 0]
        # Logits just below zero have a score of 0.5, too: 1 + exp(-x) is rounded.
        candidates = np.flatnonzero(logits >= -1e-3)
        scores = np.array([sigmoid(logit) for logit in logits[candidates]], dtype=np.float32)
        found = scores >= np.float32(self._kind.min_score)
        candidates, scores = candidates[found], scores[found]
        raw = self._model.output(0)[candidates] / np.float32(self._kind.side)
        anchors = self._anchors[candidates]
        centers, halves = raw[:, :2] + anchors, raw[:, 2:4] / np.float32(2)
        corners = centers - halves
        sizes = centers + halves - corners
        keypoints = raw[:, 4:].reshape(-1, 6, 2) + anchors[:, None]
        return [KeyedDetection(*parts) for parts in zip(scores, corners, sizes, keypoints, strict=True)]


def _non_max_suppression(detections: list[KeyedDetection]) -> list[KeyedDetection]:
    """NonMaxSuppressionCalculator, weighted: the means of overlapping detections, weighted by their scores."""
    remaining = sorted(detections, key=lambda detection: -detection.score)
    found = []
    while remaining:
        best = remaining[0]
        overlaps = intersection_over_union(
            best.corner,
            best.size,
            np.stack([detection.corner for detection in remaining]),
            np.stack([detection.size for detection in remaining]),
        )
        is_same = overlaps > MAX_OVERLAP
        same = list(itertools.compress(remaining, is_same))
        others = list(itertools.compress(remaining, ~is_same))
        # Sums in MediaPipe's order: float32 sums depend on it.
        total, corner, end, keypoints = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for detection in same:
            total = total + detection.score
            corner = corner + detection.corner * detection.score
            end = end + (detection.corner + detection.size) * detection.score
            keypoints = keypoints + detection.keypoints * detection.score
        if same:  # A box without area does not even overlap itself.
            best = KeyedDetection(best.score, corner / total, end / total - corner / total, keypoints / total)
        found.append(best)
        if len(others) == len(remaining):
            break
        remaining = others
    return found


def _project(detection: KeyedDetection, width: np.float32, height: np.float32, side: np.float32) -> KeyedDetection:
    """DetectionProjectionCalculator: from fractions of the square around the image to fractions of the image."""
    one, half = np.float32(1), np.float32(0.5)
    inverse = np.array([one / width, one / height])
    scale = side * inverse
    shift = (-half * side + np.array([width, height]) * half) * inverse
    corner = detection.corner * scale + shift
    end = (detection.corner + detection.size) * scale + shift
    return KeyedDetection(detection.score, corner, end - corner, detection.keypoints * scale + shift)
