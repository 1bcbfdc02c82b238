"""Face landmarks by MediaPipe. No other file imports MediaPipe.

FaceMesh is stateful: for reproducible landmarks, create an instance for each video and feed it from the first frame on.
Create it in the process that uses it: an instance that was created before a fork hangs.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

# The points of MediaPipe's 478-point mesh that correspond to the 68-point scheme (0 = jaw at the left of the image). A
# jaw point that lies between two mesh points is their mean.
MESH_POINTS_OF_68: tuple[tuple[int, ...], ...] = (
    *((127,), (234,), (93,), (132, 58), (58, 172), (136,), (150,), (176,), (152,)),  # 0-8 jaw, left half, chin
    *((400,), (379,), (365,), (397, 288), (288, 361), (323,), (454,), (356,)),  # 9-16 jaw, right half
    *((70,), (63,), (105,), (66,), (107,), (336,), (296,), (334,), (293,), (300,)),  # 17-26 brows
    *((168,), (197,), (5,), (4,), (75,), (97,), (2,), (326,), (305,)),  # 27-35 nose
    *((33,), (160,), (158,), (133,), (153,), (144,)),  # 36-41 eye at the left of the image
    *((362,), (385,), (387,), (263,), (373,), (380,)),  # 42-47 eye at the right
    *((61,), (39,), (37,), (0,), (267,), (269,), (291,), (405,), (314,), (17,), (84,), (181,)),  # 48-59 outer lips
    *((78,), (82,), (13,), (312,), (308,), (317,), (14,), (87,)),  # 60-67 inner lips
)
_FIRST = np.array([points[0] for points in MESH_POINTS_OF_68])
_LAST = np.array([points[-1] for points in MESH_POINTS_OF_68])

# The outer contour of the lips, in order.
_LIPS = np.array([61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185])


def lip_outline(mesh: np.ndarray) -> np.ndarray:
    """The outer lip contour of a face mesh: (478, 2) -> (20, 2), same unit."""
    return mesh[_LIPS]


def to_68(mesh: np.ndarray) -> np.ndarray:
    """The 68-point landmarks of a face mesh: (478, 2) -> (68, 2), same unit."""
    return (mesh[_FIRST] + mesh[_LAST]) / 2


class _StderrSwitch:
    """Redirects file descriptor 2 to /dev/null while at least one thread wants it, and restores it after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._saved: int | None = None

    def off(self) -> None:
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            with contextlib.suppress(OSError, AttributeError, ValueError):  # None or closed
                sys.stderr.flush()
            with contextlib.suppress(OSError):  # nothing to redirect: the program was started without stderr
                self._saved = os.dup(2)
                devnull = os.open(os.devnull, os.O_WRONLY)
                os.dup2(devnull, 2)
                os.close(devnull)

    def on(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self.restore()

    def restore(self) -> None:
        if self._saved is not None:
            os.dup2(self._saved, 2)
            os.close(self._saved)
            self._saved = None


_stderr = _StderrSwitch()


def _restore_stderr_after_fork() -> None:
    """In the new process, the threads that redirected stderr do not exist."""
    global _stderr
    _stderr.restore()
    _stderr = _StderrSwitch()


os.register_at_fork(after_in_child=_restore_stderr_after_fork)


@contextlib.contextmanager
def quiet_native_logs() -> Iterator[None]:
    """Discard what is written to stderr (file descriptor 2) in the block: MediaPipe and FFmpeg flood it.

    Threads may be in such blocks at the same time; until the last one leaves, nothing of this process reaches stderr.
    """
    switch = _stderr
    switch.off()
    try:
        yield
    finally:
        switch.on()


_LANDMARK = np.dtype([("head", "V2"), ("x_tag", "u1"), ("x", "<f4"), ("y_tag", "u1"), ("y", "<f4"), ("z", "V5")])
"""One landmark in a serialised list (protobuf wire format): a 15-byte field with three tagged floats."""


def _parse_landmarks(message: bytes) -> np.ndarray:
    """Parse (x, y) of a serialised NormalizedLandmarkList: (P, 2) float32.

    Reading the 478 landmark objects one by one would take a tenth of the time of the whole mesh.
    """
    landmarks = np.frombuffer(message, dtype=_LANDMARK)
    return np.column_stack([landmarks["x"], landmarks["y"]])


class FaceMesh:
    """Face landmarks of one video. Call it with the frames in order.

    >>> with FaceMesh(max_faces=1) as mesh:
    ...     faces = mesh(image)  # a list of (478, 2) float32 arrays, in px
    """

    def __init__(self, *, max_faces: int = 1, refine: bool = True, static: bool = False):
        """
        Args:
            max_faces: Maximum number of faces per frame.
            refine: Use the attention mesh, which is more accurate around lips and eyes and adds 10 iris points.
            static: Detect faces in each image independently (photographs) instead of tracking them between frames.
        """
        import mediapipe  # imported only here: it takes two seconds

        self._mesh = mediapipe.solutions.face_mesh.FaceMesh(
            static_image_mode=static, max_num_faces=max_faces, refine_landmarks=refine
        )

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Detect the faces of an image (H, W, 3) uint8 BGR.

        Returns:
            For each face its landmarks: (478, 2) float32 (x, y) in px; (468, 2) without `refine`.
        """
        height, width = image.shape[:2]
        detected = self._mesh.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).multi_face_landmarks or []
        size = np.array([width, height], dtype=np.float32)
        return [_parse_landmarks(face.SerializeToString()) * size for face in detected]

    def __enter__(self) -> "FaceMesh":
        return self

    def __exit__(self, *_: object) -> None:
        self._mesh.close()


@dataclass(frozen=True)
class Detection:
    """A face found by a face detector."""

    score: float
    """0..1, at least 0.5."""
    box: np.ndarray
    """(4,) float: left, top, right, bottom in px."""


class FaceDetector:
    """Finds the boxes of the faces of single images: cheaper than FaceMesh, and able to find smaller faces."""

    def __init__(self, *, full_range: bool = False):
        """
        Args:
            full_range: Find faces up to five metres from the camera instead of two. Three times as slow.
        """
        import mediapipe

        self._detector = mediapipe.solutions.face_detection.FaceDetection(model_selection=int(full_range))

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """Detect the faces of an image (H, W, 3) uint8 BGR."""
        height, width = image.shape[:2]
        found = self._detector.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).detections or []
        boxes = [detection.location_data.relative_bounding_box for detection in found]
        return [
            Detection(
                detection.score[0],
                np.array([box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height])
                * (width, height, width, height),
            )
            for detection, box in zip(found, boxes, strict=True)
        ]

    def __enter__(self) -> "FaceDetector":
        return self

    def __exit__(self, *_: object) -> None:
        self._detector.close()
