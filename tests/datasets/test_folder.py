"""Folders real and fake: which videos and people they hold, and what is refused."""

from pathlib import Path

import pytest

from lipinc.datasets import Folder
from lipinc.datasets.dataset import load_videos
from lipinc.datasets.records import Label
from lipinc.errors import UserError


def touch(root: Path, *keys: str) -> None:
    for key in keys:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).touch()


def test_folder_lists_videos_with_their_people(tmp_path: Path) -> None:
    touch(tmp_path, "real/id1/x/b.MP4", "real/a.mp4", "fake/id1/c.webm", "fake/a.avi")
    touch(tmp_path, "real/notes.txt", "real/._a.mp4", "other/d.mp4")
    records = load_videos(Folder(root=str(tmp_path)))
    assert [(r.key, r.label, r.identity, r.generator) for r in records] == [
        ("fake/a.avi", Label.FAKE, "a", "unknown"),
        ("fake/id1/c.webm", Label.FAKE, "id1", "unknown"),
        ("real/a.mp4", Label.REAL, "a", ""),
        ("real/id1/x/b.MP4", Label.REAL, "id1", ""),
    ]


def test_folder_follows_linked_people(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.mp4", "set/fake/id1/b.mp4")
    (tmp_path / "set/real").mkdir()
    (tmp_path / "set/real/id1").symlink_to(tmp_path / "elsewhere")
    keys = [record.key for record in load_videos(Folder(root=str(tmp_path / "set")))]
    assert keys == ["fake/id1/b.mp4", "real/id1/a.mp4"]


@pytest.mark.parametrize(
    ("link", "target"),
    [("real/id1/again", "real"), ("real/id1/again", "real/id1"), ("real/id2", "real/id1"), ("fake/id1", "real/id1")],
)
def test_folder_that_links_show_twice_is_refused(tmp_path: Path, link: str, target: str) -> None:
    touch(tmp_path, "real/id1/a.mp4", "fake/id3/b.mp4")
    (tmp_path / link).symlink_to(tmp_path / target)
    with pytest.raises(UserError, match="are the same folder: remove the link"):
        load_videos(Folder(root=str(tmp_path)))


def test_folders_linked_to_one_another_end_at_once(tmp_path: Path) -> None:
    """2 ** 30 paths lead to the last one."""
    for level in range(30):
        for name in "ab":
            (tmp_path / f"{level}").mkdir(exist_ok=True)
            (tmp_path / f"{level}" / name).symlink_to(tmp_path / f"{level + 1}")
    touch(tmp_path, "30/x.mp4", "fake/x.mp4")
    (tmp_path / "real").symlink_to(tmp_path / "0")
    with pytest.raises(UserError, match="are the same folder"):
        load_videos(Folder(root=str(tmp_path)))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["people/a.mp4"], "contains no folder real or fake: .*--data.labels real=FOLDER"),
        (["real/a.mp4", "fake/a.txt"], "fake contains no videos"),
        (["original_sequences/youtube/c23/videos/000.mp4"], "FaceForensics.* give --data.kind faceforensics"),
    ],
)
def test_folder_without_classes_or_people_is_refused(tmp_path: Path, keys: list[str], message: str) -> None:
    touch(tmp_path, *keys)
    with pytest.raises(UserError, match=message):
        load_videos(Folder(root=str(tmp_path)))


def test_folders_of_frames_are_videos(tmp_path: Path) -> None:
    pictures = [f"{number}.png" for number in range(1, 11)]
    touch(tmp_path, *(f"real/ann.v2/{name}" for name in pictures), *(f"fake/bob/day 1/{name}" for name in pictures))
    touch(tmp_path, "fake/ann.v2.mp4")
    records = load_videos(Folder(root=str(tmp_path)))
    assert [(record.key, record.identity) for record in records] == [
        *(("fake/ann.v2.mp4", "ann.v2"), ("fake/bob/day 1", "bob"), ("real/ann.v2", "ann.v2")),
    ]


def test_frames_without_a_folder_of_their_own_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, *(f"real/{number}.png" for number in range(1, 11)), "fake/a.mp4")
    with pytest.raises(UserError, match="real contains pictures itself: put the frames of each video into a folder"):
        load_videos(Folder(root=str(tmp_path)))


@pytest.mark.parametrize(
    ("real", "fake"),
    [
        ("0_real", "1_fake"),
        ("Real", "Fake"),
        ("REAL", "fakes"),
        ("original", "manipulated"),
        ("Celeb-real", "Celeb-synthesis"),
        ("inner/real", "inner/fake"),
    ],
)
def test_folders_are_called_as_people_call_them(tmp_path: Path, real: str, fake: str) -> None:
    touch(tmp_path, f"{real}/ann/a.mp4", f"{fake}/ann/b.mp4", "original_sound.mp4")
    records = load_videos(Folder(root=str(tmp_path)))
    assert {(r.path, r.label, r.identity) for r in records} == {
        (f"{real}/ann/a.mp4", Label.REAL, "ann"),
        (f"{fake}/ann/b.mp4", Label.FAKE, "ann"),
    }


def test_names_of_folders_can_be_said(tmp_path: Path) -> None:
    touch(tmp_path, "0/ann/a.mp4", "1/bob/b.mp4", "2/bob/c.mp4", "real/x.mp4")
    with pytest.raises(UserError, match="data.labels"):
        load_videos(Folder(root=str(tmp_path / "0")))
    records = load_videos(Folder(root=str(tmp_path), labels=("fake=0", "real=1", "real=2")))
    assert [(r.path, r.label) for r in records] == [
        ("0/ann/a.mp4", Label.FAKE),
        ("1/bob/b.mp4", Label.REAL),
        ("2/bob/c.mp4", Label.REAL),
    ]


def test_real_videos_alone_are_a_data_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "real/ann/a.mp4")
    assert [record.label for record in load_videos(Folder(root=str(tmp_path)))] == [Label.REAL]
    assert "no folder of fake videos" in caplog.text


def test_a_person_is_one_in_both_unicode_forms(tmp_path: Path) -> None:
    touch(tmp_path, "real/Jos\u00e9/a.mp4", "fake/Jose\u0301/a.mp4")
    assert {record.identity for record in load_videos(Folder(root=str(tmp_path)))} == {"Jos\u00e9"}
