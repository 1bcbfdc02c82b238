"""Score files of any origin: delimiters, columns, numbers."""

import math

import pytest

from lipinc.comparison.matching import VideoNames
from lipinc.comparison.score_file import find_score_file, read_score, read_score_file, read_score_table
from lipinc.datasets.records import Label, VideoRecord
from lipinc.errors import UserError

VIDEOS = VideoNames(
    [
        VideoRecord(f"{label.name.lower()}/{name}.mp4", label, "ann")
        for name, label in zip("abc", (Label.REAL, Label.FAKE, Label.REAL), strict=True)
    ]
)


def read(tmp_path, text: str | bytes, **columns):
    file = tmp_path / "scores.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_score_file(read_score_table(file), VIDEOS, **columns)


@pytest.mark.parametrize(
    "text",
    [
        "path,score\nreal/a.mp4,0.25\nfake/b.mp4,0.75\n",
        "\ufeffpath;score\r\nreal/a.mp4;0,25\r\nfake/b.mp4;0,75\r\n",
        "File\tP(fake)\nreal/a.mp4\t0.25\nfake/b.mp4\t0.75\n",
        "video|logit\nreal/a.mp4|0.25\nfake/b.mp4|0.75\n",
        "real/a.mp4,0.25\nfake/b.mp4,0.75\n",
        "real/a.mp4;0,25\nfake/b.mp4;0,75\n",
        "real/a.mp4 0.25\nfake/b.mp4 0.75\n",
        "path score\nreal/a.mp4 0.25\nfake/b.mp4 0.75\n",
        ',0,fake_prob,note\nreal/a.mp4,7,0.25,"x, y"\nfake/b.mp4,9,.75,\n',
        "run,path,epoch,score,prediction,label\nm,real/a.mp4,3,0.25,0,0\nm,fake/b.mp4,3,0.75,1,1\n",
        "identity,Score,weird name\nann,0.25,real\\a.mp4\nbob,0.75,fake\\b.mp4\n",
    ],
)
def test_delimiters_headers_and_columns(tmp_path, text):
    file = read(tmp_path, text)
    assert [(row.name, row.score) for row in file.rows] == [("real/a.mp4", 0.25), ("fake/b.mp4", 0.75)]


@pytest.mark.parametrize(
    "text",
    [
        "real/a.mp4,nan\nfake/b.mp4,1\n",
        "real/a.mp4 NaN\nfake/b.mp4 1\n",
        "real/a.mp4,x\nfake/b.mp4,1\n",
        "a,nan\nb,1\n",
    ],
)
def test_a_first_row_without_a_score_is_no_header(tmp_path, text):
    file = read(tmp_path, text)
    assert [row.number for row in file.rows] == [1, 2] and math.isnan(file.rows[0].score)


def test_a_folder_may_have_an_at_sign(tmp_path):
    assert read(tmp_path, "name,score\nuser@host/real/a.mp4,1\n").path_column == "name"


@pytest.mark.parametrize(("values", "is_percent"), [((0.2, 0.9), False), ((20, 90), True), (("0.2%", "0.9%"), True)])
def test_a_fraction_is_no_percentage_whatever_its_column_is_called(tmp_path, values, is_percent):
    file = read(tmp_path, "path,fake_percent\nreal/a.mp4,{}\nfake/b.mp4,{}\n".format(*values))
    assert file.in_percent is is_percent


def test_the_pair_is_not_taken_for_the_path(tmp_path):
    file = read(tmp_path, "pair,key,score\nreal/a.mp4,fake/b.mp4,1\n,real/a.mp4,2\n")
    assert file.path_column == "key"


def test_columns_can_be_named(tmp_path):
    text = "path,p1,p2\nreal/a.mp4,0.1,0.2\n"
    assert read(tmp_path, text, score_column="p2").rows[0].score == 0.2
    with pytest.raises(UserError, match="several columns of numbers: the scores may be in p1, p2; .*--score-column"):
        read(tmp_path, text)
    with pytest.raises(UserError, match="has no column p3; its columns are path, p1, p2"):
        read(tmp_path, text, score_column="p3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,score\nx.mp4,0.5\n", "no column names a video of the index"),
        ("path,note\nreal/a.mp4,hello\n", "has no column of scores: its columns are path, note"),
        ("path,score\n", "no rows below its header"),
        ("path\nreal/a.mp4\n", "single column"),
        ("", "has no header"),
        (b"\xff\xfep\x00", "not UTF-8"),
        ("path,score\nreal/a.mp4,nan\n", "no column of scores"),
        ("path,score\nreal/a.mp4,93%\nfake/b.mp4,-\nreal/c.mp4,0.9\n", "score in row 2 has a percent sign, .* row 4"),
    ],
)
def test_files_that_cannot_be_used_are_one_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("cell", "score"),
    [
        *(("0.5", 0.5), ("0,5", 0.5), (" 93 % ", 93.0), ("-1e-3", -0.001), ("\u22122", -2.0), ("'-0.5", -0.5)),
        *(("inf", math.inf), ("-Infinity", -math.inf), (".5", 0.5), ("5.", 5.0)),
        *(("=1+1", None), ("1_000", None), ("high", None), ("1 2", None), ("0x1", None)),
    ],
)
def test_numbers(cell, score):
    assert read_score(cell) == score


@pytest.mark.parametrize("cell", ["", "NaN", "n/a", "None", "-"])
def test_missing_scores(cell):
    assert math.isnan(read_score(cell))


def test_scores_that_are_no_number_are_named(tmp_path):
    file = read(tmp_path, "path,score\nreal/a.mp4,0.5\nfake/b.mp4,0.7\nreal/c.mp4,=cmd()\n")
    assert file.unreadable == ("row 4: '=cmd()'",)
    assert math.isnan(file.rows[2].score)


def test_conditions_are_no_part_of_the_name(tmp_path):
    file = read(tmp_path, "key,score,condition\nreal/a.mp4,1,raw\nreal/a.mp4@crf28,2,crf28\n")
    assert [(row.name, row.condition) for row in file.rows] == [("real/a.mp4", "raw"), ("real/a.mp4", "crf28")]


@pytest.mark.parametrize("word", ["", "raw", "RAW", " Raw "])
def test_videos_as_they_are_have_one_condition(tmp_path, word):
    assert read(tmp_path, f"key,score,Condition\nreal/a.mp4,1,{word}\n").rows[0].condition == "raw"


def test_names_of_detectors(tmp_path):
    run = tmp_path / "noise"
    run.mkdir()
    with pytest.raises(UserError, match="has no predictions.csv"):
        find_score_file(str(run))
    (run / "predictions.csv").write_text("")
    (tmp_path / "x=y.csv").write_text("")
    assert find_score_file(str(run)) == ("noise", run / "predictions.csv")
    assert find_score_file(f"Ours={run}") == ("Ours", run / "predictions.csv")
    assert find_score_file(str(tmp_path / "x=y.csv")) == ("x=y", tmp_path / "x=y.csv")
