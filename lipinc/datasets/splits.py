"""Identity-disjoint splits: assigns every video to train, validation or test, with each person in one split.

Usage:
    splits = assign_splits(records, config.split)
    write_splits(run / "splits.csv", records, splits)
"""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from hashlib import sha256
from math import floor
from pathlib import Path

from lipinc.config import SplitConfig
from lipinc.config.registry import suggest
from lipinc.datasets.records import GROUP_COLUMNS, Label, VideoRecord, as_key, nfc
from lipinc.errors import UserError
from lipinc.files.csv_table import read_table, unguard_formula, write_table

log = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
EXCLUDED = "excluded"
ALIASES = {"val": "validation", "valid": "validation", "dev": "validation"}
SHIPPED = Path(__file__).parent / "split_lists"
"""Folder of the split lists shipped with the package."""


def assign_splits(
    records: Sequence[VideoRecord], config: SplitConfig, needed: Sequence[str] = SPLITS, *, both_classes: bool = True
) -> dict[str, str]:
    """Assign every record to a split.

    The splits come from `config.file` if it is set, else from the split column of the index if any record has one (and
    `config.official` is set). Else they are drawn by identity, stratified by race, gender and the labels of an
    identity. A draw depends on the seed and on the set of identities, not on their order. Versions of a file
    (re-encoded, pseudo-fakes) follow the file and do not influence the draw.

    Args:
        records: all videos and versions of the data set.
        config: the split settings.
        needed: splits that must contain videos.
        both_classes: whether they must contain real and fake ones, as training needs.

    Returns:
        Key -> train, validation, test or excluded.

    Raises:
        UserError: a person is in two splits, or a split of `needed` lacks a class.
    """
    versions = records
    records = [record for record in versions if record.key == record.path]
    if not records:
        raise UserError("there is no video to split: check the data set and the rejection reasons in the manifest")
    has_column = config.official and any(record.split for record in records)
    if config.folds and (config.file or has_column):
        raise UserError(
            "split.folds draws its own folds and cannot be combined with a split file or a split column"
            + ("; give --split.official False" if has_column else "")
        )
    if config.file:
        source = config.file
        splits = _read_split_file(records, config)
    elif has_column:
        source = "the index's split column"
        splits = _read_split_column(records)
    else:
        source = f"the random split with split.seed {config.seed}"
        splits = _draw_splits(records, config)
    log.info("splits come from %s", source)
    _check_disjoint(records, splits, source, has_column=has_column and not config.file)
    if config.target_disjoint:
        if not any(record.targets for record in records):
            raise UserError("split.target_disjoint needs driving identities, which this data set does not name")
        source += " with split.target_disjoint"
        splits = _exclude_shared_targets(records, splits)
    _check_classes(records, splits, source, needed, both_classes)
    return {version.key: splits[version.path] for version in versions}


def write_splits(path: str | Path, records: Iterable[VideoRecord], splits: Mapping[str, str]) -> None:
    """Write path,identity,label,split with one row per file. `SplitConfig.file` reads it back to the same splits."""
    rows = (
        {**record.to_cells(), "path": record.path, "split": splits[record.key]}
        for record in records
        if record.key == record.path  # versions of a file are in the same split
    )
    write_table(path, ("path", "identity", "label", "split"), rows)


def summary(records: Iterable[VideoRecord], splits: Mapping[str, str]) -> str:
    """Return one line: "train 350 people, 350 real + 6 720 fake; validation ...". Excluded videos appear if any."""
    members: dict[str, list[VideoRecord]] = defaultdict(list)
    for record in records:
        members[splits[record.key]].append(record)
    return "; ".join(
        f"{split} {_group_digits(len({record.identity for record in members[split]}))} people, "
        f"{_group_digits(sum(record.label is Label.REAL for record in members[split]))} real + "
        f"{_group_digits(sum(record.label is Label.FAKE for record in members[split]))} fake"
        for split in (*SPLITS, EXCLUDED)
        if split in SPLITS or members[split]
    )


def _group_digits(count: int) -> str:
    return f"{count:,}".replace(",", " ")


# Splits from a file or from the index


def _read_split_file(records: Sequence[VideoRecord], config: SplitConfig) -> dict[str, str]:
    path, of_seed = _split_file(config.file), f"split_{config.seed}"
    table = read_table(path, ("path", "identity", "split", of_seed))
    column = next((name for name in ("path", "identity") if name in table.columns), "path")
    is_list = "split" not in table.columns and any(re.fullmatch(r"split_\d+", name) for name in table.columns)
    split_column = of_seed if is_list else "split"
    table.require((column, split_column))
    name_of: Callable[[VideoRecord], str] = (lambda r: r.identity) if column == "identity" else (lambda r: nfc(r.path))

    named: dict[str, str] = {}
    for number, row in table.rows:
        where = table.where(number)
        cell = unguard_formula(row[column])
        name = nfc(cell.strip() if column == "identity" else as_key(cell, where))
        split = split_name(row[split_column], where)
        if named.setdefault(name, split) != split:
            raise UserError(f"{where}: {name} is in {split} and in {named[name]}: remove one of the two rows")

    known = {name_of(record) for record in records}
    unknown = named.keys() - known
    if not named.keys() & known:
        raise UserError(f"{path} contains no {column} of the data set: check that it belongs to this data set")
    if unknown:
        log.warning("ignoring %d entries of %s that match no %s of the data set", len(unknown), path, column)
    splits = {record.key: named.get(name_of(record), EXCLUDED) for record in records}
    excluded = sum(name_of(record) not in named for record in records)
    if excluded:
        log.warning("excluding %d of %d videos that %s does not contain", excluded, len(records), path)
    return splits


def _split_file(file: str) -> Path:
    """Resolve a path or the name of a shipped split list to a file."""
    shipped = SHIPPED / f"{file}.csv"
    return shipped if Path(file).name == file and shipped.is_file() and not Path(file).is_file() else Path(file)


def _read_split_column(records: Sequence[VideoRecord]) -> dict[str, str]:
    return {record.key: split_name(record.split, record.key) for record in records}


def split_name(name: str, where: str) -> str:
    """Return the split that a name means: "val" is validation.

    Raises:
        UserError: the name means none; the message starts with `where`.
    """
    lower = name.strip().lower()
    split = ALIASES.get(lower, lower)
    if split not in (*SPLITS, EXCLUDED):
        found = f"unknown split {name!r}" if lower else "no split"
        raise UserError(f"{where}: {found}: {suggest(lower, (*SPLITS, EXCLUDED))}")
    return split


# Random splits


def _draw_splits(records: Sequence[VideoRecord], config: SplitConfig) -> dict[str, str]:
    if config.apart:
        return _draw_apart(records, config)
    labels = _labels_by_identity(records)
    strata = _strata(records, labels, config.seed)
    fractions, names = _parts(config)
    parts = _partition(strata, labels, fractions)
    return {record.key: names[parts[record.identity]] for record in records}


def _parts(config: SplitConfig) -> tuple[list[Fraction], list[str]]:
    """Return the fraction and the split of each part: the folds, or train, validation and test."""
    if not config.folds:
        return _fractions(config), list(SPLITS)
    if config.folds < 3 or not 0 <= config.fold < config.folds:
        raise UserError(
            f"split.fold {config.fold} of split.folds {config.folds} is invalid: use at least 3 folds, and a fold "
            f"from 0 to {config.folds - 1}"
        )
    roles = {config.fold: "test"}
    if config.validation:
        roles[(config.fold + 1) % config.folds] = "validation"
    return [Fraction(1, config.folds)] * config.folds, [roles.get(part, "train") for part in range(config.folds)]


def _draw_apart(records: Sequence[VideoRecord], config: SplitConfig) -> dict[str, str]:
    """Draw splits between which no value of the column `config.apart`, and no person, is shared.

    Roughly the largest groups are placed first, each where the most videos of its labels are missing. Groups may be of
    very different sizes, so a part may be larger than its fraction.
    """
    if config.apart not in GROUP_COLUMNS:
        raise UserError(f"split.apart: there is no column {config.apart!r}: {suggest(config.apart, GROUP_COLUMNS)}")
    members: dict[str, list[VideoRecord]] = defaultdict(list)
    for record in records:
        value = getattr(record, config.apart)
        if not value:
            raise UserError(f"split.apart: {record.key} has no {config.apart}: give every video one")
        members[value].append(record)

    def order(name: str) -> float:
        """Size times a random factor of 0.5 to 1.5, which depends only on the seed and on the name."""
        return len(members[name]) * (0.5 + sha256(f"{config.seed}/{name}".encode()).digest()[0] / 255)

    fractions, names = _parts(config)
    totals = Counter(record.label for record in records)
    missing = [{label: fraction * totals[label] for label in Label} for fraction in fractions]
    part_by_group: dict[str, int] = {}
    for name in sorted(sorted(members), key=order, reverse=True):
        counts = Counter(record.label for record in members[name])
        share = {label: Fraction(counts[label], totals[label]) for label in counts}
        need = [
            sum(share[label] * missing[part][label] / totals[label] for label in share) for part in range(len(names))
        ]
        best = max(range(len(names)), key=lambda part: need[part] if fractions[part] else -len(records))
        part_by_group[name] = best
        for label in counts:
            missing[best][label] -= counts[label]
    split = {record.key: names[part_by_group[getattr(record, config.apart)]] for record in records}
    first: dict[str, str] = {}  # person -> the split that keeps it
    for wanted in ("test", "validation", "train"):
        for record in records:
            if split[record.key] == wanted:
                first.setdefault(record.identity, wanted)
    return {
        record.key: split[record.key] if first[record.identity] == split[record.key] else EXCLUDED for record in records
    }


def _fractions(config: SplitConfig) -> list[Fraction]:
    """Return the fractions of train, validation and test as exact numbers that sum to 1."""
    fractions = (config.train, config.validation, config.test)
    if not all(fraction >= 0 for fraction in fractions) or abs(sum(fractions) - 1) > 1e-6:
        raise UserError(
            "split.train, split.validation and split.test must not be negative and sum to 1, not "
            + " + ".join(f"{fraction:g}" for fraction in fractions)
        )
    exact = [Fraction(str(fraction)) for fraction in fractions]
    return [fraction / sum(exact) for fraction in exact]


def _labels_by_identity(records: Iterable[VideoRecord]) -> dict[str, frozenset[Label]]:
    labels: dict[str, set[Label]] = defaultdict(set)
    for record in records:
        labels[record.identity].add(record.label)
    return {person: frozenset(found) for person, found in labels.items()}


def _strata(records: Iterable[VideoRecord], labels: Mapping[str, frozenset[Label]], seed: int) -> list[list[str]]:
    """Group people by race, gender and labels. The order in a stratum depends only on the seed and on the names."""
    traits: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for record in records:
        traits[record.identity].add((record.race, record.gender))
    strata: dict[tuple[list[tuple[str, str]], list[Label]], list[str]] = defaultdict(list)
    for person in sorted(traits, key=lambda person: sha256(f"{seed}/{person}".encode()).digest()):
        strata[tuple(sorted(traits[person])), tuple(sorted(labels[person]))].append(person)
    return [strata[stratum] for stratum in sorted(strata)]


def _partition(
    strata: Sequence[Sequence[str]], labels: Mapping[str, frozenset[Label]], fractions: Sequence[Fraction]
) -> dict[str, int]:
    """Partition people into parts, stratum by stratum.

    In every stratum each part first gets its quota, rounded down. The remaining people go to the parts with the largest
    deficit over all strata so far. The size of a part is therefore within one person of its quota in every stratum, and
    close to it overall.

    Returns:
        Person -> part, an index into `fractions`.
    """
    part_by_person: dict[str, int] = {}
    deficits = [Fraction(0)] * len(fractions)
    for people in strata:
        sizes = [floor(fraction * len(people)) for fraction in fractions]
        deficits = [
            deficit + fraction * len(people) - size
            for deficit, fraction, size in zip(deficits, fractions, sizes, strict=True)
        ]
        remaining = len(people) - sum(sizes)
        for part in sorted(range(len(fractions)), key=lambda part: -deficits[part])[:remaining]:
            sizes[part] += 1
            deficits[part] -= 1
        part_by_rank = [part for part, size in enumerate(sizes) for _ in range(size)]
        part_by_person.update(zip(people, part_by_rank, strict=True))
    return _fill_missing_labels(part_by_person, labels, fractions)


def _fill_missing_labels(
    part_by_person: Mapping[str, int], labels: Mapping[str, frozenset[Label]], fractions: Sequence[Fraction]
) -> dict[str, int]:
    """Move a person to each part that lacks a label, from the part that exceeds its quota most.

    Parts with a quota below one person may lack a label. A person is moved only if no part loses its last person with
    some label. Such a person exists if at least as many people as parts have the label; otherwise the part is left
    unchanged.
    """
    part_by_person = dict(part_by_person)
    for part in range(len(fractions)):
        for label in Label if fractions[part] else ():
            counts = Counter((own, kind) for person, own in part_by_person.items() for kind in labels[person])
            sizes = Counter(part_by_person.values())
            excess = [sizes[own] - fraction * len(part_by_person) for own, fraction in enumerate(fractions)]
            movable = [
                (excess[own], person)
                for person, own in part_by_person.items()
                if label in labels[person] and all(counts[own, kind] > 1 for kind in labels[person])
            ]
            if movable and not counts[part, label]:
                part_by_person[max(movable)[1]] = part
    return part_by_person


# Checks


def _check_disjoint(
    records: Iterable[VideoRecord], splits: Mapping[str, str], source: str, *, has_column: bool
) -> None:
    split_by_person: dict[str, str] = {}
    for record in records:
        split = splits[record.key]
        if split != EXCLUDED and split_by_person.setdefault(record.identity, split) != split:
            raise UserError(
                f"{source} puts {record.identity} in {split_by_person[record.identity]} and in {split}: keep every "
                "person in one split" + (", or draw a split by person: --split.official False" if has_column else "")
            )


def _exclude_shared_targets(records: Iterable[VideoRecord], splits: Mapping[str, str]) -> dict[str, str]:
    """Exclude fakes with a driving identity from a different split."""
    split_by_person = {record.identity: splits[record.key] for record in records if splits[record.key] != EXCLUDED}
    kept = dict(splits)
    for record in records:
        split = splits[record.key]
        if record.label is Label.FAKE and any(split_by_person.get(target, split) != split for target in record.targets):
            kept[record.key] = EXCLUDED
    return kept


def _check_classes(
    records: Sequence[VideoRecord], splits: Mapping[str, str], source: str, needed: Sequence[str], both_classes: bool
) -> None:
    filled = {(splits[record.key], record.label) for record in records}
    for split in needed:
        if not both_classes and any((split, label) in filled for label in Label):
            continue
        for label in Label:
            if (split, label) not in filled:
                name = label.name.lower()
                people = len({record.identity for record in records if record.label is label})
                if not people:
                    raise UserError(
                        f"the data set has no {name} video: a detector is trained on real and fake videos. Videos of "
                        "one class can be evaluated: lipinc evaluate, or --test-only with --split.train 0 "
                        "--split.validation 0 --split.test 1"
                    )
                raise UserError(
                    f"{source} leaves {split} without a {name} video: every split needs a person with one, and the "
                    f"data set has {people}; add people or change the split settings"
                )
