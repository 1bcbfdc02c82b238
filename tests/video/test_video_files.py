"""The videos of a folder: which files, in which order, and what happens with links and unreadable folders."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from lipinc.errors import UserError
from lipinc.video.video_files import video_sha256, video_size, walk_video_files


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


SUFFIXES = (
    *(".mts", ".m2ts", ".ts", ".3gp", ".3g2", ".ogv", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".mxf", ".vob", ".asf"),
    *(".m2v", ".f4v", ".dv", ".divx", ".webm"),
)


def test_files_of_all_video_suffixes_are_found_in_upper_and_lower_case(tmp_path) -> None:
    files = touch(tmp_path, *(f"a{suffix}" for suffix in SUFFIXES), *(f"b{suffix.upper()}" for suffix in SUFFIXES))
    assert list(walk_video_files(tmp_path)) == sorted(files)


def test_source_code_is_not_a_transport_stream(tmp_path, write_video) -> None:
    stream = write_video(tmp_path / "talk.ts", [np.zeros((64, 64, 3), np.uint8)] * 3)
    (tmp_path / "index.ts").write_text("import { render } from './render.js';\n")
    (tmp_path / "Größe.mts").write_text("export const größe = 1;\n")
    (tmp_path / "download.mp4").write_text("<html>404: not found</html>")  # stays, to be reported as unreadable
    os.mkfifo(tmp_path / "pipe.ts")  # is not opened
    assert list(walk_video_files(tmp_path)) == [tmp_path / "download.mp4", tmp_path / "pipe.ts", stream]


def test_folders_of_frames_are_videos(tmp_path, caplog) -> None:
    talk = touch(tmp_path, *(f"ann/talk/{number}.png" for number in range(1, 11)))[0].parent
    touch(tmp_path, "ann/b.mp4", "photos/IMG_3.jpg", "photos/IMG_4.jpg")
    touch(tmp_path, "thumbnails/a.mp4", *(f"thumbnails/{number}.jpg" for number in range(20)))
    touch(tmp_path, *(f"gap/{number:03}.png" for number in range(20) if number != 7))
    expected = [tmp_path / "ann/b.mp4", talk, tmp_path / "thumbnails/a.mp4"]
    assert list(walk_video_files(tmp_path)) == expected
    assert list(walk_video_files(talk)) == [talk]
    assert f"{tmp_path}/gap is not read as a video" in caplog.text and "008.png follows 006.png" in caplog.text
    assert "photos" not in caplog.text


def test_size_and_checksum_of_a_folder_cover_names_and_contents(tmp_path) -> None:
    files = touch(tmp_path, *(f"f/{number}.png" for number in range(1, 11)))
    for number, file in enumerate(files):
        file.write_bytes(bytes(number))
    folder = tmp_path / "f"
    assert video_size(folder) == 45
    # The lines that `sha256sum 1.png 2.png ...` prints.
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    digest = video_sha256(folder)
    assert digest == hashlib.sha256("".join(lines).encode()).hexdigest()
    files[3].write_bytes(b"abc")
    changed = video_sha256(folder)
    for file in files:
        file.rename(folder / f"0{file.name}")
    assert len({digest, changed, video_sha256(folder)}) == 3


def test_size_and_checksum_of_a_file_are_its_own(tmp_path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"abc")
    assert video_size(tmp_path / "a.mp4") == 3 and video_size(tmp_path / "b.mp4") == 0
    assert video_sha256(tmp_path / "a.mp4") == hashlib.sha256(b"abc").hexdigest()
