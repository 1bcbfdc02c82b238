"""Plots of a comparison as PNG files: ROC curves with bands, score distributions, scatter plots of two detectors."""

from pathlib import Path
from typing import Any

import numpy as np

from lipinc.comparison.comparison import MAX_RANK_DISTANCE, Comparison, Disagreement, disagreements
from lipinc.comparison.paired import FALSE_POSITIVE_RATES, Paired
from lipinc.errors import printable
from lipinc.evaluation.metrics import roc_counts
from lipinc.evaluation.plots import new_figure, save_figure
from lipinc.files.figures import FAKE, GUIDE, REAL

CURVES = ("#0072B2", "#E69F00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
"""Colours of the detectors: those of the palette of Okabe and Ito that mean neither real nor fake."""
LINES = ("-", (0, (5, 1.5)), ":", "-.")
"""Line styles of further detectors, when the colours repeat."""
MAX_BANDS = 4
"""Number of bands that can be told apart; those of more detectors are paler."""
MAX_LABELLED = 10
"""Number of disagreements that are named in a scatter plot."""
MAX_NAME = 34
"""Number of characters of a name in a plot; longer ones lose their middle."""
MAX_PANELS = 6
"""Number of detectors that the first one is drawn against."""


def plot_roc_curves(comparison: Comparison, path: Path, note: str) -> None:
    """Plot the ROC curves with their 95 % bands, and their part up to 10 % false positives."""
    paired = comparison.headline.paired
    figure, panels = new_figure(10.4, 5.6, columns=2)
    alpha = 0.18 * min(1, MAX_BANDS / len(comparison.detectors))
    for position, detector in enumerate(comparison.detectors):
        colour, line = CURVES[position % len(CURVES)], LINES[position // len(CURVES) % len(LINES)]
        counts = roc_counts(paired.videos.label, paired.scores[position])
        area, (low, high) = paired.metric(position, "auc"), paired.band(position)
        if not counts.has_both:
            continue
        interval = "" if np.isnan(area.low) else f" [{area.low:.3f}, {area.high:.3f}]"
        label = f"{_short(detector.marked_name)}: AUC {area.value:.3f}{interval}"
        for axes in panels:
            axes.fill_between(FALSE_POSITIVE_RATES, low, high, color=colour, alpha=alpha, lw=0)
            rates = counts.false_positives / counts.reals, counts.true_positives / counts.fakes
            axes.plot(*rates, color=colour, ls=line, label=label)
    for axes, limit in zip(panels, (1, 0.1), strict=True):
        axes.plot([0, limit], [0, limit], color=GUIDE, lw=1, ls="--", label="chance")
        axes.set(xlabel="false positive rate (share of reals)", xlim=(0, limit), ylim=(0, 1))
        axes.grid(color="#E5E5E5", lw=0.6)
    panels[0].set_ylabel("true positive rate (share of fakes)")
    panels[1].set_title("up to 10 % false positives", fontsize=9)
    _plain_legend(panels[0], loc="lower right", fontsize=8)
    save_figure(figure, path, "ROC, 95 % bands over people", note)


def plot_score_distributions(comparison: Comparison, path: Path, note: str) -> None:
    """Plot a histogram of the scores of each detector, of reals and fakes, with its threshold."""
    paired = comparison.headline.paired
    count = len(comparison.detectors)
    columns = min(count, 3)
    figure, panels = _grid(4.2, 3.4, count, columns)
    for position, (detector, axes) in enumerate(zip(comparison.detectors, panels, strict=False)):
        scores = _finite(paired.scores[position])
        edges = np.histogram_bin_edges(
            np.append(scores, [] if np.isnan(detector.threshold) else detector.threshold), bins=30
        )
        for label, name, colour in ((0, "real", REAL), (1, "fake", FAKE)):
            chosen = scores[paired.videos.label == label]
            shares = np.histogram(chosen, edges)[0] / max(len(chosen), 1)
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(shares, edges, color=colour, lw=1.5, label=f"{name} ({len(chosen)})")
        if not np.isnan(detector.threshold):
            axes.axvline(detector.threshold, color="black", lw=1.2, ls="--", label="threshold")
        axes.set_title(_short(detector.name), fontsize=10, parse_math=False)
        axes.set(xlabel=_axis_label(comparison, position), ylabel="share of the videos of its class")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8)
    save_figure(figure, path, "Score distributions", note)


def plot_scatter(comparison: Comparison, path: Path, note: str) -> None:
    """Plot the scores of the first detector against those of the next `MAX_PANELS`, and name their disagreements."""
    paired = comparison.headline.paired
    count = len(comparison.detectors) - 1
    others = range(1, min(count, MAX_PANELS) + 1)
    columns = min(len(others), 2)
    figure, panels = _grid(5.4, 6.6, len(others), columns)
    for second, axes in zip(others, panels, strict=False):
        found = disagreements(paired, 0, second)
        _scatter(axes, paired, second, found)
        axes.set_xlabel(f"{_short(comparison.detectors[0].name)}: {_axis_label(comparison, 0)}", parse_math=False)
        axes.set_ylabel(
            f"{_short(comparison.detectors[second].name)}: {_axis_label(comparison, second)}", parse_math=False
        )
        names = (comparison.detectors[0].name, comparison.detectors[second].name)
        wins = [sum(one.right == side for one in found) for side in (0, 1)]
        kind = "disagreements"
        if np.isnan(paired.thresholds[[0, second]]).any():
            kind = f"videos whose ranks differ by more than {MAX_RANK_DISTANCE:.0%}"
        title = f"{len(found)} {kind}\n{_short(names[0])} is right in {wins[0]}, {_short(names[1])} in {wins[1]}"
        axes.set_title(title, fontsize=8, parse_math=False)
    part = f" (the first one against {len(others)} of {count} others)" if count > len(others) else ""
    save_figure(figure, path, f"Scores of two detectors{part}", note)


def _scatter(axes: Any, paired: Paired, second: int, found: list[Disagreement]) -> None:
    x, y = _finite(paired.scores[0]), _finite(paired.scores[second])
    for label, name, colour, marker in ((0, "real", REAL, "o"), (1, "fake", FAKE, "^")):
        chosen = paired.videos.label == label
        axes.scatter(x[chosen], y[chosen], s=16, color=colour, alpha=0.55, lw=0, marker=marker, label=name)
    for threshold, line in ((paired.thresholds[0], axes.axvline), (paired.thresholds[second], axes.axhline)):
        if not np.isnan(threshold):
            line(threshold, color="black", lw=0.8, ls="--")
    positions = {record.key: i for i, record in enumerate(paired.videos.records)}
    names = []
    for number, one in enumerate(found[:MAX_LABELLED], start=1):
        place = positions[one.record.key]
        axes.scatter(x[place], y[place], s=46, facecolor="none", edgecolor="black", lw=0.8)
        axes.annotate(str(number), (x[place], y[place]), xytext=(4, 4), textcoords="offset points", fontsize=8)
        names.append(f"{number}  {_short(one.record.path)} ({one.record.label.name.lower()})")
    if len(found) > MAX_LABELLED:
        names.append(f"and {len(found) - MAX_LABELLED} more in disagreements.csv")
    # Below the axes, because the names are long.
    axes.text(
        *(0, -0.16, "\n".join(names)), transform=axes.transAxes, va="top", fontsize=7, color="black", parse_math=False
    )
    _plain_legend(axes, loc="upper right", bbox_to_anchor=(1.02, -0.14), fontsize=8)  # beside the names


def _grid(width: float, height: float, count: int, columns: int) -> tuple[Any, list[Any]]:
    """A figure with panels of this size in inches; those that are not used are removed."""
    rows = -(-count // columns)
    figure, axes = new_figure(width * columns, height * rows, columns=columns, rows=rows, sharex=False)
    panels = list(np.atleast_1d(axes).flat)
    for unused in panels[count:]:
        unused.remove()
    return figure, panels[:count]


def _axis_label(comparison: Comparison, position: int) -> str:
    detector = comparison.detectors[position]
    column = _short(detector.file.score_column)
    return f"-{column}" if detector.direction == "real-high" else column


def _finite(scores: np.ndarray) -> np.ndarray:
    """Infinite scores, and those that axes overflow at, as the largest other ones, so that they are drawn at the
    edge."""
    known = scores[np.abs(scores) < 1e300]
    return np.clip(scores, known.min(), known.max()) if len(known) else np.sign(scores)


def _plain_legend(axes: Any, **style: Any) -> None:
    for text in axes.legend(edgecolor="none", **style).get_texts():
        text.set_parse_math(False)


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME // 2 - 1]}...{name[-MAX_NAME // 2 + 2 :]}"
