"""The demo corpus has FakeAVCeleb's layout, its broken files are rejected as intended, and it is reused."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from lipinc.config import MouthConfig, SamplingConfig
from lipinc.demo import corpus
from lipinc.errors import UserError
from lipinc.video.clips import extract
from lipinc.video.rejection import Rejection

FAKEAVCELEB = Path(__file__).resolve().parents[2].parent / "shared" / "fakeavceleb" / "meta_data.csv"


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> corpus.CorpusSummary:
    """Four identities, and videos just long enough for a clip."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "FRAME_RANGE", (33, 35))
        return corpus.render(tmp_path_factory.mktemp("data") / "demo", identities=4, workers=1)


@pytest.fixture(scope="module")
def index(demo) -> list[dict[str, str]]:
    with open(demo.root / corpus.INDEX, newline="") as file:
        return list(csv.DictReader(file))


def file_of(demo: corpus.CorpusSummary, row: dict[str, str]) -> Path:
    return demo.root / row["path"].removeprefix("FakeAVCeleb_v1.2/") / row["filename"]


def test_the_index_has_the_format_of_fakeavceleb(demo, index):
    text = (demo.root / corpus.INDEX).read_bytes()
    assert text.count(b"\n") == len(index) + 1 and b"\r" not in text  # our dialect; FakeAVCeleb's own has CRLF
    assert all(all(row.values()) for row in index)
    assert len({(row["path"], row["filename"]) for row in index}) == len(index) == demo.videos
    people = {row["source"] for row in index}
    assert all(row["target1"] in people for row in index if row["method"] == "wav2lip")
    assert all(row["target1"] != row["source"] for row in index)


@pytest.mark.skipif(not FAKEAVCELEB.exists(), reason="needs FakeAVCeleb's own index")
def test_every_kind_of_row_exists_in_fakeavceleb(index):
    with open(FAKEAVCELEB, newline="") as file:
        reader = csv.DictReader(file)
        kinds = {(row["category"], row["type"], row["method"]) for row in reader}
    assert tuple(index[0]) == tuple(reader.fieldnames)
    assert {(row["category"], row["type"], row["method"]) for row in index} <= kinds


def test_every_identity_has_a_real_video_and_fakes_of_both_categories(index):
    kinds = Counter((row["source"], row["method"], row["category"]) for row in index)
    for number in range(1, 5):
        person = f"id{90000 + number}"
        assert kinds[person, "real", "A"] == 1
        assert kinds[person, "wav2lip", "C"] >= 1 and kinds[person, "wav2lip", "D"] >= 1


def test_exactly_the_indexed_files_exist(demo, index):
    on_disk = set(demo.root.rglob("*.mp4"))
    indexed = {file_of(demo, row) for row in index}
    assert on_disk < indexed and len(indexed - on_disk) == 1
    assert not list(demo.root.rglob("*.tmp"))


def test_broken_videos_are_rejected_for_the_intended_reason_and_the_others_are_not(demo):
    rows = corpus.plan(4, 0)
    broken = {row.broken: row for row in rows if row.broken}
    assert set(broken) == {"too_short", "no_face", "mouth_closed", "unreadable", "missing"}
    for reason, row in broken.items():
        result = extract(demo.root / row.folder / row.filename, MouthConfig(), SamplingConfig())
        assert isinstance(result, Rejection) and result.reason == reason
    for row in (rows[0], rows[3], next(row for row in rows if row.method == "wav2lip")):
        result = extract(demo.root / row.folder / row.filename, MouthConfig(), SamplingConfig())
        assert not isinstance(result, Rejection), result


def test_voice_cloning_does_not_change_the_video(demo, index):
    real = {row["source"]: file_of(demo, row) for row in index if row["method"] == "real"}
    for row in index:
        if row["method"] == "rtvc":
            assert file_of(demo, row).read_bytes() == real[row["source"]].read_bytes()


def test_a_second_run_reuses_the_corpus_unless_it_is_damaged(demo, monkeypatch):
    written = []
    monkeypatch.setattr(corpus, "_write_videos", lambda rows, out, workers: written.append(len(rows)))
    again = corpus.render(demo.root, identities=4, workers=1)
    assert again.reused and not written
    assert (again.videos, again.reals, again.fakes, again.broken) == (demo.videos, 4, 9, 5)
    file = next(demo.root.rglob("*.mp4"))
    content = file.read_bytes()
    file.unlink()
    (demo.root / "notes.txt").write_text("mine")
    assert not corpus.render(demo.root, identities=4, workers=1).reused and written == [demo.videos]
    assert (demo.root / "notes.txt").read_text() == "mine"
    file.write_bytes(content)


def test_another_data_set_is_never_overwritten(tmp_path):
    (tmp_path / corpus.INDEX).write_text("source\n")
    with pytest.raises(UserError, match="--out"):
        corpus.render(tmp_path)
    assert (tmp_path / corpus.INDEX).read_text() == "source\n"


def test_too_few_identities_are_an_error(tmp_path):
    with pytest.raises(UserError, match="--identities 4 or more"):
        corpus.render(tmp_path, identities=3)


def test_the_plan_depends_on_the_seed_only():
    def names(seed: int) -> list[str]:
        return [row.filename for row in corpus.plan(16, seed)]

    assert names(0) == names(0) != names(1)
