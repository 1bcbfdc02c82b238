"""Splits: no person is in two, both labels are in each, shares hold in every stratum, and a saved split comes back."""

import logging
import random
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipinc.config import SplitConfig
from lipinc.datasets import FakeAVCeleb
from lipinc.datasets.dataset import load_videos
from lipinc.datasets.records import Label, VideoRecord
from lipinc.datasets.splits import EXCLUDED, SPLITS, assign_splits, summary, write_splits
from lipinc.errors import UserError


def pair(person: str, split: str = "", targets: tuple[str, ...] = (), **traits: str) -> list[VideoRecord]:
    """A real and a fake video of a person."""
    return [
        VideoRecord(f"real/{person}.mp4", Label.REAL, person, split=split, **traits),
        VideoRecord(f"fake/{person}.mp4", Label.FAKE, person, targets, split=split, **traits),
    ]


def people(count: int) -> list[VideoRecord]:
    return [record for number in range(count) for record in pair(f"p{number}")]


def people_by_split(records: list[VideoRecord], splits: dict[str, str]) -> dict[str, set[str]]:
    members = defaultdict(set)
    for record in records:
        members[splits[record.key]].add(record.identity)
    return members


@st.composite
def catalogues(draw: st.DrawFn) -> list[VideoRecord]:
    """Any mixture of people with reals, fakes or both, races and genders that even contradict each other."""
    videos = draw(
        st.lists(
            st.tuples(st.integers(0, 40), st.sampled_from(Label), st.sampled_from("xyz"), st.sampled_from(["", "m"])),
            min_size=1,
            max_size=80,
        )
    )
    return [
        VideoRecord(f"{number}.mp4", label, f"p{person}", race=race, gender=gender)
        for number, (person, label, race, gender) in enumerate(videos)
    ]


configs = st.one_of(
    st.builds(SplitConfig, seed=st.integers(0, 5)),
    st.builds(SplitConfig, train=st.just(0.4), validation=st.just(0.3), test=st.just(0.3)),
    st.integers(3, 6).flatmap(
        lambda folds: st.builds(SplitConfig, folds=st.just(folds), fold=st.integers(0, folds - 1))
    ),
)


@given(catalogues(), configs)
@settings(max_examples=200, deadline=None)
def test_a_draw_never_shares_a_person_and_fills_every_class_it_can(
    records: list[VideoRecord], config: SplitConfig
) -> None:
    holders = [len({record.identity for record in records if record.label is label}) for label in Label]
    try:
        splits = assign_splits(records, config)
    except UserError:
        assert min(holders) < (config.folds or 3)
        return
    assert splits.keys() == {record.key for record in records}
    members = people_by_split(records, splits)
    assert sum(len(found) for found in members.values()) == len({record.identity for record in records})
    assert {(splits[record.key], record.label) for record in records} == {(s, label) for s in SPLITS for label in Label}


@given(catalogues(), configs, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_of_records_does_not_matter(
    records: list[VideoRecord], config: SplitConfig, shuffler: random.Random
) -> None:
    shuffled = list(records)
    shuffler.shuffle(shuffled)
    try:
        splits = assign_splits(records, config)
    except UserError:
        with pytest.raises(UserError):
            assign_splits(shuffled, config)
    else:
        assert assign_splits(shuffled, config) == splits


@given(st.lists(st.integers(1, 25), min_size=1, max_size=12), st.integers(0, 100))
@settings(max_examples=100, deadline=None)
def test_sizes_are_within_a_person_of_the_shares(strata: list[int], seed: int) -> None:
    # Thirty people of a stratum of their own, so that no share is too small for both labels.
    sizes = {"many": 30} | {f"r{number}": size for number, size in enumerate(strata)}
    records = [r for race, size in sizes.items() for number in range(size) for r in pair(f"{race}-{number}", race=race)]
    splits = assign_splits(records, SplitConfig(seed=seed))
    shares = {"train": 0.7, "validation": 0.1, "test": 0.2}
    found = Counter((splits[r.key], r.race) for r in records if r.label is Label.REAL)
    for split, share in shares.items():
        assert abs(sum(found[split, race] for race in sizes) - share * sum(sizes.values())) <= 1
        for race, size in sizes.items():
            assert abs(found[split, race] - share * size) <= 1


@pytest.mark.parametrize(("shares", "sizes"), [((0.29, 0.01, 0.7), (29, 1, 70)), ((0.98, 0.01, 0.01), (98, 1, 1))])
def test_shares_are_taken_as_typed(shares: tuple[float, ...], sizes: tuple[int, ...]) -> None:
    records = people(100)
    members = people_by_split(records, assign_splits(records, SplitConfig(0, *shares)))
    assert tuple(len(members[split]) for split in SPLITS) == sizes


def test_three_people_make_three_splits() -> None:
    records = people(3)
    assert {len(found) for found in people_by_split(records, assign_splits(records, SplitConfig())).values()} == {1}


def test_the_seed_changes_who_not_how_many() -> None:
    records = people(40)
    first, second = (people_by_split(records, assign_splits(records, SplitConfig(seed=seed))) for seed in (0, 1))
    assert first != second
    assert {split: len(found) for split, found in first.items()} == {s: len(found) for s, found in second.items()}


def test_folds_test_everybody_once_and_validate_on_the_next_fold() -> None:
    records = people(23)
    folds = [people_by_split(records, assign_splits(records, SplitConfig(folds=5, fold=fold))) for fold in range(5)]
    tested = [person for fold in folds for person in fold["test"]]
    assert sorted(tested) == sorted({record.identity for record in records})
    for fold, following in zip(folds, folds[1:] + folds[:1], strict=True):
        assert fold["validation"] == following["test"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 0.8}, r"must not be negative and sum to 1, not 0\.8 \+ 0\.1 \+ 0\.2"),
        ({"train": 0.8, "validation": 0.0}, "leaves validation without a real video"),
        ({"train": float("nan")}, "must not be negative"),
        ({"folds": 2}, "at least 3 folds"),
        ({"folds": 5, "fold": 5}, "split.fold 5 of split.folds 5"),
        ({"folds": 5, "fold": -1}, "split.fold -1"),
        ({"folds": 5, "file": "splits.csv"}, "split.folds .* cannot be combined"),
    ],
)
def test_impossible_settings_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        assign_splits(people(20), SplitConfig(**options))


def test_an_empty_class_is_refused_by_name() -> None:
    fakes_of_two = [record for record in people(20) if record.label is Label.REAL or record.identity in ("p1", "p2")]
    with pytest.raises(UserError, match=r"leaves \w+ without a fake video: .* the data set has 2;"):
        assign_splits(fakes_of_two, SplitConfig())
    with pytest.raises(UserError, match="no video to split"):
        assign_splits([], SplitConfig())


def test_real_videos_alone_can_be_evaluated_and_not_trained_on() -> None:
    reals = [record for record in people(20) if record.label is Label.REAL]
    with pytest.raises(UserError, match="the data set has no fake video: .*can be evaluated: lipinc evaluate"):
        assign_splits(reals, SplitConfig())
    everybody = SplitConfig(train=0.0, validation=0.0, test=1.0)
    assert set(assign_splits(reals, everybody, ("test",), both_classes=False).values()) == {"test"}
    with pytest.raises(UserError, match="the data set has no fake video"):
        assign_splits(reals, everybody, ("test",))


# Targets


def test_target_disjoint_excludes_fakes_driven_by_another_split() -> None:
    records = [
        *pair("a", "train", ("b",)),
        *pair("b", "train", ("b", "unheard")),
        *pair("v", "val"),
        *pair("t", "test"),
        VideoRecord("fake/t2.mp4", Label.FAKE, "t", ("t", "a"), split="test"),
        VideoRecord("real/t2.mp4", Label.REAL, "t", ("a",), split="test"),
    ]
    plain = assign_splits(records, SplitConfig())
    disjoint = assign_splits(records, SplitConfig(target_disjoint=True))
    assert EXCLUDED not in plain.values()
    assert disjoint == {**plain, "fake/t2.mp4": EXCLUDED}


def test_target_disjoint_that_empties_a_class_says_so() -> None:
    records = [*pair("a", "train"), *pair("v", "val"), *pair("t", "test", ("a",))]
    with pytest.raises(UserError, match="with split.target_disjoint leaves test without a fake video"):
        assign_splits(records, SplitConfig(target_disjoint=True))


# Given splits


def test_the_index_column_is_taken_under_its_usual_names() -> None:
    records = [*pair("a", "Train"), *pair("b", "valid"), *pair("c", "TEST"), *pair("d", "dev"), *pair("e", "excluded")]
    splits = assign_splits(records, SplitConfig())
    assert [splits[f"real/{person}.mp4"] for person in "abcde"] == [
        "train",
        "validation",
        "test",
        "validation",
        EXCLUDED,
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pair("d"), r"real/d\.mp4: no split"),
        (pair("d", "tset"), r"real/d\.mp4: unknown split 'tset': did you mean test\?"),
        ([VideoRecord("x.mp4", Label.REAL, "a", split="test")], "puts a in train and in test"),
    ],
)
def test_a_faulty_index_column_is_refused(change: list[VideoRecord], message: str) -> None:
    records = [*pair("a", "train"), *pair("b", "val"), *pair("c", "test"), *change]
    with pytest.raises(UserError, match=message):
        assign_splits(records, SplitConfig())


def from_file(folder: Path, records: list[VideoRecord], *lines: str) -> dict[str, str]:
    file = folder / "given.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return assign_splits(records, SplitConfig(file=str(file)))


def test_a_file_may_name_people_and_wins_over_the_column(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records = [record for person in "abcd" for record in pair(person, "train")]
    with caplog.at_level(logging.WARNING):
        splits = from_file(tmp_path, records, "identity,split", "a,train", "b,val", "c,test", "z,test", "y,test")
    assert [splits[f"fake/{person}.mp4"] for person in "abcd"] == ["train", "validation", "test", EXCLUDED]
    assert "2 entries of " in caplog.text and "that match no identity of the data set" in caplog.text
    assert "excluding 2 of 8 videos" in caplog.text


def test_a_file_may_name_paths(tmp_path: Path) -> None:
    records = people(3)
    lines = [f"./{r.key},{SPLITS[int(r.identity[1])]}" for r in records]
    splits = from_file(tmp_path, records, "path,split", *lines)
    assert all(splits[r.key] == SPLITS[int(r.identity[1])] for r in records)


def test_a_file_may_write_names_in_another_unicode_form_and_columns_in_any_case(tmp_path: Path) -> None:
    records = [replace(r, path=r.path.replace("p", "Jos\u00e9")) for r in people(3)]
    lines = [f"{r.path.replace(chr(0xE9), 'e' + chr(0x301))},{SPLITS[int(r.identity[1])]}" for r in records]
    splits = from_file(tmp_path, records, "Path;SPLIT", *(line.replace(",", ";") for line in lines))
    assert all(splits[r.key] == SPLITS[int(r.identity[1])] for r in records)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path,split", "real/p0.mp4,train", "fake/p0.mp4,test"], "puts p0 in train and in test"),
        (["identity,split", "p0,train", "p0,test"], "row 3: p0 is in test and in train"),
        (["identity,split", "someone,train"], "contains no identity of the data set"),
        (["identity,split", "p0,trian"], r"row 2: unknown split 'trian': did you mean train\?"),
        (["identity,split", "p0,train", "p1,test"], "leaves validation without a real video"),
        (["name,split", "p0,train"], "has no column path; its columns are name, split"),
        (["identity,set", "p0,train"], "has no column split"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_file(tmp_path, people(4), *lines)


names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).filter(
    lambda name: name.strip() == name and not set(name) & set("/\\") and name not in (".", "..") and name[1:2] != ":"
)


@given(st.lists(names, min_size=3, max_size=12, unique=True))
@settings(max_examples=60, deadline=None)
def test_written_splits_come_back(tmp_path_factory: pytest.TempPathFactory, persons: list[str]) -> None:
    records = [record for person in persons for record in pair(person)]
    splits = assign_splits(records, SplitConfig())
    file = tmp_path_factory.mktemp("run") / "deep" / "splits.csv"
    write_splits(file, records, splits)
    assert assign_splits(records, SplitConfig(file=str(file))) == splits
    assert [path.name for path in file.parent.iterdir()] == ["splits.csv"]


def test_summary_counts_people_and_videos() -> None:
    records = [*pair("a", "train"), *pair("b", "val"), *pair("c", "test"), *pair("d", "excluded")]
    records += [VideoRecord(f"{number}.mp4", Label.FAKE, "a", split="train") for number in range(1999)]
    assert summary(records, assign_splits(records, SplitConfig())) == (
        "train 1 people, 1 real + 2 000 fake; validation 1 people, 1 real + 1 fake; test 1 people, 1 real + 1 fake; "
        "excluded 1 people, 1 real + 1 fake"
    )


# The real index


def test_fakeavceleb_is_split_alike_in_every_race_and_gender(fakeavceleb_index: Path) -> None:
    records = load_videos(FakeAVCeleb(root="anywhere", index=str(fakeavceleb_index)))
    splits = assign_splits(records, SplitConfig())
    reals = Counter((r.race, r.gender, splits[r.key]) for r in records if r.label is Label.REAL)
    assert len(reals) == 30
    assert all(count == {"train": 35, "validation": 5, "test": 10}[split] for (*_, split), count in reals.items())

    disjoint = assign_splits(records, SplitConfig(target_disjoint=True))
    split_of = {r.identity: splits[r.key] for r in records}
    kept = [r for r in records if disjoint[r.key] != EXCLUDED]
    assert all(split_of.get(target, disjoint[r.key]) == disjoint[r.key] for r in kept for target in r.targets)
    assert 0 < len(records) - len(kept) < len(records) / 2


def test_versions_of_a_video_stay_together_and_a_written_split_names_files(tmp_path: Path) -> None:
    originals = people(6)
    records = [
        version
        for record in originals
        for version in (
            record,
            replace(record, condition="crf28"),
            record.forged(0),
            replace(record.forged(1), condition="crf28"),
        )
    ]
    splits = assign_splits(records, SplitConfig())
    assert splits.items() >= assign_splits(originals, SplitConfig()).items()
    assert all(splits[record.key] == splits[record.path] for record in records)
    write_splits(tmp_path / "splits.csv", records, splits)
    assert len((tmp_path / "splits.csv").read_text().splitlines()) == 1 + len(originals)
    assert assign_splits(records, SplitConfig(file=str(tmp_path / "splits.csv"))) == splits


# Sources apart


def of_sources(seed: int) -> list[VideoRecord]:
    """Videos of 60 people in 20 sources of very different sizes; some people appear in two sources."""
    rng = random.Random(seed)
    records = []
    for number in range(60):
        for source in rng.sample(range(20), 1 + (number % 5 == 0)):
            found = pair(f"p{number}", family=f"s{source // (1 + number % 3)}")[: 1 + (number % 4 != 0)]
            records += [replace(record, path=f"{source}/{record.path}") for record in found]
    return records


@pytest.mark.parametrize("seed", range(5))
def test_no_source_and_no_person_is_in_two_splits(seed) -> None:
    records = of_sources(seed)
    tested = Counter()
    for fold in range(4):
        config = SplitConfig(folds=4, fold=fold, apart="family", seed=seed)
        splits = assign_splits(records, config)
        for name in ("family", "identity"):
            found = defaultdict(set)
            for record in records:
                if splits[record.key] != EXCLUDED:
                    found[getattr(record, name)].add(splits[record.key])
            assert all(len(names) == 1 for names in found.values())
        tested.update(record.key for record in records if splits[record.key] == "test")
        for record in records:  # who is tested is left out of training, wherever else he appears
            if splits[record.key] == EXCLUDED:
                others = {splits[r.key] for r in records if r.identity == record.identity} - {EXCLUDED}
                assert others in ({"test"}, {"validation"})
    assert set(tested) == {record.key for record in records} and set(tested.values()) == {1}


def test_sources_apart_are_spread_over_the_folds_and_depend_on_the_seed() -> None:
    records = of_sources(1)
    sizes = Counter()
    draws = set()
    for seed in range(4):
        splits = assign_splits(records, SplitConfig(folds=5, fold=2, apart="family", seed=seed))
        assert splits == assign_splits(records[::-1], SplitConfig(folds=5, fold=2, apart="family", seed=seed))
        draws.add(tuple(sorted(key for key, split in splits.items() if split == "test")))
        sizes.update(splits.values())
    assert len(draws) > 1 and sizes["test"] > 0.08 * 4 * len(records)


def test_sources_apart_need_a_known_column_and_a_source_for_every_video() -> None:
    with pytest.raises(UserError, match="there is no column 'source'"):
        assign_splits(people(9), SplitConfig(apart="source"))
    with pytest.raises(UserError, match="real/p0.mp4 has no family"):
        assign_splits(people(9), SplitConfig(apart="family"))
