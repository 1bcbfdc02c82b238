"""Compare detectors by the scores that they gave to the same videos, in CSV files of any origin.

    lipinc compare outputs/mouth_noise/predictions.csv other_detector.csv --index clips.csv
    lipinc compare A=scores_a.csv B=scores_b.csv --index clips.csv --direction B=real-high --threshold A=0.3 B=0.5

A score file has a path or name and a score for each video. Columns, delimiter, header and the meaning of the scores
are found where that is possible, and printed. Options that differ between detectors take NAME=VALUE, or one VALUE for
all. Labels and people come from --index or --config, else from the first file with a column of labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from lipinc.comparison import tables
from lipinc.comparison.comparison import Comparison
from lipinc.comparison.detector import Detector, build_detector
from lipinc.comparison.index import label_conflicts, load_config_index, load_index_file, records_in_scores
from lipinc.comparison.matching import VideoNames
from lipinc.comparison.report import write_comparison
from lipinc.comparison.score_file import find_score_file, read_score_file, read_score_table
from lipinc.config import EvaluateConfig, load_config
from lipinc.config.command_line import parse_arguments
from lipinc.datasets.labels import label_line
from lipinc.datasets.records import Label, VideoRecord
from lipinc.errors import UserError, printable
from lipinc.progress import progress_bar

Value = TypeVar("Value")
DIRECTIONS = ("fake-high", "real-high")


@dataclass(frozen=True)
class Arguments:
    """Arguments of compare."""

    files: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[NAME=]FILE|RUN ...")]
    """Two or more score files, or run folders, whose predictions.csv is read. The first one is the reference."""
    index: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Index of the videos: a CSV with path, label and, preferably, person, generator and so on."""
    config: str = ""
    """In place of --index: an experiment whose data set has the videos, such as own_clips or config.py."""
    columns: tuple[str, ...] = ()
    """Columns of the index as pairs: path FILE identity PERSON. Usual names are recognised without it."""
    labels: tuple[str, ...] = ()
    """What the labels of the index mean: real=1 fake=0. Empty: real or 0 is real, fake or 1 is fake."""
    path_column: tuple[str, ...] = ()
    """Column of a score file with paths or names."""
    score_column: tuple[str, ...] = ()
    """Column of a score file with scores."""
    direction: tuple[str, ...] = ()
    """Which videos have high scores: fake-high or real-high."""
    threshold: tuple[str, ...] = ()
    """Threshold for accuracy and accused people, in units of the scores of the file. Without it: that of the file's own
    predictions, or 0.5 for scores in 0..1."""
    out: Path = Path("outputs/compare")
    """Folder for tables and plots."""
    bootstrap: int = EvaluateConfig.bootstrap
    """Number of resamples of people."""
    seed: int = EvaluateConfig.seed
    """Random seed of the resamples."""


def main(argv: Sequence[str], prog: str) -> None:
    """Run the command."""
    arguments = parse_arguments(Arguments, argv, prog=prog, description=__doc__)
    if len(arguments.files) < 2:
        raise UserError("give at least two score files: lipinc compare A.csv B.csv --index clips.csv")
    if arguments.bootstrap < 1 or arguments.seed < 0:
        raise UserError("--bootstrap must be at least 1, and --seed at least 0")
    if arguments.index and arguments.config:
        raise UserError("--index and --config both name the videos: give one of them")
    found = [find_score_file(given) for given in arguments.files]
    names = _distinct([name for name, _ in found], [path for _, path in found])
    options = _Options(arguments, names)
    read = {path: read_score_table(path) for path in dict.fromkeys(path for _, path in found)}
    records, data, other_kinds = _load_records(arguments, list(read.values()))
    records = _without_other_kinds(records, other_kinds)
    if not records:
        raise UserError(f"{data} has no videos: give the index of the videos that have scores")
    print(printable(f"{data}: {label_line(records)}"))
    video_names = VideoNames(records)
    detectors = []
    for name, (_, path) in zip(names, found, strict=True):
        columns = options.path_column.get(name, ""), options.score_column.get(name, "")
        file = read_score_file(read[path], video_names, *columns)
        detector = build_detector(
            name, file, records, video_names, options.direction.get(name), options.threshold.get(name)
        )
        detectors.append(detector)
        print("\n".join(detector.lines()))
        _warn(detector, label_conflicts(file, records, video_names, arguments.labels))
    comparison = Comparison(detectors, records, arguments.bootstrap, arguments.seed)
    _show(comparison, arguments.out, data)


def _show(comparison: Comparison, folder: Path, data: str) -> None:
    every = [comparison.headline, *comparison.groups]
    for group in progress_bar(every, desc="resampling people", unit="group", leave=False):
        group.paired.metric(0, "auc")  # computes the resamples of all metrics, which are kept
    note = tables.caption(comparison, data)
    parts = [tables.coverage_table(comparison), tables.common_line(comparison)]
    parts += [tables.terminal_table(rows(comparison)) for rows in (tables.metric_rows, tables.difference_rows)]
    for _, groups in groupby(comparison.groups, key=lambda group: group.grouping):
        parts.append(tables.group_table(comparison, list(groups)))
    write_comparison(comparison, folder, note)
    print("\n" + "\n\n".join(filter(None, (*parts, printable(note)))) + "\n")
    print(f"{tables.summary(comparison)}; written to {folder}")


def _load_records(arguments: Arguments, read: Sequence) -> tuple[list[VideoRecord], str, tuple[str, ...]]:
    """Return the videos, the name of their data set, and the generators that do not count."""
    pairs = dict(zip(arguments.columns[::2], arguments.columns[1::2], strict=False))
    if len(arguments.columns) % 2:
        raise UserError("--columns takes pairs of our name and the name in the file: path FILE label LABEL")
    if arguments.config:
        config = load_config(arguments.config)
        return load_config_index(config.data), config.name, config.data.other_kinds
    if arguments.index:
        return load_index_file(arguments.index, pairs, arguments.labels), arguments.index.name, ()
    records, path = records_in_scores(read, pairs, arguments.labels)
    return records, f"labels of {path.absolute().parent.name}/{path.name}", ()


def _without_other_kinds(records: list[VideoRecord], other_kinds: tuple[str, ...]) -> list[VideoRecord]:
    kept = [record for record in records if record.label is Label.REAL or record.generator not in other_kinds]
    if len(kept) < len(records):
        print(f"{len(records) - len(kept)} fakes of other kinds are left out (data.other_kinds of the config)")
    return kept


def _warn(detector: Detector, conflicts: tuple[int, int]) -> None:
    for line in detector.warnings:
        print(printable(f"WARNING: {line}"))
    contradict, known = conflicts
    if contradict:
        hint = "they mean the opposite" if contradict == known else "the index counts"
        line = f"{contradict} of {known} labels in {detector.file.table.path} contradict the index: {hint}"
        print(printable(f"WARNING: {detector.name}: {line}"))


def _distinct(names: list[str], paths: list[Path]) -> list[str]:
    """Return the names of the detectors; those that would be equal get their folder, or else a number."""
    own = [
        name if names.count(name) == 1 else f"{path.absolute().parent.name}/{name}"
        for name, path in zip(names, paths, strict=True)
    ]
    return [name if own.count(name) == 1 else f"{name} {own[: i + 1].count(name)}" for i, name in enumerate(own)]


class _Options:
    """The options that differ between detectors: detector -> value."""

    def __init__(self, arguments: Arguments, names: Sequence[str]):
        self._names = names
        self.path_column = self._read("--path-column", arguments.path_column, str)
        self.score_column = self._read("--score-column", arguments.score_column, str)
        self.direction = self._read("--direction", arguments.direction, _direction)
        self.threshold = self._read("--threshold", arguments.threshold, _number)

    def _read(self, flag: str, given: Sequence[str], convert: Callable[[str], Value]) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for value in given:
            name = max((name for name in self._names if value.startswith(f"{name}=")), key=len, default="")
            if name:
                found[name] = self._convert(flag, value.removeprefix(f"{name}="), convert)
            elif "=" in value and convert is not str:
                name = value.partition("=")[0]
                raise UserError(f"{flag} {value}: no detector is called {name!r}; they are {', '.join(self._names)}")
            else:
                found = {**dict.fromkeys(self._names, self._convert(flag, value, convert)), **found}
        return found

    def _convert(self, flag: str, value: str, convert: Callable[[str], Value]) -> Value:
        try:
            return convert(value)
        except ValueError as error:
            raise UserError(f"{flag} takes {error}, not {value!r}") from None


def _direction(value: str) -> str:
    if value not in DIRECTIONS:
        raise ValueError("NAME=fake-high or NAME=real-high")
    return value


def _number(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError("NAME=NUMBER")
    return number
