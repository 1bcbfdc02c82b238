"""Atomic writes leave the old file or the new one, and no temporary file."""

import os
from pathlib import Path

import pytest

from lipinc.files.atomic import replacing, write_atomically


def test_the_parent_folder_is_created_and_no_temporary_file_is_left(tmp_path: Path) -> None:
    file = tmp_path / "new" / "file.bin"
    write_atomically(file, b"one")
    write_atomically(file, b"two")
    assert file.read_bytes() == b"two"
    assert list(file.parent.iterdir()) == [file]


def test_a_full_disk_keeps_the_old_file_and_the_error_names_it(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(file, b"new")
    assert caught.value.filename == str(file)
    assert file.read_bytes() == b"old" and list(tmp_path.iterdir()) == [file]


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "video.mp4"
    with pytest.raises(KeyError), replacing(file) as temporary:
        assert temporary == tmp_path / "video.mp4.tmp"
        temporary.write_bytes(b"half")
        raise KeyError
    assert list(tmp_path.iterdir()) == []
