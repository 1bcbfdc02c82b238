"""Videos whose faces stand on their head or lie on their side are turned; others never are."""

import cv2
import numpy as np
import pytest

from lipinc.config import MouthConfig
from lipinc.demo.videos import talking_frames
from lipinc.video.faces import track_faces
from lipinc.video.reader import read_frames
from lipinc.video.upright import TurnVote, turn

PICTURE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


@pytest.mark.parametrize("quarter_turns", range(4))
def test_turn(quarter_turns) -> None:
    assert np.array_equal(turn(PICTURE, quarter_turns), np.rot90(PICTURE, quarter_turns))


def test_pictures_vote() -> None:
    vote = TurnVote()
    vote.add([0.0, 0.0, 0.0, 0.0], [])
    assert not vote.is_decided
    vote.add([0.6, 0.7, 0.9, 0.7], [])
    vote.add([0.87, 0.8, 0.9, 0.0], [])
    assert not vote.is_decided and vote.quarter_turns == 0
    vote.add([0.0, 0.0, 0.8, 0.0], [])
    assert vote.is_decided and vote.quarter_turns == 2


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("name", ["fake/vox01_wav2lip.mp4", pytest.param("real/vox05.mp4", marks=pytest.mark.slow)])
def test_a_real_video_is_turned_upright(clips_root, tmp_path, write_video, name, degrees) -> None:
    images = [np.rot90(frame.image, -(degrees // 90)) for frame in read_frames(clips_root / name)][:40]
    video = write_video(tmp_path / "v.avi", images, codec="ffv1", pix_fmt="bgr0")
    upright = write_video(
        tmp_path / "w.avi", [np.rot90(i, degrees // 90) for i in images], codec="ffv1", pix_fmt="bgr0"
    )
    with track_faces(video, MouthConfig()) as turned, track_faces(upright, MouthConfig()) as straight:
        assert (turned.turned, straight.turned) == (degrees, 0)
        assert np.array_equal(turned.faces[0].ratios, straight.faces[0].ratios)
        assert np.array_equal(turned.faces[0].boxes, straight.faces[0].boxes)  # in px of the turned picture


def test_a_tilted_head_is_not_turned(tmp_path, write_video) -> None:
    frames = list(talking_frames(number=3, frames=30))
    side = frames[0].shape[0]
    tilt = cv2.getRotationMatrix2D((side / 2, side / 2), 35, 1)
    video = write_video(tmp_path / "v.mp4", [cv2.warpAffine(f, tilt, (side, side)) for f in frames])
    with track_faces(video, MouthConfig()) as tracked:
        assert tracked.turned == 0 and len(tracked.faces) == 1
