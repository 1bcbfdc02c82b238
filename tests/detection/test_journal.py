"""A batch that was interrupted is continued, and nothing is kept that is not valid any more."""

import json
from pathlib import Path

import pytest

from lipinc.detection.batch import Result
from lipinc.detection.journal import PROVENANCE, Journal, stamp
from lipinc.detection.page import IndexRow
from lipinc.detection.verdict import Decision
from lipinc.errors import UserError

NOW = {name: (1, "x") for name in PROVENANCE}  # tuples become lists in JSON


def result(file: Path, reason: str | None = None, page: str | None = None, **changed) -> Result:
    row = None if page is None else IndexRow(str(file), Decision.FAKE, 0.9, 1.0, 2.0, None, "", [[0.4, 1.2]], page)
    return Result({"file": str(file), "reason": reason, **NOW, **changed}, row, "")


@pytest.fixture
def videos(tmp_path) -> list[Path]:
    files = [tmp_path / name for name in ("a.mp4", "b\udce9.mp4", "c.mp4")]
    for file in files:
        file.write_text("video")
    return files


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "v.csv.journal"


def interrupted(file: Path, *results: Result) -> None:
    journal = Journal(file, resume=True)
    for one in results:
        journal.add(one, stamp(Path(one.values["file"])))
    journal.close(interrupted=True)


def kept(file: Path, videos: list[Path], now: dict = NOW, report: Path | None = None) -> set[Path]:
    journal = Journal(file, resume=True)
    try:
        return set(journal.finished({video: stamp(video) for video in videos}, now, report))
    finally:
        journal.close(interrupted=True)


def test_verdicts_come_back_even_after_a_torn_line(file, videos, tmp_path):
    (tmp_path / "page.html").touch()
    interrupted(file, result(videos[0], page="page.html"), result(videos[1], page="page.html"))
    with file.open("ab") as stream:
        stream.write(b'damaged\n{"stamp": [5,')
    assert kept(file, videos, report=tmp_path) == {videos[0], videos[1]}
    interrupted(file, result(videos[2]))
    assert kept(file, videos) == set(videos)
    assert all(json.loads(line) for line in file.read_text().splitlines())


def test_what_has_changed_is_classified_again(file, videos):
    interrupted(file, *(result(video) for video in videos))
    videos[0].write_text("another video")
    videos[2].unlink()
    assert kept(file, videos) == {videos[1]}
    assert kept(file, videos, now={**NOW, "checkpoint_sha256": "another"}) == set()
    assert kept(file, videos, report=file.parent) == set()  # there is no page yet
    assert kept(file, videos[:1]) == set()


@pytest.mark.parametrize("reason", ["missing", "unreadable", "time_limit", "crashed"])
def test_what_could_not_be_read_is_tried_again(file, videos, reason):
    interrupted(file, result(videos[0], reason), result(videos[1], "no_face"))
    assert kept(file, videos) == {videos[1]}


def test_verdicts_of_an_interrupted_batch_are_not_overwritten(file, videos):
    interrupted(file, result(videos[0]))
    with pytest.raises(UserError, match="holds 1 verdicts of an interrupted batch: continue with --resume"):
        Journal(file, resume=False)
    assert kept(file, videos) == {videos[0]}


def test_two_batches_do_not_share_a_journal(file):
    journal = Journal(file, resume=True)
    with pytest.raises(UserError, match="another batch is writing"):
        Journal(file, resume=True)
    journal.close(interrupted=False)
    assert not file.exists()


def test_a_batch_interrupted_before_its_first_verdict_leaves_nothing(file):
    Journal(file, resume=False).close(interrupted=True)
    assert not file.exists()
