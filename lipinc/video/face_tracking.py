"""Face tracking by overlap of bounding boxes, so that a mouth never jumps between people."""

from dataclasses import dataclass, field

import numpy as np

from lipinc.video.repeats import MouthPictures

MIN_IOU = 0.3
"""Minimum intersection over union of a face's box and the last box of its track. Between frames a talking head moves by
a few percent of its width; another person's face hardly overlaps at all."""
MAX_MISSED_PICTURES = 25
"""A track ends after this many pictures without its face: about one second."""


@dataclass
class Track:
    """One person's face over a segment of the video."""

    box: np.ndarray
    """(4,) left, top, right, bottom in px, where the face was last seen."""
    last_picture: int
    """Number of the picture where it was last seen."""
    area: float = 0.0
    """Box area summed over its frames, in px^2: ranks the faces."""
    thumbnail: np.ndarray | None = None
    """(H, W, 3) uint8 BGR: the face in the first frame with a usable mouth; None until then."""
    observations: bytearray = field(default_factory=bytearray)
    """The caller's data for each frame, packed because a long video has many."""
    mouth_pictures: MouthPictures = field(default_factory=MouthPictures)
    """Numbers the pictures of its mouth."""


class FaceTracks:
    """Assigns the faces of each frame to tracks, one for each person."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []

    def assign(self, picture: int, boxes: np.ndarray) -> list[Track]:
        """Assign each face of a frame to a track, and start a new track for a face that matches none.

        Greedy: the pair with the best overlap is assigned first. A track gets at most one face per frame.

        Args:
            picture: Number of the picture, from 0: frames that repeat a picture do not count.
            boxes: (M, 4) left, top, right, bottom in px.

        Returns:
            M tracks, in the order of the boxes.
        """
        live = [track for track in self._tracks if picture - track.last_picture <= MAX_MISSED_PICTURES]
        pairs = [(iou(track.box, box), t, m) for t, track in enumerate(live) for m, box in enumerate(boxes)]
        assigned: dict[int, Track] = {}
        taken: set[int] = set()
        for score, t, m in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
            if score >= MIN_IOU and t not in taken and m not in assigned:
                assigned[m] = live[t]
                taken.add(t)
        for m, box in enumerate(boxes):
            if m not in assigned:
                assigned[m] = Track(box, picture)
                self._tracks.append(assigned[m])
            track = assigned[m]
            track.box, track.last_picture = box, picture
            track.area += float((box[2] - box[0]) * (box[3] - box[1]))
        return [assigned[m] for m in range(len(boxes))]

    def sorted_by_area(self) -> list[Track]:
        """All tracks, largest first; of equal ones, the earlier first."""
        return sorted(self._tracks, key=lambda track: -track.area)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (4,): left, top, right, bottom."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    intersection = width * height
    return float(intersection / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection))
