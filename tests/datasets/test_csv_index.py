"""CSV indices: how columns and pairs are read, and what is refused."""

import csv
import json
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from lipinc.datasets import CsvIndex
from lipinc.datasets.dataset import check_present, load_videos
from lipinc.datasets.labels import label_line
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
        (
            ["path,label", "a.mp4,ture"],
            {},
            r"row 2: the label 'ture' must be one of real, fake, 0 \(real\), 1 \(fake\); .* --data.labels real=VALUE",
        ),
        (["path,label", "a.mp4"], {}, "row 2: the label '' must be one of"),
        (["path,label,identity", "a.mp4,real,"], {}, "row 2: the identity is empty"),
        (["path,label", "a.mp4,real", "a.mp4,fake"], {}, "row 3 contradicts row 2 for a.mp4"),
        (["path,label", "../a.mp4,real"], {}, r"row 2: the path '\.\./a\.mp4' contains"),
        (["path,label", "a.mp4,real"], {"identity": "person"}, "no column person; its columns are path, label"),
        (["path,label", "a.mp4,real"], {"identiy": "path"}, r"'identiy': did you mean identity\?"),
        (
            ["file,label", "a.mp4,real"],
            {},
            "no column path; its columns are file, label; say which column is which: --data.columns path NAME$",
        ),
        (
            ["path,label,identity", "a.mp4,real,ann"],
            {"path": "file", "identity": "person"},
            "no column file, person; .*--data.columns path path identity identity$",
        ),
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


def test_mapped_columns_that_only_make_groups_may_be_absent(tmp_path: Path, caplog) -> None:
    """As with configs/mouth_noise.py, which maps the source of a video, and a CSV of file, label, person and pair."""
    columns = {"path": "file", "identity": "person", "family": "source_repo"}
    (record,) = csv_catalog(tmp_path, "file,label,person", "a.mp4,real,ann", columns=columns)
    assert (record.identity, record.family) == ("ann", "")
    assert "has no column source_repo: family is unknown" in caplog.text
    with pytest.raises(UserError, match="no column of_pair"):
        csv_catalog(tmp_path, "file,label,person", "a.mp4,real,ann", columns={**columns, "pair": "of_pair"})


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


@pytest.mark.parametrize(
    ("header", "rows", "labels"),
    [
        ("path,label", ["a.mp4,0", "b.mp4,1"], ()),
        ("path,label", ["a.mp4,0.0", "b.mp4,1.0"], ()),
        ("path,label", ["a.mp4,False", "b.mp4,TRUE"], ()),
        ("path,label", ["a.mp4,Original", "b.mp4,manipulated"], ()),
        ("path,label", ["a.mp4,1", "b.mp4,0"], ("real=1", "fake=0")),
        ("path,label", ["a.mp4,True", "b.mp4,0.0"], ("real=1.0", "fake=false")),
        ("path,label", ["a.mp4,youtube", "b.mp4,Deepfakes"], ("real=YouTube", "fake=Deepfakes", "fake=FaceSwap")),
        ("PATH;Label", ["a.mp4;real", "b.mp4;fake"], ()),
        ("Path\tLABEL\tnote", ["a.mp4\treal\tx, y", "b.mp4\tfake\t"], ()),
    ],
)
def test_labels_and_columns_are_read_as_people_write_them(tmp_path: Path, header, rows, labels) -> None:
    records = csv_catalog(tmp_path, header, *rows, labels=labels)
    assert [(record.path, record.label) for record in records] == [("a.mp4", Label.REAL), ("b.mp4", Label.FAKE)]


def test_in_a_column_of_what_is_real_one_means_real(tmp_path: Path) -> None:
    records = csv_catalog(tmp_path, "path,is_real", "a.mp4,1", "b.mp4,False", columns={"label": "is_real"})
    assert [record.label for record in records] == [Label.REAL, Label.FAKE]


CELEB_DF = ("1 YouTube-real/00170.mp4", "1 Celeb-real/id1_0001.mp4", "0 Celeb-synthesis/id1_id0_0001.mp4")


def test_the_list_of_celeb_df_is_read_and_never_inverted(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n".join(CELEB_DF) + "\n")
    data = CsvIndex(root=str(tmp_path), index=str(tmp_path / "list.txt"))
    with pytest.raises(UserError, match="row 1: the label 1 means fake, but .*YouTube-real.*give --data.labels real=1"):
        load_videos(data)
    # A mapping of columns, such as that of own_clips, does not matter to a file that names none.
    records = load_videos(
        replace(data, labels=("real=1", "fake=0"), columns=(("path", "file"), ("identity", "person")))
    )
    assert [(record.path, record.label) for record in records] == [
        ("YouTube-real/00170.mp4", Label.REAL),
        ("Celeb-real/id1_0001.mp4", Label.REAL),
        ("Celeb-synthesis/id1_id0_0001.mp4", Label.FAKE),
    ]
    assert label_line(records) == (
        "labels: 2 real (for example YouTube-real/00170.mp4), 1 fake (for example Celeb-synthesis/id1_id0_0001.mp4)"
    )
    assert load_videos(replace(data, labels=("real=0", "fake=1")))[0].label is Label.FAKE  # if the user says so


@pytest.mark.parametrize("line", ["real/a b.mp4,1,ann", "a.mp4"])
def test_a_list_without_a_header_that_is_not_understood_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(UserError, match="row 1 is no pair of label and path: add a first row|has no column path"):
        csv_catalog(tmp_path, line)


def test_lists_of_path_and_label_are_read(tmp_path: Path) -> None:
    for separator in (",", " ", "\t", "; "):
        records = csv_catalog(tmp_path, f"x/a b.mp4{separator}0", f"x/c.mp4{separator}fake")
        assert [(r.path, r.label) for r in records] == [("x/a b.mp4", Label.REAL), ("x/c.mp4", Label.FAKE)]


def test_the_metadata_of_dfdc_is_read_and_keeps_fakes_with_their_original(tmp_path: Path) -> None:
    entries = {
        "f.mp4": {"label": "FAKE", "split": "train", "original": "r.mp4"},
        "r.mp4": {"label": "REAL", "split": "train", "original": None},
        "lone.mp4": {"label": "FAKE", "split": "train", "original": "elsewhere.mp4"},
    }
    (tmp_path / "metadata.json").write_text(json.dumps(entries))
    records = load_videos(CsvIndex(root=str(tmp_path), index=str(tmp_path / "metadata.json")))
    assert [(r.path, r.label, r.identity, r.split) for r in records] == [
        ("f.mp4", Label.FAKE, "r.mp4", ""),
        ("r.mp4", Label.REAL, "r.mp4", ""),
        ("lone.mp4", Label.FAKE, "lone.mp4", ""),
    ]
    (tmp_path / "metadata.json").write_text("[1]")
    with pytest.raises(UserError, match="must map file names to their label"):
        load_videos(CsvIndex(root=str(tmp_path), index=str(tmp_path / "metadata.json")))


def test_absolute_paths_below_the_root_are_read(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "set")
    rows = (
        "path,label,identity,pair",
        f"{tmp_path}/set/a.mp4,real,ann,",
        f"{tmp_path}/set/b.mp4,fake,ann,{tmp_path}/set/a.mp4",
    )
    (tmp_path / "index.csv").write_text("\n".join(rows))
    for root in ("set", "link"):
        records = load_videos(CsvIndex(root=str(tmp_path / root), index=str(tmp_path / "index.csv")))
        assert [(record.path, record.pair) for record in records] == [("a.mp4", ""), ("b.mp4", "a.mp4")]
    with pytest.raises(UserError, match="row 2: the path .* is absolute and not below .*elsewhere: make it relative"):
        load_videos(CsvIndex(root=str(tmp_path / "elsewhere"), index=str(tmp_path / "index.csv")))


@pytest.mark.parametrize("entry", ["1", "real", "reel=1", "real="])
def test_labels_that_make_no_sense_are_named(entry: str) -> None:
    (problem,) = CsvIndex(labels=(entry,)).validate()
    assert "real=VALUE" in problem and repr(entry) in problem
    assert CsvIndex(labels=("real=1", "fake=True")).validate() == ["data.labels says that 'True' is real and fake"]


def test_forged_periods_of_an_index_are_checked(tmp_path: Path) -> None:
    header = "path,label,identity,fake_periods"
    (fake,) = csv_catalog(tmp_path, header, "a.mp4,fake,ann,2.5-3.224 7-8.1")
    assert fake.periods == ((2.5, 3.224), (7.0, 8.1))
    with pytest.raises(UserError, match="row 2: fake_periods: '3-2' is not a period in s"):
        csv_catalog(tmp_path, header, "a.mp4,fake,ann,1-2 3-2")
    with pytest.raises(UserError, match="row 2: the label is real, but fake_periods is '1-2'"):
        csv_catalog(tmp_path, header, "a.mp4,real,ann,1-2")
