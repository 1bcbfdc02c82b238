"""FakeAVCeleb: what is taken from its index, under which key and label, and what is refused."""

from collections import Counter
from pathlib import Path

import pytest

from lipinc.datasets import FakeAVCeleb
from lipinc.datasets.dataset import load_videos
from lipinc.datasets.fakeavceleb import read_fakeavceleb_index, unique_files
from lipinc.datasets.records import Label, VideoRecord
from lipinc.errors import UserError
from tests.datasets.test_folder import touch

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
    return load_videos(FakeAVCeleb(root=str(folder), **options))


@pytest.mark.parametrize("name", ["absent.csv", "."])
def test_index_that_cannot_be_opened_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot read"):
        load_videos(FakeAVCeleb(root=str(tmp_path), index=str(tmp_path / name)))


def test_fakeavceleb_record_is_complete(tmp_path: Path) -> None:
    real, fake = fakeavceleb(tmp_path, REAL, FAKE)
    assert real == VideoRecord(
        path=REAL_KEY,
        label=Label.REAL,
        identity="id00076",
        method="real",
        category="A",
        race="African",
        gender="men",
        audio="RealAudio",
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
        audio="RealAudio",
    )


def test_audio_tells_the_fakes_of_category_c_from_those_of_d(tmp_path: Path) -> None:
    other = FAKE.replace(",C,", ",D,").replace("FakeVideo-RealAudio", "FakeVideo-FakeAudio")
    records = fakeavceleb(tmp_path, REAL, RTVC, FAKE, other, include_rtvc=True)
    assert [record.category for record in records] == ["A", "B", "C", "D"]
    assert [record.audio for record in records] == ["RealAudio", "FakeAudio"] * 2
    assert records[2].path.rpartition("/")[2] == records[3].path.rpartition("/")[2]  # one base name, two videos


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
        ("real", Label.REAL, ""),
        ("rtvc", Label.REAL, ""),
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
        (FAKE.replace("FakeAVCeleb_v1.2", ".."), r"row 3: the path .* contains '\.\.'"),
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
    with pytest.raises(UserError, match="lists no usable video"):
        fakeavceleb(tmp_path, RTVC)


def test_real_index_has_the_known_counts(fakeavceleb_index: Path) -> None:
    rows = read_fakeavceleb_index(fakeavceleb_index)
    methods = Counter(row.method for row in rows)
    assert (len(rows), len(unique_files(rows)), methods["real"], methods["wav2lip"]) == (21566, 21544, 500, 9602)

    records = load_videos(FakeAVCeleb(root="anywhere", index=str(fakeavceleb_index)))
    assert Counter(record.label for record in records) == {Label.REAL: 500, Label.FAKE: 9602}
    assert len({record.key for record in records}) == len(records)
    assert records[0].key == REAL_KEY
    # The 22 files listed twice: under the method that counts.
    swapped = load_videos(
        FakeAVCeleb(root="anywhere", index=str(fakeavceleb_index), fake_methods=("wav2lip", "faceswap-wav2lip"))
    )
    assert len(swapped) == 500 + 9602 + 2717 - 22


def test_real_index_reads_the_same_in_the_official_form(tmp_path: Path, fakeavceleb_index: Path) -> None:
    text = fakeavceleb_index.read_text(encoding="utf-8").replace("filename,path", "path,", 1)
    official = write(tmp_path / "meta_data.csv", text, newline="\r\n", encoding="utf-8-sig")
    assert read_fakeavceleb_index(official) == read_fakeavceleb_index(fakeavceleb_index)


@pytest.mark.parametrize("index", ["meta_data.csv", "FakeAVCeleb_v1.2/meta_data.csv"])
def test_data_set_that_was_unpacked_too_deep_is_found(tmp_path: Path, index: str) -> None:
    touch(tmp_path, f"FakeAVCeleb_v1.2/{REAL_KEY}", "FakeAVCeleb_v1.2/FakeVideo-RealAudio/x.mp4")
    write(tmp_path / index, HEADER.upper(), REAL, FAKE)
    data = FakeAVCeleb(root=str(tmp_path))
    real, fake = load_videos(data)
    assert (real.path, fake.pair) == (f"FakeAVCeleb_v1.2/{REAL_KEY}",) * 2
    assert (tmp_path / real.path).is_file() and data.index_file() == tmp_path / index


def test_a_missing_index_says_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read .*meta_data.csv .*: set data.root to the folder that contains"):
        load_videos(FakeAVCeleb(root=str(tmp_path)))
