"""The published extraction, written down plainly with OpenCV and dlib: an independent oracle for the tests.

After the description of the authors' code: every frame at width 800, the first HOG face, alignment by whole-pixel eye
centres, then detection and landmarks once more on each aligned face.
"""

import math
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np


class Oracle:
    """The detector and the 68-point model."""

    def __init__(self) -> None:
        import dlib

        folder = Path(find_spec("face_recognition_models").origin).parent / "models"
        self.detector = dlib.get_frontal_face_detector()
        self.predictor = dlib.shape_predictor(str(folder / "shape_predictor_68_face_landmarks.dat"))

    def aligned_faces(self, path: Path) -> tuple[list[np.ndarray], list[int]]:
        """The aligned faces of a video, 256 x 256, and the indices of their frames."""
        faces, frame_ids = [], []
        stream = cv2.VideoCapture(str(path))
        number = -1
        while True:
            more, frame = stream.read()
            number += 1
            if not more:
                return faces, frame_ids
            height, width = frame.shape[:2]
            picture = cv2.resize(frame, (800, int(height * (800 / float(width)))), interpolation=cv2.INTER_AREA)
            grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
            rectangles = self.detector(grey)
            if len(rectangles) == 0:
                continue
            faces.append(self.align(picture, self.predictor(grey, rectangles[0])))
            frame_ids.append(number)

    @staticmethod
    def align(picture: np.ndarray, shape) -> np.ndarray:
        def centre(first: int, end: int) -> tuple[int, int]:
            xs, ys = ([getattr(shape.part(n), axis) for n in range(first, end)] for axis in "xy")
            return int(sum(xs) / 6), int(sum(ys) / 6)

        (x0, y0), (x1, y1) = centre(36, 42), centre(42, 48)  # at the left and at the right of the picture
        angle = np.degrees(np.arctan2(y0 - y1, x0 - x1)) - 180
        scale = (0.6 - 0.4) * 256 / math.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2)
        middle = ((x0 + x1) // 2, (y0 + y1) // 2)
        matrix = cv2.getRotationMatrix2D(middle, angle, scale)
        matrix[0, 2] += 128 - middle[0]
        matrix[1, 2] += 0.4 * 256 - middle[1]
        return cv2.warpAffine(picture, matrix, (256, 256), flags=cv2.INTER_CUBIC)

    def mouth(self, face: np.ndarray) -> tuple[list[float], np.ndarray]:
        """The four ratios and the mouth. Raises IndexError if there is no face, cv2.error if there is no mouth."""
        grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)  # of a BGR picture, as published
        box = self.detector(grey)[0]
        height = min(box.bottom(), 256) - max(box.top(), 0)
        width = min(box.right(), 256) - max(box.left(), 0)
        shape = self.predictor(grey, box)
        points = [(shape.part(n).x, shape.part(n).y) for n in range(68)]
        x, y, w, h = cv2.boundingRect(np.array(points[48:]))
        ratios = [
            math.dist(points[62], points[66]) / height,
            math.dist(points[60], points[64]) / width,
            math.dist(points[48], points[4]) / width,
            math.dist(points[54], points[12]) / width,
        ]
        return ratios, cv2.resize(face[y : y + h, x : x + w], (144, 64))

    def extract(self, path: Path) -> tuple[list[int], np.ndarray] | None:
        """Frame ids (8,) and mouths (8, 64, 144, 3), local frames first; None if the video is refused."""
        faces, frame_ids = self.aligned_faces(path)
        if len(faces) < 31:
            return None
        run, mouths = [], []
        for number, face in enumerate(faces):
            try:
                ratios, mouth = self.mouth(face)
                if 100 * ratios[0] < 1:
                    run, mouths = [], []
                    continue
                run, mouths = [*run, number], [*mouths, mouth]
                if len(run) == 5:
                    others, other_mouths = self.similar(faces, number, ratios)
                    if len(others) == 3:
                        return [frame_ids[n] for n in run + others], np.array(mouths + other_mouths)
                    run, mouths = [], []
            except (IndexError, cv2.error):
                continue
        return None

    def similar(self, faces: list[np.ndarray], last: int, wanted: list[float]) -> tuple[list[int], list[np.ndarray]]:
        """The first three faces whose pose is like that of the last local one, and their mouths."""
        found, mouths, number = [], [], 0
        while number < len(faces) and len(found) < 3:
            if number != last:
                ratios, mouth = self.mouth(faces[number])
                percent = ([int(100 * value) for value in some] for some in (wanted, ratios))
                if all(a in range(b - 3, b + 3) for a, b in zip(*percent, strict=True)):
                    found.append(number)
                    mouths.append(mouth)
                    number += 3
            number += 1
        return found, mouths
