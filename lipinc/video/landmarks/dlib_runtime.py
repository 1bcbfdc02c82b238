"""Face and landmarks by dlib, as the published code finds them. No other file imports dlib, which is optional."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class DlibFace:
    """A face, in whole px."""

    box: np.ndarray
    """(4,) int64: left, top, right, bottom of the detector. May extend beyond the image."""
    points: np.ndarray
    """(68, 2) int64 (x, y)."""


class DlibLandmarks:
    """Finds one face of an image. It has no state: the result depends on the image only."""

    def __init__(self) -> None:
        """
        Raises:
            ModuleNotFoundError: dlib or its model is not installed: see `require_landmarks`.
        """
        import dlib

        self._detect = dlib.get_frontal_face_detector()
        self._predict = _predictor()

    def __call__(self, grey: np.ndarray) -> DlibFace | None:
        """Find the face of an image (H, W) uint8 that the detector (HOG) lists first; None if it finds none."""
        found = self._detect(grey)
        if not found:
            return None
        box = found[0]
        points = [(point.x, point.y) for point in self._predict(grey, box).parts()]
        return DlibFace(np.array([box.left(), box.top(), box.right(), box.bottom()]), np.array(points))


@lru_cache(maxsize=1)  # reading 100 MB takes longer than a short video
def _predictor() -> Any:
    import dlib

    # By its path: importing the package needs pkg_resources, which new versions of setuptools lack.
    package = find_spec("face_recognition_models")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'face_recognition_models'", name="face_recognition_models")
    return dlib.shape_predictor(str(Path(package.origin).parent / "models" / "shape_predictor_68_face_landmarks.dat"))
