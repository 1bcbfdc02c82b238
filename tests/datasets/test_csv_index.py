"""CSV indices: how columns and pairs are read, and what is refused."""

import csv
import logging
from collections import Counter
from pathlib import Path

import pytest

from lipinc.datasets import CsvIndex
from lipinc.datasets.dataset import check_present, load_videos
from lipinc.datasets.records import Label, VideoRecord
from lipinc.errors import UserError


def csv_catalog(folder: Path, *lines: str, **options) -> list[VideoRecord]:
    (folder / "index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_videos(CsvIndex(root=str(folder), **options))


def test_csv_columns_are_mapped(tmp_path: Path) -> None:
    real, fake = csv_catalog(
        tmp_path,
        "file,label,person,generator,split,race,sex",
        "real/a.mp4,REAL,ann,x,train,African,women",
        "fake/a.mp4,1,ann,wav2lip,val,African,women",
        columns={"path": "file", "identity": "person", "gender": "sex"},
    )
    assert real == VideoRecord("real/a.mp4", Label.REAL, "ann", race="African", gender="women", split="train")
    assert fake == VideoRecord(
        "fake/a.mp4", Label.FAKE, "ann", generator="wav2lip", race="African", gender="women", split="val"
    )


def test_csv_without_identities_makes_every_video_a_person(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        records = csv_catalog(tmp_path, "path,label", "x/a.mp4,0", "y/a.mp4,Fake")
    assert [(r.label, r.identity, r.generator) for r in records] == [
        (Label.REAL, "x/a.mp4", ""),
        (Label.FAKE, "y/a.mp4", "unknown"),
    ]
    assert "no identity column" in caplog.text


def test_csv_merges_identical_rows(tmp_path: Path) -> None:
    records = csv_catalog(tmp_path, "path,label", "b.mp4,real", "a.mp4,fake", "./b.mp4,0")
    assert [record.key for record in records] == ["b.mp4", "a.mp4"]


@pytest.mark.parametrize(
    ("lines", "columns", "message"),
    [
        (["path,label", "a.mp4,true"], {}, "row 2: the label 'true' must be one of real, 0, fake, 1"),
        (["path,label", "a.mp4"], {}, "row 2: the label '' must be one of"),
        (["path,label,identity", "a.mp4,real,"], {}, "row 2: the identity is empty"),
        (["path,label", "a.mp4,real", "a.mp4,fake"], {}, "row 3 contradicts row 2 for a.mp4"),
        (["path,label", "../a.mp4,real"], {}, r"row 2: the path '\.\./a\.mp4' contains"),
        (["path,label", "a.mp4,real"], {"identity": "person"}, "no column person; its columns are path, label"),
        (["path,label", "a.mp4,real"], {"identiy": "path"}, r"'identiy': did you mean identity\?"),
        (["file,label", "a.mp4,real"], {}, "no column path; its columns are file, label"),
        (["path,label"], {}, "lists no usable video"),
        (
            ["path,label", "a/B.mp4,real", "A/b.mp4,fake"],
            {},
            "a/B.mp4 and A/b.mp4 would be one file on some file systems",
        ),
        (["path,label", "\u00e9.mp4,real", "e\u0301.mp4,fake"], {}, "would be one file on some file systems"),
        (["path,label,identity", 'a.mp4,real,"a\nb"'], {}, r"row 2: the identity 'a\\nb' contains control characters"),
        (["path,label,generator", "a.mp4,fake,\x1b[2J"], {}, "row 2: the generator .* contains control characters"),
        (["path,label", "a.mp4," + "x" * 10**6], {}, "row 2: the label .* must be one of"),
    ],
)
def test_wrong_csv_is_refused(tmp_path: Path, lines: list[str], columns: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        csv_catalog(tmp_path, *lines, columns=columns)


def test_shared_clips_are_read_and_all_there(clips_root: Path) -> None:
    columns = {"path": "file", "identity": "person"}
    index = str(clips_root / "clips.csv")
    config = CsvIndex(root=str(clips_root), index=index, columns=columns, max_missing=0)
    records = load_videos(config)
    with (clips_root / "clips.csv").open(newline="") as file:
        listed = Counter(Label[row["label"].upper()] for row in csv.DictReader(file))
    assert Counter(record.label for record in records) == listed
    assert min(listed.values()) > 40
    assert all((record.generator == "") == (record.label is Label.REAL) for record in records)
    assert check_present(records, config) == set()


def test_a_fake_names_its_real_by_path_or_stem(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text(
        "path,label,identity,pair,family,audio\nreal/a.mp4,real,ann,-,studio,own\nfake/a.mp4,fake,ann,a,studio,dubbed\n"
        "fake/b.mp4,fake,ann,real/a.mp4,,\nfake/c.mp4,fake,ann,gone,,\nfake/d.mp4,fake,ann,-,,\n"
    )
    records = load_videos(CsvIndex(root=str(tmp_path)))
    assert [record.pair for record in records] == ["", "real/a.mp4", "real/a.mp4", "", ""]
    assert (records[1].family, records[1].audio) == ("studio", "dubbed")
