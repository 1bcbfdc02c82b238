"""MediaPipe's FaceMesh on LiteRT: its graph FaceLandmarkFrontCpu, equal to the bit where OpenCV and LiteRT are."""

import numpy as np

from lipinc.video.landmarks.attention import SIDE, AttentionMesh, PlainMesh
from lipinc.video.landmarks.detection import FaceDetector
from lipinc.video.landmarks.float32 import cos_sin
from lipinc.video.landmarks.rects import Rect, associate, cut, square_around

MIN_PRESENCE = 0.5
_LEFT_EYE, _RIGHT_EYE = 33, 263  # outer corners


class FaceMesh:
    """Face landmarks of one video. Call it with the frames in order: a face is searched where the last frame had it.

    >>> mesh = FaceMesh(max_faces=1)
    >>> faces = mesh(image)  # a list of (478, 2) float32 arrays, in px
    """

    def __init__(self, *, max_faces: int = 1, refine: bool = True, static: bool = False):
        """
        Args:
            max_faces: Maximum number of faces per frame.
            refine: Use the attention mesh, which is more accurate around lips and eyes and adds 10 iris points.
            static: Detect faces in each image independently (photographs) instead of tracking them between frames.
        """
        self._detector = FaceDetector()
        self._mesh = AttentionMesh() if refine else PlainMesh()
        self._max_faces = max_faces
        self._static = static
        self._tracked: list[Rect] = []

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Detect the faces of an image (H, W, 3) uint8 BGR.

        Returns:
            For each face its landmarks: (478, 2) float32 (x, y) in px; (468, 2) without `refine`.
        """
        size = np.array(image.shape[1::-1], dtype=np.float32)
        detected = self._detected(image, size) if len(self._tracked) < self._max_faces else []
        faces, tracked = [], []
        for rect in associate(detected, self._tracked):
            landmarks, presence = self._mesh(cut(image, rect, SIDE))
            if not presence > MIN_PRESENCE:
                continue
            landmarks = _project(landmarks, rect)
            low, high = landmarks.min(axis=0), landmarks.max(axis=0)
            tracked.append(square_around(low, high - low, landmarks[_LEFT_EYE], landmarks[_RIGHT_EYE], size))
            faces.append(landmarks * size)
        self._tracked = [] if self._static else tracked
        return faces

    def _detected(self, image: np.ndarray, size: np.ndarray) -> list[Rect]:
        found = self._detector.detect(image)[: self._max_faces]
        return [square_around(one.corner, one.size, *one.keypoints[:2], size) for one in found]


def _project(landmarks: np.ndarray, rect: Rect) -> np.ndarray:
    """LandmarkProjectionCalculator: from px of a rectangle's patch to fractions of the image, both (P, 2) float32."""
    x, y = (landmarks / np.float32(SIDE) - np.float32(0.5)).T
    cos, sin = cos_sin(rect.rotation)
    projected = np.empty_like(landmarks)
    projected[:, 0] = (cos * x - sin * y) * rect.width + rect.x_center
    projected[:, 1] = (sin * x + cos * y) * rect.height + rect.y_center
    return projected
