"""Faces that are small in the picture are found, at their place and at full resolution."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lipinc.config import MouthConfig
from lipinc.video.faces import track_faces
from lipinc.video.reader import read_frames

MOUTH = replace(MouthConfig(), cut="native", margin=0.15)


@pytest.fixture(scope="module")
def small_faces(clips_root, tmp_path_factory, write_video):
    """Two talking heads of 280 px far apart in one of 1920, of which the second appears late."""
    folder = tmp_path_factory.mktemp("small")
    heads = [
        [cv2.resize(frame.image, (280, 280), interpolation=cv2.INTER_AREA) for frame in read_frames(clips_root / name)]
        for name in ("real/hdtf04.mp4", "real/hdtf02.mp4")
    ]

    def write(places, start=0):
        frames = []
        for index in range(40):
            frame = np.full((1080, 1920, 3), 128, dtype=np.uint8)
            for (left, top), head in zip(places, heads, strict=False):
                if index >= start:
                    frame[top : top + 280, left : left + 280] = head[index]
            frames.append(frame)
        return write_video(folder / f"{len(places)}_{places[-1][0]}_{start}.mp4", frames)

    return write


def test_a_small_face_is_found_in_every_frame(small_faces) -> None:
    with track_faces(small_faces([(1500, 700)]), MOUTH) as video:
        (face,) = video.faces
        assert len(face.frame_ids) >= 36
        mouths = face.mouths(np.arange(5), MOUTH)
        assert 18 <= mouths.shape[1] <= 80 and 30 <= mouths.shape[2] <= 110


@pytest.mark.slow
def test_a_small_face_may_appear_later(small_faces) -> None:
    with track_faces(small_faces([(1500, 700)], start=8), MOUTH) as video:
        assert video.faces[0].frame_ids[0] <= 24


@pytest.mark.slow
def test_two_small_faces_side_by_side_are_two(small_faces) -> None:
    with track_faces(small_faces([(800, 500), (1120, 520)]), MOUTH) as video:
        assert [len(face.frame_ids) >= 36 for face in video.faces] == [True, True]


@pytest.mark.slow
def test_of_two_small_faces_far_apart_one_is_found(small_faces) -> None:
    with track_faces(small_faces([(0, 0), (1600, 780)]), MOUTH) as video:
        assert len(video.faces) == 1 and len(video.faces[0].frame_ids) >= 36


def test_faces_of_usual_size_are_searched_in_the_whole_picture(clips_root) -> None:
    with track_faces(clips_root / "real/hdtf02.mp4", MOUTH) as video:
        assert len(video.faces) == 1 and len(video.faces[0].frame_ids) >= 75
