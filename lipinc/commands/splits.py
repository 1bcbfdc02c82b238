"""Write a split list: the split of every person of a data set for several seeds, to be shared for comparisons.

    lipinc splits --config fakeavceleb --out splits.csv --seeds 0 1 2 3 4
    lipinc train --config fakeavceleb --split.file splits.csv --split.seed 3

Only the index is read. People are stratified by race, gender and labels, where the index has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lipinc.config import Config, parse_command_line
from lipinc.datasets import load_videos
from lipinc.datasets.split_list import write_split_list
from lipinc.errors import UserError

SECTIONS = ("data", "split")
"""The config sections that determine a split."""


@dataclass(frozen=True)
class Arguments(Config):
    """Arguments of splits: a config, the seeds and the file."""

    out: str = "splits.csv"
    """The CSV file to write."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Random seeds, each of which gives a column."""


def main(argv: Sequence[str], prog: str) -> None:
    """Run the command."""
    arguments = parse_command_line(Arguments, argv, prog=prog, description=__doc__, sections=SECTIONS)
    try:
        people = write_split_list(arguments.out, load_videos(arguments.data), arguments.split, arguments.seeds)
    except OSError as error:
        raise UserError(f"{arguments.out} cannot be written: {error.strerror}; give another --out") from error
    print(f"{arguments.out}: {people} people, {len(arguments.seeds)} splits")
