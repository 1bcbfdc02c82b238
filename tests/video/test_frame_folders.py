"""Folders of numbered pictures are videos; photographs are not."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from lipinc.video.frame_folders import is_frame_folder, list_frames
from lipinc.video.reader import Unreadable, VideoReader, read_frames


def write_pictures(folder: Path, names: list[str], side: int = 32) -> Path:
    """Pictures whose brightness is 10 times their position."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), np.full((side, side, 3), 10 * number, np.uint8))
    return folder


@pytest.mark.parametrize(
    "pattern",
    [
        "{}.png",
        "frame_{:04}.jpg",
        "Frame {:03}.BMP",
        "s2_take7_{:05}_crop64.webp",
        "{:02}_96x96.jpeg",
        "ünï口{}.png",
    ],
)
@pytest.mark.parametrize("start", [0, 1, 98])
def test_numbered_pictures_are_read_in_natural_order(tmp_path, pattern, start) -> None:
    folder = write_pictures(tmp_path / "f", [pattern.format(number) for number in range(start, start + 12)])
    (folder / "notes.txt").write_text("-")
    (folder / "._1.png").write_text("-")
    assert is_frame_folder(folder)
    with VideoReader(folder) as video:
        frames = list(video)
    assert [frame.index for frame in frames] == list(range(12))
    assert np.allclose([frame.image.mean() for frame in frames], 10 * np.arange(12), atol=1)
    assert np.allclose([frame.time for frame in frames], np.arange(12) / 25)
    assert (video.stream.container, video.stream.width, video.stream.frame_rate) == ("pictures", 32, 25)
    assert "25 frames per second were assumed" in video.stream.notes[0]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([f"IMG_{number}.jpg" for number in (1, 2, 3, 4, 6, 7, 8, 9, 10)], "IMG_6.jpg follows IMG_4.jpg"),
        (["beach.jpg", "dog.jpg", *(f"p{number}.jpg" for number in range(9))], "dog.jpg follows beach.jpg"),
        ([f"{number}.png" for number in range(9)] + ["cover.png"], "cover.png follows 8.png"),
        ([f"{number}.png" for number in range(9)] + ["03.png"], r"0?3.png follows 0?3.png"),
        ([f"{number}.png" for number in range(9)] + ["3.jpg"], "follows"),
        ([f"a{number}_b{number}.png" for number in range(9)], "a1_b1.png follows a0_b0.png"),
        (["A.png", "a.png"], "follows"),
    ],
)
def test_other_pictures_are_no_video(tmp_path, names, message) -> None:
    folder = write_pictures(tmp_path / "f", names)
    assert not is_frame_folder(folder)
    with pytest.raises(Unreadable, match=f"not numbered one by one: .*{message}"):
        list_frames(folder)


def test_a_handful_of_pictures_is_read_only_if_asked_for(tmp_path) -> None:
    folder = write_pictures(tmp_path / "f", ["1.png", "2.png", "3.png"])
    assert not is_frame_folder(folder)
    assert len(list(read_frames(folder))) == 3


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_a_damaged_picture_is_named(tmp_path, content) -> None:
    folder = write_pictures(tmp_path / "f", [f"{number}.png" for number in range(9)])
    whole = (folder / "5.png").read_bytes()
    (folder / "5.png").write_bytes(whole[:20] if content is None else content)
    with pytest.raises(Unreadable, match="the picture 5.png is damaged"):
        list(read_frames(folder))


def test_a_picture_of_another_size_is_named(tmp_path) -> None:
    folder = write_pictures(tmp_path / "f", [f"{number}.png" for number in range(9)])
    cv2.imwrite(str(folder / "5.png"), np.zeros((16, 20, 3), np.uint8))
    with pytest.raises(Unreadable, match="0.png and 5.png differ in size: 32x32 and 20x16"):
        list(read_frames(folder))


def test_a_folder_without_pictures_is_no_video(tmp_path) -> None:
    with pytest.raises(Unreadable, match="a folder without pictures"):
        list(read_frames(tmp_path))
