"""Finds the face landmarks of each picture of a video, including faces that are small in it.

FaceMesh starts from a detector that sees the picture at 128 x 128 px, in which a face of a tenth of its width is lost.
If the mesh finds nothing, a detector for longer distances looks once. Where it sees a small face, the mesh continues on
the part of the picture around it, at full resolution.
"""

import numpy as np

from lipinc.config import MouthConfig
from lipinc.video.landmarks import Detection, FaceDetector, runtime
from lipinc.video.reader import downscale
from lipinc.video.upright import turn

SEARCH_INTERVAL = 12
"""Pictures without any face between two searches for a small one: about half a second."""
PART_SIZE = 3.0
"""Size of the part that is searched, in face boxes: room for the face to move."""
MAX_PART = 0.75
"""A part must be smaller than this fraction of the picture, or searching it instead would gain nothing."""
MIN_FACE_IN_PART = 0.15
"""Minimum side of a face relative to the part, so that the mesh finds it."""


class FaceFinder:
    """The landmarks of one video. Call it with its pictures in order."""

    def __init__(self, config: MouthConfig, *, several: bool):
        """
        Args:
            several: Find up to config.max_faces faces instead of one.
        """
        self._width = config.working_width
        self._runtime = runtime(config.landmarks)
        self._mesh = self._runtime.FaceMesh(
            max_faces=config.max_faces if several else 1, refine=config.refine_landmarks
        )
        self._detector = self._runtime.FaceDetector()
        self._far_detector: FaceDetector | None = None
        self._part: tuple[int, int, int, int] | None = None  # left, top, right, bottom in px of the original
        self._pictures_without = 0

    def __call__(self, original: np.ndarray, image: np.ndarray) -> list[np.ndarray]:
        """Find the faces of a picture.

        Args:
            original: (H, W, 3) uint8 BGR at the size of the file.
            image: The same picture, downscaled by `downscale` to the working width.

        Returns:
            For each face its landmarks (478, 2) float32, in px of `image`.
        """
        faces = self._search(original, image)
        if not faces and self._pictures_without % SEARCH_INTERVAL == 0:
            before, self._part = self._part, self._around_small_faces(original, image)
            if self._part is not None or before is not None:
                faces = self._search(original, image)
        self._pictures_without = 0 if faces else self._pictures_without + 1
        return faces

    def count_faces(self, original: np.ndarray, image: np.ndarray) -> int:
        """The number of faces where the mesh searches: a cheap check for faces that the mesh was not asked for."""
        return len(self._detector(self._searched(original, image)))

    def scores_of_turns(self, original: np.ndarray, image: np.ndarray) -> list[float]:
        """The score in 0..1 of the best face where the mesh searches, after 0 to 3 quarter turns counter-clockwise."""
        turned = [self._detector(turn(self._searched(original, image), quarter_turns)) for quarter_turns in range(4)]
        return [max((detection.score for detection in found), default=0.0) for found in turned]

    def _searched(self, original: np.ndarray, image: np.ndarray) -> np.ndarray:
        if self._part is None:
            return image
        left, top, right, bottom = self._part
        return downscale(np.ascontiguousarray(original[top:bottom, left:right]), self._width)

    def _search(self, original: np.ndarray, image: np.ndarray) -> list[np.ndarray]:
        if self._part is None:
            return self._mesh(image)
        left, top, right, bottom = self._part
        if right > original.shape[1] or bottom > original.shape[0]:  # the size of the pictures has changed
            return []
        searched = self._searched(original, image)
        scale = (right - left) // searched.shape[1]  # of downscale: whole numbers
        to_image = original.shape[1] // image.shape[1]
        corner = np.array([left, top], dtype=np.float32)
        return [(face * scale + corner) / to_image for face in self._mesh(searched)]

    def _around_small_faces(self, original: np.ndarray, image: np.ndarray) -> tuple[int, int, int, int] | None:
        """The part of the original around all of its faces, or around the largest; None if it has no small face."""
        if self._far_detector is None:
            self._far_detector = self._runtime.FaceDetector(full_range=True)
        to_original = original.shape[1] // image.shape[1]
        found = [Detection(one.score, one.box * to_original) for one in self._far_detector(image)]
        found.sort(key=lambda detection: -_side(detection))
        for faces in (found, found[:1]):
            part = _around(faces, original.shape[1], original.shape[0]) if faces else None
            if part is not None:
                return part
        return None


def _side(detection: Detection) -> float:
    return float((detection.box[2:] - detection.box[:2]).max())


def _around(faces: list[Detection], width: int, height: int) -> tuple[int, int, int, int] | None:
    """The part of a picture around faces; None if it is nearly the whole picture, or a face is too small in it."""
    boxes = np.stack([face.box for face in faces])
    room = (PART_SIZE - 1) / 2 * max(map(_side, faces))
    left, top = np.floor(boxes[:, :2].min(axis=0) - room).astype(int).clip(0)
    right, bottom = np.ceil(boxes[:, 2:].max(axis=0) + room).astype(int).clip(max=(width, height))
    side = max(right - left, bottom - top)
    if side > MAX_PART * max(width, height) or min(map(_side, faces)) < MIN_FACE_IN_PART * side:
        return None
    return int(left), int(top), int(right), int(bottom)
