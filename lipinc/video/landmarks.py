"""Face landmarks by MediaPipe. The only file that knows MediaPipe.

FaceMesh is stateful: a fresh instance for each video, fed from its first frame, gives the same landmarks every time.
It must be created in the process that uses it (created before a fork, it hangs).
"""

import contextlib
import os
import sys
from collections.abc import Iterator

import cv2
import numpy as np

# MediaPipe numbers its 478 points its own way. This is the 68-point scheme (0 = jaw at the left of the picture) in
# terms of it; jaw points that fall between two mesh points are their mean.
MESH_OF_68: tuple[tuple[int, ...], ...] = (
    *((127,), (234,), (93,), (132, 58), (58, 172), (136,), (150,), (176,), (152,)),  # 0-8 jaw, left half, chin
    *((400,), (379,), (365,), (397, 288), (288, 361), (323,), (454,), (356,)),  # 9-16 jaw, right half
    *((70,), (63,), (105,), (66,), (107,), (336,), (296,), (334,), (293,), (300,)),  # 17-26 brows
    *((168,), (197,), (5,), (4,), (75,), (97,), (2,), (326,), (305,)),  # 27-35 nose
    *((33,), (160,), (158,), (133,), (153,), (144,)),  # 36-41 eye at the left of the picture
    *((362,), (385,), (387,), (263,), (373,), (380,)),  # 42-47 eye at the right
    *((61,), (39,), (37,), (0,), (267,), (269,), (291,), (405,), (314,), (17,), (84,), (181,)),  # 48-59 outer lips
    *((78,), (82,), (13,), (312,), (308,), (317,), (14,), (87,)),  # 60-67 inner lips
)
_FIRST = np.array([points[0] for points in MESH_OF_68])
_LAST = np.array([points[-1] for points in MESH_OF_68])

# The outline of the lips, all around.
_LIPS = np.array([61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185])


def lip_outline(mesh: np.ndarray) -> np.ndarray:
    """The outer contour of the lips of a face mesh: [478, 2] -> [20, 2], same unit."""
    return mesh[_LIPS]


def to_68(mesh: np.ndarray) -> np.ndarray:
    """The 68 points of a face mesh: [478, 2] -> [68, 2], same unit."""
    return (mesh[_FIRST] + mesh[_LAST]) / 2


@contextlib.contextmanager
def quiet_native_logs() -> Iterator[None]:
    """Send what native code writes to file descriptor 2 to nowhere while it runs (MediaPipe and FFmpeg flood it)."""
    sys.stderr.flush()
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


_WIRE = np.dtype([("head", "V2"), ("x_tag", "u1"), ("x", "<f4"), ("y_tag", "u1"), ("y", "<f4"), ("z", "V5")])
"""A landmark in a serialised list: a field of 15 bytes with three tagged floats."""


def _points(message: bytes) -> np.ndarray:
    """(x, y) of the landmarks of a serialised NormalizedLandmarkList: [P, 2] float32. Reading 478 objects one by one
    takes a tenth of the time of the whole mesh."""
    landmarks = np.frombuffer(message, dtype=_WIRE)
    return np.column_stack([landmarks["x"], landmarks["y"]])


class FaceMesh:
    """Landmarks of the faces of one video, frame by frame, in order.

    >>> with FaceMesh(max_faces=1) as mesh:
    ...     faces = mesh(image)  # a list of [478, 2] float32 arrays, in px
    """

    def __init__(self, *, max_faces: int = 1, refine: bool = True, static: bool = False):
        """static: treat each image on its own (photographs); else follow faces from frame to frame."""
        import mediapipe  # two seconds: only for those who need it

        self._mesh = mediapipe.solutions.face_mesh.FaceMesh(
            static_image_mode=static, max_num_faces=max_faces, refine_landmarks=refine
        )

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """image: [H, W, 3] uint8 BGR. Returns one [478, 2] float32 array of (x, y) in px for each face found
        ([468, 2] without refinement)."""
        height, width = image.shape[:2]
        found = self._mesh.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).multi_face_landmarks or []
        size = np.array([width, height], dtype=np.float32)
        return [_points(face.SerializeToString()) * size for face in found]

    def __enter__(self) -> "FaceMesh":
        return self

    def __exit__(self, *_: object) -> None:
        self._mesh.close()


class FaceCounter:
    """How many faces a frame shows, by the detector that FaceMesh itself starts from: a cheap look for company."""

    def __init__(self) -> None:
        import mediapipe

        self._detector = mediapipe.solutions.face_detection.FaceDetection(model_selection=0)

    def __call__(self, image: np.ndarray) -> int:
        """image: [H, W, 3] uint8 BGR."""
        return len(self._detector.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).detections or [])

    def __enter__(self) -> "FaceCounter":
        return self

    def __exit__(self, *_: object) -> None:
        self._detector.close()
