"""Finds out whether the faces of a video stand upright, and turns its pictures if they do not.

FaceMesh fits an upright mesh to a face that stands on its head, with the mouth on the forehead, and gives no sign of
that.
"""

from collections import Counter

import cv2
import numpy as np

from lipinc.video.landmarks import to_68

VOTES = 2
"""Checks that must agree."""
MIN_ADVANTAGE = 0.06
"""How much better a face must be detected after a turn, as a score. In 573 pictures of 191 real and fake clips, no
upright face gained more than 0.05 by any turn; half of them lost 0.07 or more by each."""
SIDEWAYS = (60, 120)
"""Range of the roll of a face that lies on its side, in degrees. The mesh follows such faces."""
_ROTATIONS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


def turn(image: np.ndarray, quarter_turns: int) -> np.ndarray:
    """Turn an image (H, W, 3) counter-clockwise by 0 to 3 quarter turns. No pixel changes its value."""
    return cv2.rotate(image, _ROTATIONS[quarter_turns]) if quarter_turns else image


class TurnVote:
    """Collects the evidence of several pictures of a video."""

    def __init__(self) -> None:
        self._votes: Counter[int] = Counter()

    def add(self, scores: list[float], faces: list[np.ndarray]) -> None:
        """Let a picture vote, if it shows a face.

        Args:
            scores: Detection scores in 0..1 of its best face after 0 to 3 quarter turns.
            faces: Landmarks (478, 2) in px of each face.
        """
        roll = _roll(faces[0]) if faces else 0.0
        if SIDEWAYS[0] < abs(roll) < SIDEWAYS[1]:
            self._votes[1 if roll > 0 else 3] += 1
        elif max(scores) > 0:
            best = int(np.argmax(scores))
            self._votes[best if scores[best] > scores[0] + MIN_ADVANTAGE else 0] += 1

    @property
    def is_decided(self) -> bool:
        """Whether enough pictures agree."""
        return max(self._votes.values(), default=0) >= VOTES

    @property
    def quarter_turns(self) -> int:
        """Quarter turns, counter-clockwise, that stand the faces upright: 0 to 3; 0 as long as nothing is decided."""
        return self._votes.most_common(1)[0][0] if self.is_decided else 0


def _roll(face: np.ndarray) -> float:
    """Clockwise rotation in the image plane of a face mesh (478, 2), in degrees, -180..180."""
    points = to_68(face)
    x, y = points[42:48].mean(axis=0) - points[36:42].mean(axis=0)
    return float(np.degrees(np.arctan2(y, x)))
