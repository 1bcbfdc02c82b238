"""Catalogues: what is taken from an index or a folder, under which key and label, and what is refused."""

import csv
import logging
import os
from collections import Counter
from pathlib import Path

import pytest

from lipinc.config import DataConfig
from lipinc.datasets.records import (
    Label,
    VideoRecord,
    as_key,
    check_present,
    load_catalog,
    read_fakeavceleb_index,
    seed_of,
    unique_files,
)
from lipinc.errors import UserError

HEADER = "source,target1,target2,method,category,type,race,gender,filename,path"
OFFICIAL_HEADER = "source,target1,target2,method,category,type,race,gender,path,"
REAL = (
    "id00076,-,-,real,A,RealVideo-RealAudio,African,men,00109.mp4,FakeAVCeleb/RealVideo-RealAudio/African/men/id00076"
)
RTVC = "id00076,-,-,rtvc,B,RealVideo-FakeAudio,African,men,v.mp4,FakeAVCeleb/RealVideo-FakeAudio/African/men/id00076"
FAKE = (
    "id00076,id00166,1.mp4,wav2lip,C,FakeVideo-RealAudio,Asian (East),men,w.mp4,"
    "FakeAVCeleb_v1.2/FakeVideo-RealAudio/Asian (East)/men/id00076"
)
BOTH = FAKE.replace("C,FakeVideo-RealAudio", "D,FakeVideo-FakeAudio")
REAL_KEY = "RealVideo-RealAudio/African/men/id00076/00109.mp4"


def write(path: Path, *lines: str, newline: str = "\n", encoding: str = "utf-8") -> Path:
    path.write_bytes((newline.join(lines) + newline).encode(encoding))
    return path


def fakeavceleb(folder: Path, *rows: str, header: str = HEADER, **options) -> list[VideoRecord]:
    write(folder / "meta_data.csv", header, *rows)
    return load_catalog(DataConfig(root=str(folder), **options))


def csv_catalog(folder: Path, *lines: str, **options) -> list[VideoRecord]:
    write(folder / "index.csv", *lines)
    return load_catalog(DataConfig(kind="csv", root=str(folder), **options))


# Paths


@pytest.mark.parametrize(
    ("path", "key"),
    [
        *(("real/a.mp4", "real/a.mp4"), ("./real//a.mp4", "real/a.mp4"), ("real\\a b.mp4", "real/a b.mp4")),
        # Ordinary names on Linux, whatever other systems make of them.
        *((name, name) for name in ("con", "aux.mp4", "a.", "a ", "~/a.mp4", "C:a.mp4", "-rf", "$(a).mp4", "...")),
    ],
)
def test_key_is_a_clean_posix_path(path: str, key: str) -> None:
    assert as_key(path, "index.csv, row 2") == key


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            ".",
            "./",
            "/real/a.mp4",
            "//host/share/a.mp4",
            "../a.mp4",
            "real/../../a.mp4",
            "real/..",
            "..\\..\\a.mp4",
        ),
        *("C:\\a.mp4", "c:/a.mp4", "\\\\host\\share\\a.mp4", "\\\\?\\C:\\a.mp4"),
        *("a\0.mp4", "a\n", "a\rb.mp4", "a\x1b[31m.mp4", "caf\udce9.mp4"),
    ],
)
def test_unsafe_path_is_refused_with_its_row(path: str) -> None:
    with pytest.raises(UserError, match=r"^index\.csv, row 7: the path"):
        as_key(path, "index.csv, row 7")


@pytest.mark.parametrize("name", ["absent.csv", "."])
def test_index_that_cannot_be_opened_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot read"):
        load_catalog(DataConfig(root=str(tmp_path), index=str(tmp_path / name)))


# FakeAVCeleb


def test_fakeavceleb_record_is_complete(tmp_path: Path) -> None:
    real, fake = fakeavceleb(tmp_path, REAL, FAKE)
    assert real == VideoRecord(
        path=REAL_KEY, label=Label.REAL, identity="id00076", method="real", category="A", race="African", gender="men"
    )
    assert fake == VideoRecord(
        path="FakeVideo-RealAudio/Asian (East)/men/id00076/w.mp4",
        label=Label.FAKE,
        identity="id00076",
        targets=("id00166",),
        method="wav2lip",
        generator="wav2lip",
        category="C",
        race="Asian (East)",
        gender="men",
        pair=REAL_KEY,
    )


@pytest.mark.parametrize("last", ["", "Unnamed: 9"])
def test_official_header_gives_the_same_records(tmp_path: Path, last: str) -> None:
    rows = (REAL, RTVC, FAKE)
    ours = fakeavceleb(tmp_path, *rows, include_rtvc=True)
    assert fakeavceleb(tmp_path, *rows, header=OFFICIAL_HEADER + last, include_rtvc=True) == ours


def test_only_counted_methods_are_taken(tmp_path: Path) -> None:
    rows = (REAL, RTVC, FAKE, FAKE.replace("wav2lip", "fsgan").replace("w.mp4", "f.mp4"))
    assert [record.method for record in fakeavceleb(tmp_path, *rows)] == ["real", "wav2lip"]
    taken = fakeavceleb(tmp_path, *rows, fake_methods=("fsgan",), include_rtvc=True)
    assert [(record.method, record.label, record.generator) for record in taken] == [
        ("real", Label.REAL, "-"),
        ("rtvc", Label.REAL, "-"),
        ("fsgan", Label.FAKE, "fsgan"),
    ]


def test_file_listed_under_two_methods_keeps_the_counted_one(tmp_path: Path) -> None:
    rows = (REAL, BOTH.replace("wav2lip", "faceswap-wav2lip"), BOTH)
    assert [r.method for r in fakeavceleb(tmp_path, *rows)] == ["real", "wav2lip"]
    both = fakeavceleb(tmp_path, *rows, fake_methods=("wav2lip", "faceswap-wav2lip"))
    assert [r.method for r in both] == ["real", "faceswap-wav2lip"]


def test_file_listed_for_two_people_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fake of id00076 and as fake of id00166"):
        fakeavceleb(tmp_path, FAKE, FAKE.replace("id00076,", "id00166,", 1))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (FAKE.replace("wav2lip", "wav2lips"), r"row 3: unknown method 'wav2lips': did you mean wav2lip\?"),
        (FAKE.replace(",wav2lip", ","), "row 3: unknown method ''"),
        (REAL.replace(",real,", ",wav2lip,"), "row 3: method wav2lip contradicts"),
        (FAKE.replace(",wav2lip,", ",real,"), "row 3: method real contradicts"),
        (FAKE.replace(",C,", ",A,"), "row 3: method wav2lip contradicts category 'A'"),
        (FAKE.replace("id00076", "", 1), "row 3: the source or the file name is empty"),
        (FAKE.replace("FakeAVCeleb_v1.2", ".."), r"row 3: the path .* holds '\.\.'"),
        (FAKE.replace("FakeAVCeleb_v1.2", "/data/FakeAVCeleb_v1.2"), "row 3: the path .* is absolute"),
    ],
)
def test_wrong_row_is_refused_with_its_number(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fakeavceleb(tmp_path, REAL, row)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="has no column method, category, type, race, gender, filename; its columns are"
    ):
        fakeavceleb(tmp_path, "id00076,-,-,x", header="source,target1,target2,path")


@pytest.mark.parametrize("method", ["wav2lips", "real", "rtvc"])
def test_fake_methods_must_be_fake_methods(tmp_path: Path, method: str) -> None:
    with pytest.raises(UserError, match=f"data.fake_methods names '{method}'"):
        fakeavceleb(tmp_path, REAL, fake_methods=(method,))


def test_index_without_a_wanted_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names no video to take"):
        fakeavceleb(tmp_path, RTVC)


def test_real_index_has_the_known_counts(fakeavceleb_index: Path) -> None:
    rows = read_fakeavceleb_index(fakeavceleb_index)
    methods = Counter(row.method for row in rows)
    assert (len(rows), len(unique_files(rows)), methods["real"], methods["wav2lip"]) == (21566, 21544, 500, 9602)

    records = load_catalog(DataConfig(root="anywhere", index=str(fakeavceleb_index)))
    assert Counter(record.label for record in records) == {Label.REAL: 500, Label.FAKE: 9602}
    assert len({record.key for record in records}) == len(records)
    assert records[0].key == REAL_KEY
    # The 22 files listed twice: under the method that counts.
    swapped = load_catalog(
        DataConfig(root="anywhere", index=str(fakeavceleb_index), fake_methods=("wav2lip", "faceswap-wav2lip"))
    )
    assert len(swapped) == 500 + 9602 + 2717 - 22


def test_real_index_reads_the_same_in_the_official_form(tmp_path: Path, fakeavceleb_index: Path) -> None:
    text = fakeavceleb_index.read_text(encoding="utf-8").replace("filename,path", "path,", 1)
    official = write(tmp_path / "meta_data.csv", text, newline="\r\n", encoding="utf-8-sig")
    assert read_fakeavceleb_index(official) == read_fakeavceleb_index(fakeavceleb_index)


# Folder


def touch(root: Path, *keys: str) -> None:
    for key in keys:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).touch()


def test_folder_lists_videos_with_their_people(tmp_path: Path) -> None:
    touch(tmp_path, "real/id1/x/b.MP4", "real/a.mp4", "fake/id1/c.webm", "fake/a.avi")
    touch(tmp_path, "real/notes.txt", "real/._a.mp4", "other/d.mp4")
    records = load_catalog(DataConfig(kind="folder", root=str(tmp_path)))
    assert [(r.key, r.label, r.identity, r.generator) for r in records] == [
        ("fake/a.avi", Label.FAKE, "a", "unknown"),
        ("fake/id1/c.webm", Label.FAKE, "id1", "unknown"),
        ("real/a.mp4", Label.REAL, "a", "-"),
        ("real/id1/x/b.MP4", Label.REAL, "id1", "-"),
    ]


def test_folder_follows_linked_people(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.mp4", "set/fake/id1/b.mp4")
    (tmp_path / "set/real").mkdir()
    (tmp_path / "set/real/id1").symlink_to(tmp_path / "elsewhere")
    keys = [record.key for record in load_catalog(DataConfig(kind="folder", root=str(tmp_path / "set")))]
    assert keys == ["fake/id1/b.mp4", "real/id1/a.mp4"]


@pytest.mark.parametrize(
    ("link", "target"),
    [("real/id1/again", "real"), ("real/id1/again", "real/id1"), ("real/id2", "real/id1"), ("fake/id1", "real/id1")],
)
def test_folder_that_links_show_twice_is_refused(tmp_path: Path, link: str, target: str) -> None:
    touch(tmp_path, "real/id1/a.mp4", "fake/id3/b.mp4")
    (tmp_path / link).symlink_to(tmp_path / target)
    with pytest.raises(UserError, match="are the same folder: remove the link"):
        load_catalog(DataConfig(kind="folder", root=str(tmp_path)))


def test_folders_linked_to_one_another_end_at_once(tmp_path: Path) -> None:
    """2 ** 30 paths lead to the last one."""
    for level in range(30):
        for name in "ab":
            (tmp_path / f"{level}").mkdir(exist_ok=True)
            (tmp_path / f"{level}" / name).symlink_to(tmp_path / f"{level + 1}")
    touch(tmp_path, "30/x.mp4", "fake/x.mp4")
    (tmp_path / "real").symlink_to(tmp_path / "0")
    with pytest.raises(UserError, match="are the same folder"):
        load_catalog(DataConfig(kind="folder", root=str(tmp_path)))


@pytest.mark.parametrize(
    ("keys", "message"), [(["real/a.mp4"], "fake is no folder"), (["real/a.mp4", "fake/a.txt"], "fake holds no video")]
)
def test_folder_needs_both_classes(tmp_path: Path, keys: list[str], message: str) -> None:
    touch(tmp_path, *keys)
    with pytest.raises(UserError, match=message):
        load_catalog(DataConfig(kind="folder", root=str(tmp_path)))


# CSV


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
        (Label.REAL, "x/a.mp4", "-"),
        (Label.FAKE, "y/a.mp4", "unknown"),
    ]
    assert "no identity column" in caplog.text


def test_csv_merges_identical_rows(tmp_path: Path) -> None:
    records = csv_catalog(tmp_path, "path,label", "b.mp4,real", "a.mp4,fake", "./b.mp4,0")
    assert [record.key for record in records] == ["b.mp4", "a.mp4"]


@pytest.mark.parametrize(
    ("lines", "columns", "message"),
    [
        (["path,label", "a.mp4,true"], {}, "row 2: the label 'true' is none of real, 0, fake, 1"),
        (["path,label", "a.mp4"], {}, "row 2: the label '' is none of"),
        (["path,label,identity", "a.mp4,real,"], {}, "row 2: the identity is empty"),
        (["path,label", "a.mp4,real", "a.mp4,fake"], {}, "row 3 contradicts row 2 on a.mp4"),
        (["path,label", "../a.mp4,real"], {}, r"row 2: the path '\.\./a\.mp4' holds"),
        (["path,label", "a.mp4,real"], {"identity": "person"}, "no column person; its columns are path, label"),
        (["path,label", "a.mp4,real"], {"identiy": "path"}, r"'identiy', .* did you mean identity\?"),
        (["file,label", "a.mp4,real"], {}, "no column path; its columns are file, label"),
        (["path,label"], {}, "names no video"),
        (["path,label", "a/B.mp4,real", "A/b.mp4,fake"], {}, "a/B.mp4 and A/b.mp4 would be one file on some disks"),
        (["path,label", "\u00e9.mp4,real", "e\u0301.mp4,fake"], {}, "would be one file on some disks"),
        (["path,label,identity", 'a.mp4,real,"a\nb"'], {}, r"row 2: the identity 'a\\nb' holds a control character"),
        (["path,label,generator", "a.mp4,fake,\x1b[2J"], {}, "row 2: the generator .* holds a control character"),
        (["path,label", "a.mp4," + "x" * 10**6], {}, "row 2: the label .* is none of"),
    ],
)
def test_wrong_csv_is_refused(tmp_path: Path, lines: list[str], columns: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        csv_catalog(tmp_path, *lines, columns=columns)


def test_shared_clips_are_read_and_all_there(clips_root: Path) -> None:
    columns = {"path": "file", "identity": "person"}
    index = str(clips_root / "clips.csv")
    config = DataConfig(kind="csv", root=str(clips_root), index=index, columns=columns, max_missing=0)
    records = load_catalog(config)
    with (clips_root / "clips.csv").open(newline="") as file:
        listed = Counter(Label[row["label"].upper()] for row in csv.DictReader(file))
    assert Counter(record.label for record in records) == listed
    assert min(listed.values()) > 40
    assert all((record.generator == "-") == (record.label is Label.REAL) for record in records)
    assert check_present(records, config) == set()


# Presence


def test_few_missing_files_are_returned_and_many_are_an_error(tmp_path: Path) -> None:
    records = [VideoRecord(f"{name}.mp4", Label.REAL, name) for name in "abcd"]
    touch(tmp_path, "b.mp4", "c.mp4", "d.mp4")
    assert check_present(records, DataConfig(root=str(tmp_path), max_missing=0.25)) == {"a.mp4"}
    with pytest.raises(UserError, match=f"1 of 4 videos are missing, the first is {tmp_path}/a.mp4: .*{tmp_path}, to"):
        check_present(records, DataConfig(root=str(tmp_path), max_missing=0.24))


def test_what_is_no_file_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    (tmp_path / "itself.mp4").symlink_to(tmp_path / "itself.mp4")
    keys = {"folder.mp4", "pipe.mp4", "device.mp4", "itself.mp4", "x" * 300 + ".mp4", "/".join(["x" * 200] * 30)}
    records = [VideoRecord(key, Label.REAL, "a") for key in sorted(keys)]
    assert check_present(records, DataConfig(root=str(tmp_path), max_missing=1)) == keys


def test_file_named_as_the_version_of_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a.mp4@crf28 and a.mp4@crf28 would be one file"):
        csv_catalog(tmp_path, "path,label", "a.mp4,real", "a.mp4@crf28,fake", conditions=("crf28",))


def test_pseudo_fakes_are_made_of_reals_alone(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("path,label,identity\na.mp4,real,ann\nb.mp4,fake,bob\n")
    records = load_catalog(DataConfig(kind="csv", root=str(tmp_path), forgeries=2, conditions=("crf28",)))
    assert [(r.key, r.label, r.generator) for r in records] == [
        ("a.mp4", Label.REAL, "-"),
        ("a.mp4@crf28", Label.REAL, "-"),
        ("a.mp4@forged0", Label.FAKE, "pseudo"),
        ("a.mp4@forged0@crf28", Label.FAKE, "pseudo"),
        ("a.mp4@forged1", Label.FAKE, "pseudo"),
        ("a.mp4@forged1@crf28", Label.FAKE, "pseudo"),
        ("b.mp4", Label.FAKE, "unknown"),
        ("b.mp4@crf28", Label.FAKE, "unknown"),
    ]


def test_reencoded_versions_follow_their_video(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("path,label,identity\na@crf28.mp4,real,ann\nb.mp4,fake,bob\n")
    records = load_catalog(DataConfig(kind="csv", root=str(tmp_path), conditions=("crf23", "crf28")))
    assert [(r.key, r.path, r.condition, r.identity) for r in records] == [
        ("a@crf28.mp4", "a@crf28.mp4", "raw", "ann"),
        ("a@crf28.mp4@crf23", "a@crf28.mp4", "crf23", "ann"),
        ("a@crf28.mp4@crf28", "a@crf28.mp4", "crf28", "ann"),
        ("b.mp4", "b.mp4", "raw", "bob"),
        ("b.mp4@crf23", "b.mp4", "crf23", "bob"),
        ("b.mp4@crf28", "b.mp4", "crf28", "bob"),
    ]


def test_a_fake_names_its_real_by_path_or_stem(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text(
        "path,label,identity,pair,family,audio\nreal/a.mp4,real,ann,-,studio,own\nfake/a.mp4,fake,ann,a,studio,dubbed\n"
        "fake/b.mp4,fake,ann,real/a.mp4,,\nfake/c.mp4,fake,ann,gone,,\nfake/d.mp4,fake,ann,-,,\n"
    )
    records = load_catalog(DataConfig(kind="csv", root=str(tmp_path)))
    assert [record.pair for record in records] == ["", "real/a.mp4", "real/a.mp4", "", ""]
    assert (records[1].family, records[1].audio) == ("studio", "dubbed")


def test_the_seed_of_a_video_follows_from_its_name() -> None:
    assert seed_of("0 a.mp4") == seed_of("0 a.mp4")
    assert len({seed_of(f"{number} {name}") for name in ("a.mp4", "b.mp4") for number in range(3)}) == 6
