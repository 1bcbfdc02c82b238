"""CSV files: what is read, what is refused in one line, and what a spreadsheet would run."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lipinc.errors import UserError
from lipinc.files.csv_table import (
    guard_formula,
    read_own_table,
    read_table,
    table_line,
    unguard_formula,
    write_table,
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_table_reads_either_newline_and_a_byte_order_mark(tmp_path: Path, encoding: str, newline: str) -> None:
    (tmp_path / "t.csv").write_bytes(newline.join(["path,note", "a,é", "", "b", ""]).encode(encoding))
    table = read_table(tmp_path / "t.csv")
    assert table.columns == ("path", "note")
    assert table.rows == [(2, {"path": "a", "note": "é"}), (4, {"path": "b", "note": ""})]


@pytest.mark.parametrize(
    "preamble",
    ["\n\n", "sep=;\r\n", '"sep=;"\n', "# scores of model X\n", "#\n# by A, B\n\n"],
)
def test_what_stands_above_the_header_is_skipped(tmp_path: Path, preamble: str) -> None:
    (tmp_path / "t.csv").write_text(f"\ufeff{preamble}path;score;x\na;1;2\n", newline="")
    assert read_table(tmp_path / "t.csv").rows == [(2 + preamble.count("\n"), {"path": "a", "score": "1", "x": "2"})]


@pytest.mark.parametrize("first", ["#", "# path"])
def test_a_header_may_begin_as_a_comment(tmp_path: Path, first: str) -> None:
    (tmp_path / "t.csv").write_text(f"{first},score\n#1,2\n#2,3\n")
    assert read_table(tmp_path / "t.csv").rows == [(2, {first: "#1", "score": "2"}), (3, {first: "#2", "score": "3"})]


def test_table_reads_large_cells_and_leaves_the_limit_alone(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    note = "x" * (2 * limit)
    (tmp_path / "t.csv").write_text(f"note\n{note}\n")
    assert read_table(tmp_path / "t.csv").rows == [(2, {"note": note})]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path\nJosé.mp4\n".encode("latin-1"), "is not UTF-8"),
        ("path\na.mp4\n".encode("utf-16"), "is not UTF-8"),
        ("path\na.mp4\n".encode("utf-16-le"), "is not UTF-8"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "is not UTF-8"),
        (b"\n\n\n", "has no header"),
        (b"", "has no header"),
        (b"path,path\na,b\n", "column path more than once"),
        (b"path,label\na,b.mp4,real\n", "row 2 has 3 cells for 2 columns"),
        (b'path\n"a.mp4\n', "is not valid CSV"),
    ],
)
def test_broken_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_table(tmp_path / "t.csv")


def test_table_of_100_000_columns_is_read(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(100_000)]
    (tmp_path / "t.csv").write_text(",".join(names) + "\n" + ",".join("x" * len(names)) + "\n")
    table = read_table(tmp_path / "t.csv")
    assert table.columns == tuple(names) and len(table.rows) == 1
    with pytest.raises(UserError, match=r"has no column path; its columns are c0, .*, c19 and 99980 more$"):
        table.require(["path"])


@pytest.mark.parametrize("kind", ["pipe", "device", "link to itself"])
def test_what_is_no_file_is_no_table(tmp_path: Path, kind: str) -> None:
    """None of them is waited for."""
    path = tmp_path / "t.csv"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path)
    with pytest.raises(UserError, match=r"cannot read .*t\.csv"):
        read_table(path)


# Formulas


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "=cmd|' /C calc'!A0", "'=1", "-x"]
)
def test_formula_is_guarded(text: str) -> None:
    assert guard_formula(text) == "'" + text


@pytest.mark.parametrize("text", ["", "-", "=", " +", "'-", "a=1", "real/-1.mp4", "'quoted'", "1-1", "é", "O'Hara"])
def test_plain_text_is_left_alone(text: str) -> None:
    assert guard_formula(text) == text == unguard_formula(text)


CELLS = st.text(st.sampled_from("'=+-@ \t\r\n\",a"), max_size=6) | st.text()


@given(CELLS)
def test_guarded_text_is_no_formula_and_comes_back(text: str) -> None:
    guarded = guard_formula(text)
    assert unguard_formula(guarded) == text
    assert len(guarded.lstrip()) == 1 or guarded.lstrip()[:1] not in ("=", "+", "-", "@")  # a sign alone is no formula


# What is written


def test_there_is_one_dialect(tmp_path: Path) -> None:
    """UTF-8, commas, LF; quotes where they must be; None is an empty cell; numbers keep all their digits."""
    rows = [
        {"name": "a", "value": 0.1 + 0.2, "count": 3},
        {"name": 'é, "quoted"', "value": None, "count": np.int64(4)},
        {"name": "-", "value": np.float64(-1.5), "count": True},
        {"name": "=1", "value": float("nan"), "count": "-1"},
    ]
    write_table(tmp_path / "t.csv", ("name", "value", "count"), rows)
    assert (tmp_path / "t.csv").read_bytes().decode() == (
        'name,value,count\na,0.30000000000000004,3\n"é, ""quoted""",,4\n-,-1.5,True\n\'=1,nan,\'-1\n'
    )
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


@given(st.lists(st.fixed_dictionaries({"a": CELLS, "b": CELLS}), max_size=4))
@example([{"a": "carriage\rreturn", "b": "line\nbreak"}, {"a": "\r\n", "b": "not utf-8 \udcff"}])
def test_a_written_table_comes_back_to_every_reader(tmp_path_factory, rows: list[dict[str, str]]) -> None:
    rows = [{name: cell.replace("\0", "") for name, cell in row.items()} for row in rows]
    for row in rows:
        for cell in row.values():
            assume(not any("\ud800" <= c < "\udc80" for c in cell))  # surrogates of no byte
    file = tmp_path_factory.getbasetemp() / "own.csv"
    write_table(file, ("a", "b"), rows)
    assert read_own_table(file, ("a", "b")) == rows
    with file.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        plain = list(csv.DictReader(stream))
    assert [{name: unguard_formula(cell) for name, cell in row.items()} for row in plain] == rows
    if not any("\udc80" <= c <= "\udcff" for row in rows for cell in row.values() for c in cell):
        read = [row for _, row in read_table(file).rows]
        kept = [row for row in rows if any(row.values())]  # a reader of foreign tables skips empty rows
        assert [{name: unguard_formula(cell) for name, cell in row.items()} for row in read] == kept


def test_lines_are_appended_as_tables_are_written(tmp_path: Path) -> None:
    rows = [{"a": "one, two", "b": 1}, {"a": "=1", "b": None}]
    write_table(tmp_path / "whole.csv", ("a", "b"), rows)
    appended = table_line(("a", "b")) + "".join(table_line(row.values()) for row in rows)
    assert (tmp_path / "whole.csv").read_text() == appended


def test_an_unfinished_last_line_is_left_out(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", ("a", "b"), [{"a": "x", "b": "1"}, {"a": "y", "b": "23"}])
    whole = (tmp_path / "t.csv").read_bytes()
    for cut in range(1, len(b"y,23\n")):
        (tmp_path / "t.csv").write_bytes(whole[:-cut])  # "y,2" would be a row to a careless reader
        assert read_own_table(tmp_path / "t.csv", ("a", "b")) == [{"a": "x", "b": "1"}]
    (tmp_path / "t.csv").write_bytes(b"a,")
    assert read_own_table(tmp_path / "t.csv", ("a", "b")) == []


def test_a_table_of_other_columns_or_with_damaged_rows_is_not_read(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", ("a", "b"), [{"a": "x", "b": "1"}])
    assert read_own_table(tmp_path / "t.csv", ("a", "c")) is None
    for damaged in (b"a,b\nx\n", b"a,b\nx,1,2\n", b'a,b\n"x,1\n'):
        (tmp_path / "t.csv").write_bytes(damaged)
        with pytest.raises(ValueError):
            read_own_table(tmp_path / "t.csv", ("a", "b"))
    with pytest.raises(FileNotFoundError):
        read_own_table(tmp_path / "absent.csv", ("a", "b"))


def test_a_huge_cell_comes_back(tmp_path: Path) -> None:
    """Larger than the limit that Python's csv module sets by default."""
    write_table(tmp_path / "t.csv", ("a",), [{"a": "x" * 200_000}])
    assert read_own_table(tmp_path / "t.csv", ("a",)) == [{"a": "x" * 200_000}]
