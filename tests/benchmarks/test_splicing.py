import numpy as np
import pytest

from benchmarks.splicing import Piece, Windows, join_frames, join_windows, one_after_another
from lipinc.video.reader import read_frames
from lipinc.video.writer import encode


def windows(duration: float, level: float) -> Windows:
    start = np.arange(0, duration - 0.2, 0.2)
    scene = np.where(start < 3, 0, 1)  # a cut within the clip
    quality = np.full((len(start), 7), level)
    return Windows(start, start + 0.16, level + start, -level - start, scene, quality, duration)


CLIPS = {"real.mp4": windows(4.0, 0.0), "fake.mp4": windows(4.0, 100.0)}


def test_windows_are_joined_without_those_that_a_cut_divides():
    joined = join_windows(
        [Piece("real.mp4", 0.0, 2.0), Piece("fake.mp4", 0.9, 2.9), Piece("real.mp4", 0.0, 2.0)], CLIPS
    )
    forged = joined.logit > 50
    assert joined.duration == pytest.approx(6)
    assert (joined.start[forged].min(), joined.end[forged].max()) == pytest.approx((2.1, 3.86))
    assert (np.diff(joined.start) > 0.19).all()
    assert joined.logit[forged][0] == pytest.approx(101.0)  # the window that starts at 1 s in the fake
    np.testing.assert_array_equal(joined.contrast, -joined.logit)
    assert set(joined.scene) == {0}
    assert (joined.quality[forged] == 100).all() and (joined.quality[~forged] == 0).all()


def test_different_clips_are_different_shots_and_a_repeated_one_is_the_same():
    both = [("real.mp4", 4.0), ("fake.mp4", 4.0)]
    many = join_windows(one_after_another(both, 12.0), CLIPS)
    numbers = [set(many.scene[(many.start >= begin) & (many.start < begin + 4)]) for begin in (0, 4, 8)]
    assert len(set.union(*numbers)) == 6 and all(len(one) == 2 for one in numbers)
    assert set(join_windows(one_after_another(both[:1], 12.0), CLIPS).scene) == {0, 1}


def test_clips_follow_each_other_until_the_time_is_full():
    pieces = one_after_another([("a", 3.0), ("b", 2.0)], 9.0)
    assert [(one.clip, one.end) for one in pieces] == [("a", 3.0), ("b", 2.0), ("a", 3.0), ("b", 1.0)]


def test_frames_are_joined_at_their_times(tmp_path, write_video):
    for name, value in (("real.mp4", 60), ("fake.mp4", 200)):
        write_video(tmp_path / name, [np.full((32, 32, 3), value, np.uint8)] * 50)
    pieces = [Piece("real.mp4", 0.0, 2.0), Piece("fake.mp4", 0.4, 1.4), Piece("real.mp4", 0.0, 1.0)]
    assert encode(join_frames(pieces, tmp_path), tmp_path / "spliced.mp4", crf=18, preset="ultrafast") == 100
    frames = list(read_frames(tmp_path / "spliced.mp4"))
    bright = [frame.time for frame in frames if frame.image.mean() > 130]
    assert (bright[0], bright[-1]) == pytest.approx((2.0, 2.96))
    assert np.allclose(np.diff([frame.time for frame in frames]), 0.04, atol=1e-3)
