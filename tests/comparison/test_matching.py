"""Names of score files and the videos of an index."""

import pytest

from lipinc.comparison.matching import VideoNames
from lipinc.comparison.score_file import clean_name
from lipinc.datasets.records import Label, VideoRecord


def names(*paths: str) -> VideoNames:
    return VideoNames([VideoRecord(path, Label("fake" in path), "") for path in paths])


@pytest.mark.parametrize(
    ("cell", "position", "how"),
    [
        ("real/001.mp4", 0, "path"),
        ("fake/001.mp4", 1, "path"),
        ("/data/set/fake/001.mp4", 1, "path"),
        ("D:\\set\\fake\\001.mp4", 1, "path"),
        ("../set/fake/001.mp4", 1, "path"),
        ("fake/001", 1, "path"),
        ("fake/001.avi", 1, "path"),
        ("REAL/001.MP4", 0, "path"),
        ("001.mp4", -1, "ambiguous"),
        ("002.mp4", 2, "path"),
        ("crops/002.npy", 2, "name"),
        ("fake/002.mp4", -1, "unknown"),
        ("v1.2", 3, "path"),
        ("nowhere.mp4", -1, "unknown"),
        ("", -1, "unknown"),
    ],
)
def test_paths_and_names(cell, position, how):
    videos = names("real/001.mp4", "fake/001.mp4", "real/002.mp4", "real/v1.2.mp4")
    assert videos.find(clean_name(cell)) == (position, how)


def test_the_equal_path_wins():
    assert names("a.mp4", "sub/a.mp4").find("a.mp4") == (0, "path")
    assert names("sub/a.mp4", "other/sub/a.mp4").find("sub/a.mp4") == (0, "path")
    assert names("A.mp4", "a.mp4").find("a.mp4") == (1, "path")


def test_unicode_forms_are_equal():
    assert names("Jos\u00e9.mp4").find("Jose\u0301.mp4").position == 0


def test_folders_that_all_names_share_say_nothing():
    assert names("real/1.mp4").find("fake_project/crops/1.mp4", shared=1).how == "name"
