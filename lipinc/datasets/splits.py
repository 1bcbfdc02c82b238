"""Who is trained on, who is tested on: every video gets a split, and no person is ever in two.

Usage:
    splits = assign_splits(records, config.split)
    write_splits(run / "splits.csv", records, splits)
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from hashlib import sha256
from math import floor
from pathlib import Path

from lipinc.config import SplitConfig
from lipinc.config.registry import suggest
from lipinc.datasets.records import Label, VideoRecord, as_key
from lipinc.errors import UserError
from lipinc.files.csv_table import read_table, unguard_formula, write_table

log = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
EXCLUDED = "excluded"
ALIASES = {"val": "validation", "valid": "validation", "dev": "validation"}


def assign_splits(
    records: Sequence[VideoRecord], config: SplitConfig, needed: Sequence[str] = SPLITS
) -> dict[str, str]:
    """Key -> train, validation, test or excluded, with every identity in one split alone.

    Taken from `config.file`; else from the records' own split, if any has one; else drawn by identity, stratified by
    race, gender and the labels an identity has. A draw depends on the seed and on who is there, not on their order.
    What is made of a file (re-encoded, forged) goes with it, and changes no draw.
    Raises UserError on a person in two splits and on a split of `needed` that lacks a class.
    """
    versions = records
    records = [record for record in versions if record.key == record.path]
    if not records:
        raise UserError("there is no video to split: check the data set and the manifest's reasons of refusal")
    if config.folds and (config.file or any(record.split for record in records)):
        raise UserError("split.folds draws its own folds and cannot be combined with a split file or a split column")
    if config.file:
        source = config.file
        splits = _from_file(records, config.file)
    elif any(record.split for record in records):
        source = "the index's split column"
        splits = _from_column(records)
    else:
        source = f"a draw with split.seed {config.seed}"
        splits = _drawn(records, config)
    log.info("splits come from %s", source)
    _check_disjoint(records, splits, source)
    if config.target_disjoint:
        if not any(record.targets for record in records):
            raise UserError("split.target_disjoint needs driving identities, which only FakeAVCeleb's index names")
        source += " with split.target_disjoint"
        splits = _exclude_shared_targets(records, splits)
    _check_classes(records, splits, source, needed)
    return {version.key: splits[version.path] for version in versions}


def write_splits(path: str | Path, records: Iterable[VideoRecord], splits: Mapping[str, str]) -> None:
    """Writes path,identity,label,split, a row a file; `SplitConfig.file` reads it back to the same splits."""
    rows = (
        {**record.to_cells(), "path": record.path, "split": splits[record.key]}
        for record in records
        if record.key == record.path  # a version made of a file goes with it
    )
    write_table(path, ("path", "identity", "label", "split"), rows)


def summary(records: Iterable[VideoRecord], splits: Mapping[str, str]) -> str:
    """One line for a person: "train 350 people, 350 real + 6 720 fake; validation ...". Nobody excluded: not named."""
    members: dict[str, list[VideoRecord]] = defaultdict(list)
    for record in records:
        members[splits[record.key]].append(record)
    return "; ".join(
        f"{split} {_spaced(len({record.identity for record in members[split]}))} people, "
        f"{_spaced(sum(record.label is Label.REAL for record in members[split]))} real + "
        f"{_spaced(sum(record.label is Label.FAKE for record in members[split]))} fake"
        for split in (*SPLITS, EXCLUDED)
        if split in SPLITS or members[split]
    )


def _spaced(count: int) -> str:
    return f"{count:,}".replace(",", " ")


# Given splits


def _from_file(records: Sequence[VideoRecord], path: str) -> dict[str, str]:
    table = read_table(path)
    column = next((name for name in ("path", "identity") if name in table.columns), "path")
    table.require((column, "split"))
    name_of: Callable[[VideoRecord], str] = (lambda r: r.identity) if column == "identity" else (lambda r: r.path)

    named: dict[str, str] = {}
    for number, row in table.rows:
        where = table.where(number)
        cell = unguard_formula(row[column])
        name = cell.strip() if column == "identity" else as_key(cell, where)
        split = _split_name(row["split"], where)
        if named.setdefault(name, split) != split:
            raise UserError(f"{where}: {name} is in {split} and in {named[name]}: keep one of the two rows")

    known = {name_of(record) for record in records}
    unknown = named.keys() - known
    if not named.keys() & known:
        raise UserError(f"{path} names no {column} of the data set: check that it belongs to it")
    if unknown:
        log.warning("%d entries of %s match no %s of the data set: ignored", len(unknown), path, column)
    splits = {record.key: named.get(name_of(record), EXCLUDED) for record in records}
    left_out = sum(name_of(record) not in named for record in records)
    if left_out:
        log.warning("%s does not name %d of %d videos: excluded", path, left_out, len(records))
    return splits


def _from_column(records: Sequence[VideoRecord]) -> dict[str, str]:
    return {record.key: _split_name(record.split, record.key) for record in records}


def _split_name(name: str, where: str) -> str:
    lower = name.strip().lower()
    split = ALIASES.get(lower, lower)
    if split not in (*SPLITS, EXCLUDED):
        found = f"unknown split {name!r}" if lower else "no split"
        raise UserError(f"{where}: {found}: {suggest(lower, (*SPLITS, EXCLUDED))}")
    return split


# Drawn splits


def _drawn(records: Sequence[VideoRecord], config: SplitConfig) -> dict[str, str]:
    labels = _labels_by_identity(records)
    strata = _strata(records, labels, config.seed)
    if config.folds:
        if config.folds < 3 or not 0 <= config.fold < config.folds:
            raise UserError(
                f"split.fold {config.fold} of split.folds {config.folds}: take 3 folds or more, and a fold from 0 on"
            )
        parts = _draw(strata, labels, [Fraction(1, config.folds)] * config.folds)
        roles = {config.fold: "test", (config.fold + 1) % config.folds: "validation"}
        split_of = {person: roles.get(part, "train") for person, part in parts.items()}
    else:
        parts = _draw(strata, labels, _shares(config))
        split_of = {person: SPLITS[part] for person, part in parts.items()}
    return {record.key: split_of[record.identity] for record in records}


def _shares(config: SplitConfig) -> list[Fraction]:
    shares = (config.train, config.validation, config.test)
    if not all(share >= 0 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        raise UserError(
            "split.train, split.validation and split.test must not be negative and sum to 1, not "
            + " + ".join(f"{share:g}" for share in shares)
        )
    exact = [Fraction(str(share)) for share in shares]
    return [share / sum(exact) for share in exact]


def _labels_by_identity(records: Iterable[VideoRecord]) -> dict[str, frozenset[Label]]:
    labels: dict[str, set[Label]] = defaultdict(set)
    for record in records:
        labels[record.identity].add(record.label)
    return {person: frozenset(found) for person, found in labels.items()}


def _strata(records: Iterable[VideoRecord], labels: Mapping[str, frozenset[Label]], seed: int) -> list[list[str]]:
    """People alike in races, genders and labels; within a stratum in an order that only the seed and the name set."""
    traits: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for record in records:
        traits[record.identity].add((record.race, record.gender))
    strata: dict[tuple[list[tuple[str, str]], list[Label]], list[str]] = defaultdict(list)
    for person in sorted(traits, key=lambda person: sha256(f"{seed}/{person}".encode()).digest()):
        strata[tuple(sorted(traits[person])), tuple(sorted(labels[person]))].append(person)
    return [strata[stratum] for stratum in sorted(strata)]


def _draw(
    strata: Sequence[Sequence[str]], labels: Mapping[str, frozenset[Label]], shares: Sequence[Fraction]
) -> dict[str, int]:
    """Person -> part, an index of `shares`.

    Every stratum gives each part its quota rounded down; the people left over go where, over all strata so far, most
    are owed. So a part is within one person of its quota in every stratum, and close to it overall.
    """
    part_of: dict[str, int] = {}
    owed = [Fraction(0)] * len(shares)
    for people in strata:
        sizes = [floor(share * len(people)) for share in shares]
        owed = [debt + share * len(people) - size for debt, share, size in zip(owed, shares, sizes, strict=True)]
        left_over = len(people) - sum(sizes)
        for part in sorted(range(len(shares)), key=lambda part: -owed[part])[:left_over]:
            sizes[part] += 1
            owed[part] -= 1
        part_by_rank = [part for part, size in enumerate(sizes) for _ in range(size)]
        part_of.update(zip(people, part_by_rank, strict=True))
    return _give_each_part_both_labels(part_of, labels, shares)


def _give_each_part_both_labels(
    part_of: Mapping[str, int], labels: Mapping[str, frozenset[Label]], shares: Sequence[Fraction]
) -> dict[str, int]:
    """Moves a person to each part that lacks a label, from the part most above its quota that can spare one.

    Quotas of less than one person leave parts empty. A move that robs no other part exists as long as there are as
    many people with the label as parts; without one the part is left as it is.
    """
    part_of = dict(part_of)
    for part in range(len(shares)):
        for label in Label if shares[part] else ():
            held = Counter((own, kind) for person, own in part_of.items() for kind in labels[person])
            sizes = Counter(part_of.values())
            excess = [sizes[own] - share * len(part_of) for own, share in enumerate(shares)]
            spare = [
                (excess[own], person)
                for person, own in part_of.items()
                if label in labels[person] and all(held[own, kind] > 1 for kind in labels[person])
            ]
            if spare and not held[part, label]:
                part_of[max(spare)[1]] = part
    return part_of


# Checks


def _check_disjoint(records: Iterable[VideoRecord], splits: Mapping[str, str], source: str) -> None:
    split_of: dict[str, str] = {}
    for record in records:
        split = splits[record.key]
        if split != EXCLUDED and split_of.setdefault(record.identity, split) != split:
            raise UserError(
                f"{source} puts {record.identity} in {split_of[record.identity]} and in {split}: keep every person "
                "in one split"
            )


def _exclude_shared_targets(records: Iterable[VideoRecord], splits: Mapping[str, str]) -> dict[str, str]:
    split_of = {record.identity: splits[record.key] for record in records if splits[record.key] != EXCLUDED}
    kept = dict(splits)
    for record in records:
        split = splits[record.key]
        if record.label is Label.FAKE and any(split_of.get(target, split) != split for target in record.targets):
            kept[record.key] = EXCLUDED
    return kept


def _check_classes(
    records: Sequence[VideoRecord], splits: Mapping[str, str], source: str, needed: Sequence[str]
) -> None:
    filled = {(splits[record.key], record.label) for record in records}
    for split in needed:
        for label in Label:
            if (split, label) not in filled:
                name = label.name.lower()
                people = len({record.identity for record in records if record.label is label})
                raise UserError(
                    f"{source} leaves {split} without a {name} video: every split needs a person with one, and the "
                    f"data set has {people}; add people or mend the split settings"
                )
