"""Split lists: the split of every person of a data set for several seeds, on which groups can compare their results.

A list is a CSV with the columns identity, race, gender, split_0, split_1, ...; `split.file` reads the column of
`split.seed`. The list of FakeAVCeleb is shipped (docs/fakeavceleb.md).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lipinc.config import SplitConfig
from lipinc.datasets.records import VideoRecord
from lipinc.datasets.splits import assign_splits
from lipinc.errors import UserError
from lipinc.files.csv_table import write_table


def write_split_list(
    path: str | Path, records: Sequence[VideoRecord], config: SplitConfig, seeds: Iterable[int]
) -> int:
    """Write a split list, sorted by identity, atomically.

    Args:
        path: the CSV file.
        records: the videos of the data set.
        config: the split settings, except for the seed.
        seeds: the seeds, in the order of their columns.

    Returns:
        The number of people.

    Raises:
        UserError: the videos cannot be split, or videos of one person are treated differently.
    """
    people = {record.identity: record for record in reversed(records)}
    by_seed = {f"split_{seed}": _split_by_person(records, replace(config, seed=seed)) for seed in seeds}
    rows = (
        {
            **{"identity": person, "race": people[person].race, "gender": people[person].gender},
            **{column: splits[person] for column, splits in by_seed.items()},
        }
        for person in sorted(people)
    )
    write_table(path, ("identity", "race", "gender", *by_seed), rows)
    return len(people)


def _split_by_person(records: Sequence[VideoRecord], config: SplitConfig) -> dict[str, str]:
    splits = assign_splits(records, config)
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        found[record.identity].add(splits[record.key])
    for person, names in found.items():
        if len(names) > 1:
            raise UserError(
                f"some videos of {person} are in {' and some in '.join(sorted(names))}: a split list names people; do "
                "not use split.apart, split.target_disjoint or a split of single files"
            )
    return {person: names.pop() for person, names in found.items()}
