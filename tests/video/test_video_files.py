"""The videos of a folder: which files, in which order, and what happens with links and unreadable folders."""

from pathlib import Path

import pytest

from lipinc.errors import UserError
from lipinc.video.video_files import walk_video_files


def touch(folder: Path, *names: str) -> list[Path]:
    files = [folder / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return files


def test_videos_of_all_levels_are_sorted_and_other_and_hidden_files_left_out(tmp_path) -> None:
    expected = touch(tmp_path, "a.mp4", "b.MOV", "c/a.Webm", "c/z.mkv", "c/d/a.avi", ".e/a.mp4")
    touch(tmp_path, "._a.mp4", ".mp4", "readme.txt", "c/.hidden.mp4", "mp4")
    assert list(walk_video_files(tmp_path)) == [expected[0], expected[1], expected[5], *expected[2:5]]


def test_links_to_folders_are_followed_on_request_only(tmp_path) -> None:
    touch(tmp_path, "elsewhere/a.mp4")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    assert list(walk_video_files(tmp_path / "set")) == []
    assert list(walk_video_files(tmp_path / "set", follow_links=True)) == [tmp_path / "set" / "linked" / "a.mp4"]


def test_a_folder_reached_twice_is_refused_within_a_walk_and_across_walks(tmp_path) -> None:
    touch(tmp_path, "one/a.mp4", "two/b.mp4")
    visited: dict = {}
    assert len(list(walk_video_files(tmp_path / "one", follow_links=True, visited=visited))) == 1
    (tmp_path / "two" / "again").symlink_to(tmp_path / "one")
    with pytest.raises(UserError, match="are the same folder: remove the link"):
        list(walk_video_files(tmp_path / "two", follow_links=True, visited=visited))
    (tmp_path / "one" / "itself").symlink_to(tmp_path / "one")
    with pytest.raises(UserError, match="are the same folder"):
        list(walk_video_files(tmp_path / "one", follow_links=True))


def test_a_folder_that_cannot_be_listed_is_reported_or_skipped(tmp_path) -> None:
    errors: list[OSError] = []
    assert list(walk_video_files(tmp_path / "nowhere", on_error=errors.append)) == []
    assert [str(error.filename) for error in errors] == [str(tmp_path / "nowhere")]
    assert list(walk_video_files(tmp_path / "nowhere")) == []
