"""The manifest and its journal."""

import dataclasses

import pytest

from lipinc.cache.manifest import Journal, ManifestRow, read_manifest, write_manifest
from lipinc.datasets.records import Label, VideoRecord
from lipinc.errors import UserError


def row(key: str, **fields) -> ManifestRow:
    record = VideoRecord(key, Label.FAKE, "id1", targets=("id2", "id3"), generator="wav2lip", race="Asian (East)")
    return ManifestRow(record, **{"status": "ok", "windows": 12, "nearest_windows": 10, **fields})


def test_manifest_round_trip_of_awkward_texts(tmp_path):
    rows = [row('a, "b".mp4', detail='x "y", z'), row("ü/日本.mp4", status="no_face", detail="", windows=0)]
    write_manifest(tmp_path / "m.csv", rows)
    assert read_manifest(tmp_path / "m.csv") == rows


def test_a_journal_cut_off_in_the_middle_of_a_row_loses_that_row_alone(tmp_path):
    file = tmp_path / "journal.csv"
    journal = Journal(file)
    for key in ("one", "two", "three"):
        journal.add(row(key))
    journal.close()
    whole = file.read_bytes()
    file.write_bytes(whole[:-2])  # "...,12,10\n" -> "...,12,1": still a row to a careless reader
    assert [r.record.key for r in read_manifest(file)] == ["one", "two"]
    journal = Journal(file)
    journal.add(row("four"))
    journal.close()
    assert [r.record.key for r in read_manifest(file)] == ["one", "two", "four"]


def test_every_field_of_a_row_comes_back(tmp_path):
    record = VideoRecord(
        "fake/a b.mp4", Label.FAKE, "id1", ("id2", "id3"), "wav2lip", "wav2lip", "C", "Asian (East)", "women", "test",
        "real/a.mp4", "studio", "dubbed", "c23", "0.500-1.250", forgery=2, condition="crf28",
    )  # fmt: skip
    rows = [
        ManifestRow(record, "ok", "", 5, 100, 90, 7, 12, 10, 210.5, -4.5, 0.0, 1e-05, 25.0, None, 4321, "0" * 64),
        ManifestRow(VideoRecord("real/a.mp4", Label.REAL, "id1"), "no_face", "0 faces", 5, 100),
    ]
    for field in dataclasses.fields(record):  # else a new one would not be tested
        assert getattr(record, field.name) != field.default or field.name == "path"
    write_manifest(tmp_path / "m.csv", rows)
    assert read_manifest(tmp_path / "m.csv") == rows
    reals = (tmp_path / "m.csv").read_text().splitlines()[2]
    assert reals.startswith("real/a.mp4,real,id1,,,,,,,,,,,,,,raw,no_face,0 faces,5,100,")  # unknown: an empty cell


def test_a_manifest_without_an_index_column_that_is_new_is_read(tmp_path):
    file = tmp_path / "m.csv"
    rows = [row("a.mp4"), row("b.mp4")]
    write_manifest(file, rows)
    without = [(cells := line.split(","))[:13] + cells[14:] for line in file.read_text().splitlines()]
    assert "compression" in file.read_text() and "compression" not in without[0]
    file.write_text("".join(",".join(cells) + "\n" for cells in without))
    assert read_manifest(file) == rows
    without = [cells[1:] for cells in without]  # any other column is still needed
    file.write_text("".join(",".join(cells) + "\n" for cells in without))
    with pytest.raises(UserError, match="was not written by this version"):
        read_manifest(file)


def test_a_manifest_of_another_version_and_a_damaged_one_are_named(tmp_path):
    file = tmp_path / "m.csv"
    with pytest.raises(UserError, match="no manifest .*m.csv; create it with"):
        read_manifest(file)
    file.write_text("key,label\na,real\n")
    with pytest.raises(UserError, match="was not written by this version of lipinc"):
        read_manifest(file)
    write_manifest(file, [row("a.mp4")])
    for old, new in ((",fake,", ",forged,"), (",12,", ",twelve,")):
        damaged = file.read_text().replace(old, new)
        (tmp_path / "damaged.csv").write_text(damaged)
        with pytest.raises(UserError, match="damaged.csv is damaged"):
            read_manifest(tmp_path / "damaged.csv")
