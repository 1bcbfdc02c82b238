"""Files of a comparison: tables, plots, and the videos on which detectors disagree."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lipinc.comparison import plots, tables
from lipinc.comparison.comparison import Comparison, disagreements
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically
from lipinc.files.csv_table import write_table

DISAGREEMENT_COLUMNS = (
    *("first", "second", "path", "label", "right", "first_score", "second_score", "rank_distance"),
    *("identity", "generator"),
)


def write_comparison(comparison: Comparison, folder: Path, note: str) -> None:
    """Write table.md, table.tex, differences.csv, groups.csv, disagreements.csv, roc.png, scores.png and scatter.png.

    Args:
        comparison: the comparison.
        folder: where to write; it is created.
        note: the caption of tables and plots.

    Raises:
        UserError: `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: give a folder to --out")
    every = [comparison.headline, *comparison.groups]
    write_atomically(folder / "table.md", tables.markdown(comparison, note).encode("utf-8", "surrogateescape"))
    write_atomically(folder / "table.tex", tables.latex(comparison, note).encode("utf-8", "surrogateescape"))
    write_table(folder / "differences.csv", tables.DIFFERENCE_COLUMNS, tables.difference_csv_rows(comparison, every))
    write_table(folder / "groups.csv", tables.GROUP_COLUMNS, tables.group_csv_rows(comparison, every))
    write_table(folder / "disagreements.csv", DISAGREEMENT_COLUMNS, _disagreement_rows(comparison))
    plots.plot_roc_curves(comparison, folder / "roc.png", note)
    plots.plot_score_distributions(comparison, folder / "scores.png", note)
    plots.plot_scatter(comparison, folder / "scatter.png", note)


def _disagreement_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    paired = comparison.headline.paired
    for first, second in paired.pairs:
        names = [comparison.detectors[one].name for one in (first, second)]
        for one in disagreements(paired, first, second):
            yield {
                "first": names[0],
                "second": names[1],
                "path": one.record.path,
                "label": one.record.label.name.lower(),
                "right": names[one.right],
                "first_score": one.scores[0],
                "second_score": one.scores[1],
                "rank_distance": one.distance,
                "identity": one.record.identity,
                "generator": one.record.generator,
            }
