"""`lipinc reencode` keeps relative paths, and reports the files that it cannot read."""

import cv2
import numpy as np
import pytest

from lipinc.commands import reencode
from lipinc.errors import UserError
from lipinc.video.reader import read_frames


def run(*words: object) -> None:
    reencode.main([str(word) for word in words], "lipinc reencode")


def test_paths_are_kept_and_unreadable_files_are_reported(tmp_path, write_video, capsys) -> None:
    frames = list(np.random.default_rng(0).integers(0, 255, (12, 64, 96, 3), dtype=np.uint8))
    (tmp_path / "in" / "real").mkdir(parents=True)
    write_video(tmp_path / "in" / "real" / "a b.mp4", frames)
    (tmp_path / "in" / "b.mp4").write_text("no video")
    (tmp_path / "in" / "dangling.mp4").symlink_to(tmp_path / "nowhere.mp4")
    run("--root", tmp_path / "in", "--out", tmp_path / "out", "--workers", 1)
    written = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.mp4")]
    assert written == ["real/a b.mp4"]
    output = capsys.readouterr().out
    assert f"not re-encoded: {tmp_path}/in/b.mp4: unreadable: " in output and "1 videos at CRF 28" in output


def test_a_folder_without_videos_is_refused(tmp_path) -> None:
    with pytest.raises(UserError, match="contains no videos"):
        run("--root", tmp_path, "--out", tmp_path / "out")


def test_an_output_folder_inside_the_input_folder_is_refused(tmp_path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UserError, match="lies in"):
        run("--root", tmp_path, "--out", tmp_path / "out")


def test_a_folder_of_frames_becomes_a_file(tmp_path) -> None:
    frames = tmp_path / "in" / "ann" / "talk.1"
    frames.mkdir(parents=True)
    for number in range(10):
        cv2.imwrite(str(frames / f"{number}.png"), np.full((64, 96, 3), 20 * number, np.uint8))
    run("--root", tmp_path / "in", "--out", tmp_path / "out", "--workers", 1)
    images = [frame.image for frame in read_frames(tmp_path / "out" / "ann" / "talk.1.mp4")]
    assert np.allclose([image.mean() for image in images], 20 * np.arange(10), atol=4)
    with pytest.raises(UserError, match="the frames of one video; give the folder that contains it"):
        run("--root", frames, "--out", tmp_path / "other")
