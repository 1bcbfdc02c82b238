"""FaceMesh and the face detectors by MediaPipe's own runtime: the reference of this package. Only this file imports it.

Needs mediapipe 0.10.21, the last release with these models; it exists for Python 3.10 to 3.12. An instance that was
created before a fork hangs.
"""

from types import ModuleType

import cv2
import numpy as np

from lipinc.video.landmarks.detection import Detection
from lipinc.video.native_logs import quiet_native_logs

_LANDMARK = np.dtype([("head", "V2"), ("x_tag", "u1"), ("x", "<f4"), ("y_tag", "u1"), ("y", "<f4"), ("z", "V5")])
"""One landmark in a serialised list (protobuf wire format): a 15-byte field with three tagged floats."""


def _solutions() -> ModuleType:
    import mediapipe  # takes two seconds

    return mediapipe.solutions


class FaceMesh:
    """See `face_mesh.FaceMesh`."""

    def __init__(self, *, max_faces: int = 1, refine: bool = True, static: bool = False):
        """See `face_mesh.FaceMesh`.

        Raises:
            ModuleNotFoundError: mediapipe is not installed: see `require_landmarks`.
        """
        with quiet_native_logs():
            self._mesh = _solutions().face_mesh.FaceMesh(
                static_image_mode=static, max_num_faces=max_faces, refine_landmarks=refine
            )

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """See `face_mesh.FaceMesh.__call__`."""
        with quiet_native_logs():
            found = self._mesh.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).multi_face_landmarks or []
        size = np.array(image.shape[1::-1], dtype=np.float32)
        return [_parse_landmarks(face.SerializeToString()) * size for face in found]


class FaceDetector:
    """See `detection.FaceDetector`."""

    def __init__(self, *, full_range: bool = False):
        """See `FaceMesh`."""
        with quiet_native_logs():
            self._detector = _solutions().face_detection.FaceDetection(model_selection=int(full_range))

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """See `detection.FaceDetector.__call__`."""
        height, width = image.shape[:2]
        with quiet_native_logs():
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


def _parse_landmarks(message: bytes) -> np.ndarray:
    """Parse (x, y) of a serialised NormalizedLandmarkList: (P, 2) float32.

    Reading the 478 landmark objects one by one would take a tenth of the time of the whole mesh.
    """
    landmarks = np.frombuffer(message, dtype=_LANDMARK)
    return np.column_stack([landmarks["x"], landmarks["y"]])
