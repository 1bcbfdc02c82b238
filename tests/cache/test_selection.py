from dataclasses import replace

import pytest

from lipinc.cache.manifest import write_manifest
from lipinc.cache.selection import Selection, select
from lipinc.cache.store import Cache
from lipinc.config import Config
from lipinc.datasets.records import Label
from lipinc.datasets.splits import SPLITS
from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from tests.tiny import tiny_config


def select_of(config: Config) -> Selection:
    return select(Cache.of(config), config.data, config.split)


def test_splits_share_no_person_and_hold_no_refused_video(tmp_path):
    config = tiny_config(tmp_path)
    make_cache(config, people=10, rejected=("fake/person 3/video.mp4",))
    rows = select_of(config).rows
    people = [{row.record.identity for row in rows[split]} for split in SPLITS]
    assert sum(len(group) for group in people) == len(set.union(*people)) == 10
    assert sum(len(rows[split]) for split in SPLITS) == 19


@pytest.mark.parametrize(("status", "kept"), [("no_face", True), ("crashed", True), ("missing", False)])
def test_refused_videos_of_the_test_split_are_kept_apart(tmp_path, status, kept):
    config = tiny_config(tmp_path)
    manifest = make_cache(config, people=20)
    before = select_of(config)
    one = {split: before.rows[split][-1].record for split in SPLITS}
    keys = {record.key for record in one.values()}
    rows = [replace(row, status=status, windows=0) if row.record.key in keys else row for row in manifest]
    write_manifest(Cache.of(config).manifest_file, rows)
    found = select_of(config)
    assert [row.record for row in found.refused] == ([one["test"]] if kept else [])
    assert len(found.rows["test"]) == len(before.rows["test"]) - 1
    generator = {"alpha": "beta", "beta": "alpha"}[one["test"].generator]
    held_out = replace(config, split=replace(config.split, unseen=(generator,)))
    assert select_of(held_out).refused == []  # a fake that would not be tested is not refused


def test_refusals_do_not_move_people_between_splits(tmp_path):
    found = []
    for name, rejected in (("a", ()), ("b", ("fake/person 3/video.mp4", "real/person 5/video.mp4"))):
        config = tiny_config(tmp_path / name)
        make_cache(config, people=10, rejected=rejected)
        found.append(select_of(config).splits)
    assert found[0] == found[1]


@pytest.mark.parametrize("label", list(Label))
def test_a_class_that_extraction_emptied_is_an_error(tmp_path, label):
    config = tiny_config(tmp_path)
    make_cache(config, people=10, rejected=tuple(f"{label.name.lower()}/person {p}/video.mp4" for p in range(10)))
    with pytest.raises(UserError, match=f"train split has no {label.name.lower()} video with clips"):
        select_of(config)


def test_a_cache_that_does_not_fit_the_config_is_refused(tmp_path):
    config = tiny_config(tmp_path)
    make_cache(config, people=10)
    other = replace(config, mouth=replace(config.mouth, margin=0.2))
    with pytest.raises(UserError, match="mouth.margin is 0.0 in the cache and 0.2 in the config"):
        select_of(other)


def test_a_cache_whose_run_never_ended_is_refused(tmp_path):
    config = tiny_config(tmp_path)
    make_cache(config, people=10)
    (Cache.of(config).path / "catalogue.json").unlink()
    with pytest.raises(UserError, match="no finished manifest"):
        select_of(config)


def unseen_config(tmp_path, *unseen: str):
    """Fakes by alpha and beta, and a pseudo-fake of each real."""
    config = tiny_config(tmp_path)
    config = replace(config, split=replace(config.split, unseen=unseen))
    cache = Cache.of(config)
    rows = make_cache(config, people=12)
    forged = [replace(row, record=row.record.forged(0)) for row in rows if row.record.label is Label.REAL]
    write_manifest(cache.manifest_file, [*rows, *forged])
    return config


@pytest.mark.parametrize(
    ("unseen", "trained", "validated", "tested"),
    [
        ((), {"alpha", "beta", "pseudo"}, {"alpha", "beta"}, {"alpha", "beta"}),
        (("alpha",), {"beta", "pseudo"}, {"beta"}, {"alpha"}),
        (("all",), {"pseudo"}, {"pseudo"}, {"alpha", "beta"}),
        (("beta", "alpha"), {"pseudo"}, {"pseudo"}, {"alpha", "beta"}),  # the same, said otherwise
    ],
)
def test_unseen_generators_are_tested_on_alone(tmp_path, unseen, trained, validated, tested):
    config = unseen_config(tmp_path, *unseen)
    selection = select_of(config)
    splits, rows = selection.splits, selection.rows
    for split, expected in zip(SPLITS, (trained, validated, tested), strict=True):
        fakes = [row.record for row in rows[split] if row.record.label is Label.FAKE]
        assert {record.generator for record in fakes} == expected
        reals = {row.record.identity for row in rows[split] if row.record.label is Label.REAL}
        assert reals == {identity for key, identity in ((r.record.key, r.record.identity) for r in rows[split])}
        assert all(splits[record.key] == split for record in fakes)


def test_an_unknown_generator_is_named(tmp_path):
    config = unseen_config(tmp_path, "alhpa")
    with pytest.raises(UserError, match="alhpa.*did you mean alpha"):
        select_of(config)


def test_conditions_left_out_of_training_are_tested(tmp_path):
    config = tiny_config(tmp_path)
    rows = make_cache(config, people=10)
    conditions = ("raw", "half", "crf28")
    versions = [replace(row, record=replace(row.record, condition=one)) for row in rows for one in conditions]
    write_manifest(Cache.of(config).manifest_file, versions)
    chosen = select_of(replace(config, split=replace(config.split, train_conditions=("raw", "half")))).rows
    for split, expected in (("train", {"raw", "half"}), ("validation", {"raw", "half"}), ("test", set(conditions))):
        assert {row.record.condition for row in chosen[split]} == expected
    with pytest.raises(UserError, match="the cache has no condition 'hlaf': did you mean half"):
        select_of(replace(config, split=replace(config.split, train_conditions=("hlaf",))))


def test_fakes_of_another_kind_are_tested_but_not_trained_on(tmp_path, caplog):
    config = tiny_config(tmp_path)
    make_cache(config, people=12)
    rows = select_of(replace(config, data=replace(config.data, other_kinds=("beta",)))).rows
    for split, expected in (("train", {"alpha"}), ("validation", {"alpha"}), ("test", {"alpha", "beta"})):
        assert {row.record.generator for row in rows[split] if row.record.label is Label.FAKE} == expected
    select_of(replace(config, data=replace(config.data, other_kinds=("beta", "hallo"))))
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["data.other_kinds: the data set has no generator hallo"]


def test_without_validation_all_other_folds_train(tmp_path):
    config = tiny_config(tmp_path)
    make_cache(config, people=12)
    folds = replace(config.split, folds=4, fold=1)
    chosen = select(Cache.of(config), config.data, replace(folds, validation=0.0), needed=("train", "test"))
    usual = select(Cache.of(config), config.data, folds)
    people = {split: {row.record.identity for row in rows} for split, rows in chosen.rows.items()}
    assert not people["validation"] and len(people["train"]) == 9
    assert people["test"] == {row.record.identity for row in usual.rows["test"]}
