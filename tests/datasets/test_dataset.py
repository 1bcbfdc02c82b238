"""What is done with the videos of any data set: versions of them, keys, files that are missing."""

import os
from pathlib import Path

import pytest

from lipinc.datasets import CsvIndex, FakeAVCeleb
from lipinc.datasets.dataset import check_present, load_videos
from lipinc.datasets.records import Label, VideoRecord
from lipinc.errors import UserError
from tests.datasets.test_csv_index import csv_catalog
from tests.datasets.test_folder import touch


def test_few_missing_files_are_returned_and_many_are_an_error(tmp_path: Path) -> None:
    records = [VideoRecord(f"{name}.mp4", Label.REAL, name) for name in "abcd"]
    touch(tmp_path, "b.mp4", "c.mp4", "d.mp4")
    assert check_present(records, FakeAVCeleb(root=str(tmp_path), max_missing=0.25)) == {"a.mp4"}
    with pytest.raises(UserError, match=f"1 of 4 videos are missing, the first is {tmp_path}/a.mp4: .*{tmp_path}, to"):
        check_present(records, FakeAVCeleb(root=str(tmp_path), max_missing=0.24))


def test_what_is_no_file_counts_as_missing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    (tmp_path / "itself.mp4").symlink_to(tmp_path / "itself.mp4")
    keys = {"pipe.mp4", "device.mp4", "itself.mp4", "x" * 300 + ".mp4", "/".join(["x" * 200] * 30)}
    records = [VideoRecord(key, Label.REAL, "a") for key in sorted(keys)]
    assert check_present(records, FakeAVCeleb(root=str(tmp_path), max_missing=1)) == keys


def test_a_folder_is_present_because_it_may_hold_frames(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    assert check_present([VideoRecord("frames", Label.REAL, "a")], FakeAVCeleb(root=str(tmp_path))) == set()


def test_file_named_as_the_version_of_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a.mp4@crf28 and a.mp4@crf28 would be one file"):
        csv_catalog(tmp_path, "path,label", "a.mp4,real", "a.mp4@crf28,fake", conditions=("crf28",))


def test_pseudo_fakes_are_made_of_reals_alone(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("path,label,identity\na.mp4,real,ann\nb.mp4,fake,bob\n")
    records = load_videos(CsvIndex(root=str(tmp_path), forgeries=2, conditions=("crf28",)))
    assert [(r.key, r.label, r.generator) for r in records] == [
        ("a.mp4", Label.REAL, ""),
        ("a.mp4@crf28", Label.REAL, ""),
        ("a.mp4@forged0", Label.FAKE, "pseudo"),
        ("a.mp4@forged0@crf28", Label.FAKE, "pseudo"),
        ("a.mp4@forged1", Label.FAKE, "pseudo"),
        ("a.mp4@forged1@crf28", Label.FAKE, "pseudo"),
        ("b.mp4", Label.FAKE, "unknown"),
        ("b.mp4@crf28", Label.FAKE, "unknown"),
    ]


def test_reencoded_versions_follow_their_video(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("path,label,identity\na@crf28.mp4,real,ann\nb.mp4,fake,bob\n")
    records = load_videos(CsvIndex(root=str(tmp_path), conditions=("crf23", "crf28")))
    assert [(r.key, r.path, r.condition, r.identity) for r in records] == [
        ("a@crf28.mp4", "a@crf28.mp4", "raw", "ann"),
        ("a@crf28.mp4@crf23", "a@crf28.mp4", "crf23", "ann"),
        ("a@crf28.mp4@crf28", "a@crf28.mp4", "crf28", "ann"),
        ("b.mp4", "b.mp4", "raw", "bob"),
        ("b.mp4@crf23", "b.mp4", "crf23", "bob"),
        ("b.mp4@crf28", "b.mp4", "crf28", "bob"),
    ]


def test_names_are_found_in_the_form_in_which_they_are_on_disk(tmp_path: Path) -> None:
    """macOS unpacks e and a combining accent where the index has one letter, and ignores case."""
    touch(tmp_path, "real/Jose\u0301/Cafe\u0301.MP4", "fake/Z\u00fc.mp4", "fake/b.mp4")
    rows = (
        "real/Jos\u00e9/Caf\u00e9.mp4,real,Jos\u00e9,",
        "fake/Zu\u0308.mp4,fake,Jose\u0301,real/Jos\u00e9/Caf\u00e9.mp4",
    )
    records = csv_catalog(
        tmp_path, "path,label,identity,pair", *rows, "fake/b.mp4,fake,bob,", "fake/gone.mp4,fake,bob,"
    )
    assert [record.path for record in records] == [
        *("real/Jose\u0301/Cafe\u0301.MP4", "fake/Z\u00fc.mp4", "fake/b.mp4", "fake/gone.mp4"),
    ]
    assert records[1].pair == records[0].key and records[0].identity == records[1].identity
    assert check_present(records, CsvIndex(root=str(tmp_path), max_missing=0.3)) == {"fake/gone.mp4"}


def test_two_names_that_differ_by_case_on_disk_are_not_confused(tmp_path: Path) -> None:
    touch(tmp_path, "A.mp4", "a.mp4")
    assert [r.path for r in csv_catalog(tmp_path, "path,label", "a.mp4,real")] == ["a.mp4"]
    assert [r.path for r in csv_catalog(tmp_path, "path,label", "a.MP4,real")] == ["a.MP4"]


@pytest.mark.parametrize("inner", ["set", ""])
def test_missing_videos_that_are_elsewhere_are_pointed_at(tmp_path: Path, monkeypatch, inner: str) -> None:
    touch(tmp_path, "set/real/a.mp4")
    monkeypatch.chdir(tmp_path)
    path, root = ("real/a.mp4", str(tmp_path)) if inner else ("set/real/a.mp4", str(tmp_path / "set"))
    with pytest.raises(UserError, match=f"--data.root {tmp_path / inner}\\)$"):
        check_present([VideoRecord(path, Label.REAL, "ann")], CsvIndex(root=root))


def test_missing_videos_are_counted_in_linear_time(tmp_path: Path) -> None:
    """The set of missing keys was formed anew for every video before the first missing one."""
    touch(tmp_path, "a.mp4")
    records = [HashedKey("a.mp4", Label.REAL, "a")] * 200 + [HashedKey("b.mp4", Label.REAL, "b")] * 200
    hashes.clear()
    with pytest.raises(UserError, match="200 of 400 videos are missing"):
        check_present(records, FakeAVCeleb(root=str(tmp_path)))
    assert len(hashes) <= 2 * len(records)


hashes: list[str] = []


class HashedText(str):
    """A text that counts how often it is looked up in a set."""

    def __hash__(self) -> int:
        hashes.append(str(self))
        return super().__hash__()


class HashedKey(VideoRecord):
    """A record whose key counts its look-ups."""

    @property
    def key(self) -> str:
        return HashedText(super().key)


def test_videos_of_some_splits_alone_are_loaded(tmp_path: Path) -> None:
    rows = ("path,label,identity,split", "a.mp4,real,ann,train", "b.mp4,real,bob,val", "c.mp4,fake,cid,test")
    assert [r.path for r in csv_catalog(tmp_path, *rows, splits=("validation", "test"))] == ["b.mp4", "c.mp4"]
    with pytest.raises(UserError, match="data.splits: .* has no video in validation"):
        csv_catalog(tmp_path, *rows[:2], splits=("validation",))
    with pytest.raises(UserError, match="c.mp4: unknown split 'x'"):
        csv_catalog(tmp_path, *rows[:3], "c.mp4,fake,cid,x", splits=("test",))
