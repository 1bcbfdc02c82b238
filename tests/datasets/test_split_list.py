"""Split lists: the shipped one is what its command makes, and is read by its name and a seed."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from lipinc.commands import splits
from lipinc.config import SplitConfig
from lipinc.datasets import FakeAVCeleb
from lipinc.datasets.dataset import load_videos
from lipinc.datasets.split_list import write_split_list
from lipinc.datasets.splits import SHIPPED, SPLITS, assign_splits
from lipinc.errors import UserError
from lipinc.files.csv_table import read_table
from tests.datasets.test_splits import pair, people

FAKEAVCELEB = SHIPPED / "fakeavceleb.csv"


def test_the_shipped_list_has_35_5_and_10_people_of_every_race_and_gender() -> None:
    table = read_table(FAKEAVCELEB)
    assert table.columns == ("identity", "race", "gender", *(f"split_{seed}" for seed in range(5)))
    rows = [row for _, row in table.rows]
    assert len({row["identity"] for row in rows}) == len(rows) == 500
    for seed in range(5):
        counts = Counter((row["race"], row["gender"], row[f"split_{seed}"]) for row in rows)
        assert len(counts) == 30
        assert all(n == {"train": 35, "validation": 5, "test": 10}[split] for (*_, split), n in counts.items())
    assert len({tuple(row[f"split_{seed}"] for row in rows) for seed in range(5)}) == 5


def test_the_command_makes_the_shipped_list_byte_for_byte(tmp_path: Path, fakeavceleb_index: Path) -> None:
    out = tmp_path / "list.csv"
    splits.main(["--config", "fakeavceleb", "--data.index", str(fakeavceleb_index), "--out", str(out)], "lipinc splits")
    assert out.read_bytes() == FAKEAVCELEB.read_bytes()


def test_the_shipped_list_holds_for_methods_that_not_everybody_was_met_by(fakeavceleb_index: Path) -> None:
    data = FakeAVCeleb(root="anywhere", index=str(fakeavceleb_index), fake_methods=("fsgan-wav2lip",))
    records = load_videos(data)
    listed = {row["identity"]: row["split_3"] for _, row in read_table(FAKEAVCELEB).rows}
    found = assign_splits(records, SplitConfig(file="fakeavceleb", seed=3))
    assert found == {record.key: listed[record.identity] for record in records}


def test_the_seed_chooses_a_split_of_a_list(tmp_path: Path) -> None:
    records, file = people(30), tmp_path / "list.csv"
    assert write_split_list(file, records, SplitConfig(train=0.5, validation=0.2, test=0.3), (2, 7)) == 30
    for seed in (2, 7):
        drawn = assign_splits(records, SplitConfig(seed=seed, train=0.5, validation=0.2, test=0.3))
        assert assign_splits(records, SplitConfig(seed=seed, file=str(file))) == drawn
    with pytest.raises(UserError, match=r"list.csv has no column split_0; its columns .*split_2, split_7"):
        assign_splits(records, SplitConfig(file=str(file)))
    file.write_text(file.read_text().replace("split_7", "split"))  # a split of its own needs no seed
    assert set(assign_splits(records, SplitConfig(file=str(file))).values()) == set(SPLITS)


def test_a_list_of_people_cannot_leave_out_single_videos(tmp_path: Path) -> None:
    records = [record for n in range(40) for record in pair(f"p{n}", family=f"f{n % 8}")]
    records += [replace(pair(f"p{n}", family=f"f{(n + 1) % 8}")[0], path=f"{n}.mp4") for n in range(40)]
    with pytest.raises(UserError, match="some videos of p.* are in .*: a split list names people"):
        write_split_list(tmp_path / "list.csv", records, SplitConfig(apart="family"), (0,))
    assert not (tmp_path / "list.csv").exists()
