"""Faces followed over time, so that a mouth never jumps between people."""

from dataclasses import dataclass, field

import numpy as np

MIN_OVERLAP = 0.3
"""A face continues a track if their boxes overlap by this (intersection over union). Between frames a talking head
moves by a few percent of its width; another person's face hardly overlaps at all."""
MAX_ABSENCE = 25
"""Frames after which a track that was not seen has ended: about one second."""


@dataclass
class Track:
    """One person's face through a stretch of video."""

    box: np.ndarray
    """[4] left, top, right, bottom in px where it was last seen."""
    last_frame: int
    area: float = 0.0
    """Box area summed over its frames, in px: what makes a face the largest."""
    thumbnail: np.ndarray | None = None
    """[H, W, 3] uint8 BGR: its picture, once there is a mouth in it."""
    seen: bytearray = field(default_factory=bytearray)
    """What the caller keeps of each frame: packed, since a long video has many."""


class FaceTracks:
    """Assigns the faces of each frame to people."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []

    def assign(self, frame_index: int, boxes: np.ndarray) -> list[Track]:
        """The track of each face of a frame, new ones where no old one fits.

        boxes: [M, 4] left, top, right, bottom in px. The best overlap is assigned first; a track takes one face a
        frame.
        """
        live = [track for track in self._tracks if frame_index - track.last_frame <= MAX_ABSENCE]
        pairs = [(overlap(track.box, box), t, m) for t, track in enumerate(live) for m, box in enumerate(boxes)]
        assigned: dict[int, Track] = {}
        taken: set[int] = set()
        for value, t, m in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
            if value >= MIN_OVERLAP and t not in taken and m not in assigned:
                assigned[m] = live[t]
                taken.add(t)
        for m, box in enumerate(boxes):
            if m not in assigned:
                assigned[m] = Track(box, frame_index)
                self._tracks.append(assigned[m])
            track = assigned[m]
            track.box, track.last_frame = box, frame_index
            track.area += float((box[2] - box[0]) * (box[3] - box[1]))
        return [assigned[m] for m in range(len(boxes))]

    def by_area(self) -> list[Track]:
        """All tracks, largest first; the earlier one first where they are equal."""
        return sorted(self._tracks, key=lambda track: -track.area)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes [4] (left, top, right, bottom)."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))
