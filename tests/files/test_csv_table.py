"""CSV files: what is read, what is refused in one line, and what a spreadsheet would run."""

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipinc.errors import UserError
from lipinc.files.csv_table import guard_formula, read_table, unguard_formula


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_table_reads_either_newline_and_a_byte_order_mark(tmp_path: Path, encoding: str, newline: str) -> None:
    (tmp_path / "t.csv").write_bytes(newline.join(["path,note", "a,é", "", "b", ""]).encode(encoding))
    table = read_table(tmp_path / "t.csv")
    assert table.columns == ("path", "note")
    assert table.rows == [(2, {"path": "a", "note": "é"}), (4, {"path": "b", "note": ""})]


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
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "=cmd|' /C calc'!A0", "'=1", "-"]
)
def test_formula_is_guarded(text: str) -> None:
    assert guard_formula(text) == "'" + text


@pytest.mark.parametrize("text", ["", "a=1", "real/-1.mp4", "'quoted'", "1-1", "é", "O'Hara"])
def test_plain_text_is_left_alone(text: str) -> None:
    assert guard_formula(text) == text == unguard_formula(text)


@given(st.text(st.sampled_from("'=+-@ \t\r\na"), max_size=6) | st.text())
def test_guarded_text_is_no_formula_and_comes_back(text: str) -> None:
    assert unguard_formula(guard_formula(text)) == text
    assert guard_formula(text).lstrip()[:1] not in ("=", "+", "-", "@")
