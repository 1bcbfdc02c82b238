"""Face landmarks: the models of MediaPipe's FaceMesh and face detectors.

They run on LiteRT by MediaPipe's rules, which are written anew here: to the bit as with MediaPipe's own runtime, 1.5
times as fast, and on every current Python. MediaPipe's runtime stays selectable as the reference.
"""

from typing import Literal, NamedTuple

from lipinc.video.landmarks.detection import Detection, FaceDetector
from lipinc.video.landmarks.face_mesh import FaceMesh
from lipinc.video.landmarks.installed import require_landmarks
from lipinc.video.landmarks.points import MESH_POINTS_OF_68, lip_outline, to_68

__all__ = [
    "MESH_POINTS_OF_68",
    "Detection",
    "FaceDetector",
    "FaceMesh",
    "Runtime",
    "lip_outline",
    "require_landmarks",
    "runtime",
    "to_68",
]


class Runtime(NamedTuple):
    """Classes of one interface."""

    FaceMesh: type[FaceMesh]
    FaceDetector: type[FaceDetector]


def runtime(name: Literal["litert", "mediapipe"]) -> Runtime:
    """What runs the models.

    Raises:
        ModuleNotFoundError: LiteRT or MediaPipe is not installed: see `require_landmarks`.
    """
    if name == "litert":
        return Runtime(FaceMesh, FaceDetector)
    from lipinc.video.landmarks import mediapipe_runtime

    return Runtime(mediapipe_runtime.FaceMesh, mediapipe_runtime.FaceDetector)
