"""Many files: which ones are meant, and each gets its verdict whatever becomes of the others."""

import errno
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lipinc.detection import batch, page
from lipinc.detection.batch import Result, Settings, classify_video, classify_videos, find_videos
from lipinc.detection.detector import Detector
from lipinc.errors import UserError
from lipinc.video import faces

# Which files


def touch(folder: Path, *names: str) -> list[Path]:
    files = [folder / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return files


def test_a_folder_means_the_videos_all_through_it(tmp_path) -> None:
    wanted = touch(tmp_path, "a.mp4", "b.MOV", "deep/c.mkv", "deep/er/d.webm")
    touch(tmp_path, "readme.txt", "deep/picture.png", "._a.mp4", "no suffix")
    assert find_videos([str(tmp_path)]) == wanted


def test_a_pattern_means_the_files_it_fits(tmp_path, monkeypatch) -> None:
    touch(tmp_path, "b.mp4", "a.mp4", "c.avi", "deep/d.mp4")
    (tmp_path / "folder.mp4").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_videos(["*.mp4"]) == [Path("a.mp4"), Path("b.mp4")]
    assert find_videos(["**/*.mp4"]) == [Path("a.mp4"), Path("b.mp4"), Path("deep/d.mp4")]
    with pytest.raises(UserError, match=r"no file matches the pattern \*\.mkv"):
        find_videos(["*.mkv"])


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path) -> None:
    (file, _) = touch(tmp_path, "a[1].mp4", "a1.mp4")
    assert find_videos([str(file)]) == [file]


def test_each_file_is_taken_once_and_in_order(tmp_path, monkeypatch) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    monkeypatch.chdir(tmp_path)
    assert find_videos(["c.mp4", "*.mp4", "./a.mp4"]) == [Path("c.mp4"), Path("a.mp4"), Path("b.mp4")]


def test_a_file_of_any_suffix_is_tried_if_it_is_named(tmp_path) -> None:
    (file,) = touch(tmp_path, "upload")
    assert find_videos([str(file)]) == [file]


def test_a_folder_without_videos_is_said(tmp_path) -> None:
    touch(tmp_path, "readme.txt")
    with pytest.raises(UserError, match="contains no videos"):
        find_videos([str(tmp_path)])


def test_what_is_not_there_or_closed_keeps_its_place(unprivileged) -> None:
    """Each gets its row: a closed folder below a folder, a file in a closed folder, no file, a name too long."""
    (video, hidden) = touch(unprivileged, "a.mp4", "closed/b.mp4")
    hidden.parent.chmod(0)
    too_long = "x" * 300 + ".mp4"
    try:
        assert find_videos([str(unprivileged)]) == [video, hidden.parent]
        words = [str(hidden), str(hidden.parent), "nowhere.mp4", too_long]
        assert find_videos(words) == [hidden, hidden.parent, Path("nowhere.mp4"), Path(too_long)]
    finally:
        hidden.parent.chmod(0o700)


# Verdicts


@pytest.fixture
def folder(tmp_path, talk, write_video, talking) -> Path:
    """Three videos: one with a verdict, one that is too short for one, one that is none."""
    (tmp_path / "ann.mp4").write_bytes(talk.read_bytes())
    write_video(tmp_path / "bob.mp4", talking[:3])
    (tmp_path / "text.mp4").write_text("no video")
    return tmp_path


def reasons(results) -> dict[str, str | None]:
    return {Path(result.values["file"]).name: result.values["reason"] for result in results}


def classify_here(folder: Path, settings: Settings) -> list[Result]:
    """In this process, whose limits and patches others would not see."""
    return [classify_video(settings, file) for file in find_videos([str(folder)])]


def _die_on_bob(settings: Settings, file: Path) -> Result:
    if "bob" in file.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    return classify_video(settings, file)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_that_dies_costs_its_video_alone(folder, checkpoint, monkeypatch, workers) -> None:
    monkeypatch.setattr(batch, "classify_video", _die_on_bob)
    results = list(classify_videos(find_videos([str(folder)]), Settings(checkpoint, report=folder / "report"), workers))
    assert reasons(results) == {"ann.mp4": None, "bob.mp4": "crashed", "text.mp4": "unreadable"}
    (bob,) = [result for result in results if result.values["reason"] == "crashed"]
    assert bob.values["detail"] == "its subprocess died (SIGSEGV)"
    assert (folder / "report" / bob.row.page).is_file() and not bob.was_read


def test_a_bug_costs_its_video_alone_and_is_told_in_one_line(folder, checkpoint, monkeypatch) -> None:
    call = Detector.__call__

    def broken(self, file, **options):
        if "bob" in file.name:
            raise ZeroDivisionError("division\nby zero")
        return call(self, file, **options)

    monkeypatch.setattr(Detector, "__call__", broken)
    results = classify_here(folder, Settings(checkpoint))
    assert reasons(results) == {"ann.mp4": None, "bob.mp4": "crashed", "text.mp4": "unreadable"}
    assert results[1].values["detail"] == "ZeroDivisionError: division by zero"


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """As on a full disk, a write beyond this many bytes fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_too_full_for_a_page_costs_the_page_and_no_verdict(folder, checkpoint) -> None:
    report = folder / "report"
    with no_file_larger_than(50_000):  # the page of a refusal is smaller, that of a verdict larger
        results = classify_here(folder, Settings(checkpoint, report=report))
    assert reasons(results) == {"ann.mp4": None, "bob.mp4": "too_short", "text.mp4": "unreadable"}
    ann, *others = results
    assert "cannot be written" in ann.problem and "File too large" in ann.problem
    assert "\n" not in ann.problem and ann.row.page == ""
    assert not any(result.problem for result in others)
    assert {path.name for path in report.iterdir()} == {result.row.page for result in others}


def test_a_disk_that_is_full_for_one_page_has_the_others(folder, checkpoint, monkeypatch) -> None:
    write = page.write_atomically

    def full(file, content):
        if "bob" in file.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, content)

    monkeypatch.setattr(page, "write_atomically", full)
    report = folder / "report"
    results = classify_here(folder, Settings(checkpoint, report=report))
    assert [bool(result.problem) for result in results] == [False, True, False]
    assert "No space left on device" in results[1].problem
    assert sorted(path.name for path in report.iterdir()) == sorted([results[0].row.page, results[2].row.page])


def test_no_room_for_the_mouths_of_a_video_is_told_of_that_video(folder, checkpoint, monkeypatch) -> None:
    monkeypatch.setattr(faces, "MAX_MOUTH_BYTES_IN_MEMORY", 1)  # all go to the temporary file, as a long video's do
    with no_file_larger_than(100_000):
        results = classify_here(folder, Settings(checkpoint))
    assert reasons(results) == {"ann.mp4": "crashed", "bob.mp4": "too_short", "text.mp4": "unreadable"}
    assert "File too large" in results[0].values["detail"]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_checkpoint_that_is_none_is_said_before_any_video(folder, workers) -> None:
    (folder / "c.safetensors").write_text("hello")
    with pytest.raises(UserError, match=r"c\.safetensors is not a \.safetensors checkpoint"):
        list(classify_videos(find_videos([str(folder)]), Settings(folder / "c.safetensors"), workers))
