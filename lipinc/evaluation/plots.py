"""Plots of a run as PNG files: ROC, precision-recall, scores, confusion matrix, learning curves, conditions.

Every plot takes a title and a note, a small text below the plot.
"""

import itertools
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lipinc.evaluation.metrics import Interval, roc_counts
from lipinc.evaluation.predictions import Predictions
from lipinc.files.figures import DPI, FAKE, GUIDE, REAL, write_png
from lipinc.synthesis.perturbations import ENCODINGS, LEVELS, RAW, parse_crf, perturbation_series

CURVE = "#0072B2"
SECOND_CURVE = "#E69F00"
TERM_CURVES = (SECOND_CURVE, "#CC79A7", "#56B4E9")

SCORE_LABEL = "score of a video: mean logit(fake) - logit(real)"


def plot_roc(predictions: Predictions, path: Path, title: str, note: str = "") -> None:
    """Plot the ROC curve. Without reals, fakes or finite scores, only the chance line is drawn."""
    counts = roc_counts(predictions.label, predictions.score)
    area = counts.auc()
    figure, axes = new_figure(5.4, 5.2)
    if not np.isnan(area):
        false_positive_rate = counts.false_positives / counts.reals
        true_positive_rate = counts.true_positives / counts.fakes
        axes.plot(false_positive_rate, true_positive_rate, color=CURVE, lw=2, label=f"AUC {area:.3f}", clip_on=False)
    else:
        axes.plot([], [], color=CURVE, lw=2, label="AUC -")
    axes.plot([0, 1], [0, 1], color=GUIDE, lw=1, ls="--", label="chance 0.500")
    axes.set(xlabel="false positive rate (share of reals)", ylabel="true positive rate (share of fakes)")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="lower right", title=_counts(predictions), edgecolor="none")
    save_figure(figure, path, title, note)


def plot_precision_recall(predictions: Predictions, path: Path, title: str, note: str = "") -> None:
    """Plot precision over recall as steps, as in the average precision. Chance is the fraction of fakes."""
    counts = roc_counts(predictions.label, predictions.score)
    precision_mean = counts.average_precision()
    figure, axes = new_figure(5.4, 5.2)
    if not np.isnan(precision_mean):
        recall = counts.true_positives / counts.fakes
        precision = counts.true_positives[1:] / (counts.true_positives + counts.false_positives)[1:]
        axes.stairs(
            precision, recall, baseline=None, color=CURVE, lw=2, label=f"AP {precision_mean:.3f}", clip_on=False
        )
        chance = counts.fakes / (counts.fakes + counts.reals)
        axes.axhline(chance, color=GUIDE, lw=1, ls="--", label=f"chance {chance:.3f}")
    else:
        axes.plot([], [], color=CURVE, lw=2, label="AP -")
    axes.set(xlabel="recall (share of fakes)", ylabel="precision (share of flagged videos)")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(loc="lower left", title=_counts(predictions), edgecolor="none")
    save_figure(figure, path, title, note)


def plot_score_histogram(predictions: Predictions, threshold: float, path: Path, title: str, note: str = "") -> None:
    """Plot score histograms of reals and fakes, each normalised to its class, with the threshold; finite scores
    only."""
    figure, axes = new_figure(6.4, 4.2)
    finite = predictions.select(np.isfinite(predictions.score))
    # Include the threshold, so that it is always visible.
    edges = np.histogram_bin_edges(np.append(finite.score, threshold), bins=30)
    for label, name, colour in ((0, "real", REAL), (1, "fake", FAKE)):
        scores = finite.score[finite.label == label]
        shares = np.histogram(scores, edges)[0] / max(len(scores), 1)
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(shares, edges, color=colour, lw=1.5, label=f"{name} ({len(scores)})")
    axes.axvline(threshold, color="black", lw=1.2, ls="--", label=f"threshold {threshold:.2f}")
    axes.set(xlabel=SCORE_LABEL, ylabel="share of the videos of its class")
    axes.set_ylim(bottom=0)
    # Above the axes, so that it hides no bars.
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    save_figure(figure, path, title, note)


def plot_confusion(predictions: Predictions, threshold: float, path: Path, title: str, note: str = "") -> None:
    """Plot the confusion matrix: counts, and fractions of each true class. Videos with a nan score are not counted."""
    predicted = [predictions.score < threshold, predictions.score >= threshold]
    count = np.array([[np.sum((predictions.label == truth) & chosen) for chosen in predicted] for truth in (0, 1)])
    videos = np.array([[np.sum(predictions.label == truth)] for truth in (0, 1)])
    share = np.divide(count, videos, out=np.full((2, 2), np.nan), where=videos > 0)
    figure, axes = new_figure(4.8, 4.4)
    axes.imshow(np.nan_to_num(share), cmap="Blues", vmin=0, vmax=1)
    for truth in (0, 1):
        for prediction in (0, 1):
            fraction = share[truth, prediction]
            percent = "-" if np.isnan(fraction) else f"{fraction:.0%}"
            colour = "white" if fraction > 0.55 else "black"
            text = f"{count[truth, prediction]}\n{percent}"
            axes.text(prediction, truth, text, ha="center", va="center", color=colour, fontsize=15)
    axes.set_xticks([0, 1], ["real", "fake"])
    axes.set_yticks([0, 1], [f"real\n({videos[0, 0]})", f"fake\n({videos[1, 0]})"])
    axes.set(xlabel=f"prediction (fake if score >= {threshold:.2f})", ylabel="truth (videos)")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    save_figure(figure, path, title, note)


def plot_learning_curves(rows: list[dict[str, float]], best_epoch: int, path: Path, title: str, note: str = "") -> None:
    """Plot losses (left) and validation AUC (right) over the epochs.

    Args:
        rows: one row per epoch with epoch, train_loss, train_<term> for each loss term, validation_loss and
            validation_auc; nan leaves a gap.
        best_epoch: the epoch to mark.
        path: the PNG file.
        title: title of the plot.
        note: text below the plot.
    """
    columns = {name: np.array([float(row[name]) for row in rows]) for name in (rows[0] if rows else ())}
    epochs = columns.get("epoch", np.zeros(0))
    figure, (losses, areas) = new_figure(9.6, 4.4, columns=2)
    # Markers, because a single epoch draws no line.
    style = {"marker": "o", "ms": 3}
    terms = [name for name in columns if name.startswith("train_") and name != "train_loss"]
    styles = itertools.cycle(zip(TERM_CURVES, ("--", ":", "-."), strict=True))
    curves = [
        ("train_loss", "training, total", CURVE, "-"),
        *((name, f"training, {name.removeprefix('train_')}", *each) for name, each in zip(terms, styles, strict=False)),
        ("validation_loss", "validation, classification", FAKE, "-"),
    ]
    for name, label, colour, dashes in curves:
        if name in columns and not np.isnan(columns[name]).all():
            losses.plot(epochs, columns[name], color=colour, ls=dashes, label=label, **style)
    if "validation_auc" in columns:
        areas.plot(epochs, columns["validation_auc"], color=REAL, label="validation AUC", **style)
        best = columns["validation_auc"][epochs == best_epoch]
        areas.axhline(0.5, color=GUIDE, lw=1, ls="--", label="chance")
        value = f", AUC {best[0]:.3f}" if len(best) and not np.isnan(best[0]) else ""
        areas.axvline(best_epoch, color="black", lw=1, ls=":", label=f"best epoch {best_epoch}{value}")
        losses.axvline(best_epoch, color="black", lw=1, ls=":")
    losses.set(xlabel="epoch", ylabel="loss (mean over clips)")
    areas.set(xlabel="epoch", ylabel="AUC (videos)", ylim=(-0.02, 1.02))
    for axes in (losses, areas):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(color="#E5E5E5", lw=0.6)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
    save_figure(figure, path, title, note)


def plot_conditions(areas: dict[str, Interval], path: Path, title: str, note: str = "") -> None:
    """Plot AUC over the level of each perturbation and over the constant rate factor of H.264, starting at raw.

    Args:
        areas: condition -> AUC with its interval, which is drawn as a band.
        path: the PNG file.
        title: title of the plot.
        note: text below the plot.
    """
    curves = {
        name: [(level, areas[condition]) for level, condition in enumerate(conditions, start=1) if condition in areas]
        for name, conditions in perturbation_series().items()
        if name != "crf"
    }
    rates = {parse_crf(condition): area for condition, area in areas.items() if parse_crf(condition) is not None}
    curves["H.264, constant rate factor"] = sorted(rates.items())
    platforms = [condition for condition in ENCODINGS if condition in areas]
    curves["platforms"] = [(level, areas[condition]) for level, condition in enumerate(platforms, start=1)]
    curves = {name: points for name, points in curves.items() if points}
    columns = min(4, len(curves))
    rows = -(-len(curves) // columns) if curves else 1
    figure = Figure(figsize=(3.4 * max(columns, 1.6), 2.9 * rows), dpi=DPI, layout="constrained")
    panels = figure.subplots(rows, max(columns, 1), sharey=True, squeeze=False).flat
    for (name, points), axes in zip(curves.items(), panels, strict=False):
        if RAW in areas:
            start = min(level for level, _ in points) - (1 if points[0][0] <= LEVELS else 5)
            points = [(start, areas[RAW]), *points]
            labels = platforms if name == "platforms" else [str(level) for level, _ in points[1:]]
            axes.set_xticks([level for level, _ in points], ["raw", *labels])
        levels, values = [level for level, _ in points], [area for _, area in points]
        if name == "platforms":  # not an order of strengths
            axes.vlines(levels, [v.low for v in values], [v.high for v in values], color=CURVE, alpha=0.3, lw=4)
        else:
            axes.fill_between(levels, [v.low for v in values], [v.high for v in values], color=CURVE, alpha=0.15, lw=0)
        axes.plot(levels, [v.value for v in values], color=CURVE, lw=0 if name == "platforms" else 2, marker="o", ms=4)
        axes.axhline(0.5, color=GUIDE, lw=1, ls="--")
        axes.set(title=name, ylim=(0.2, 1.02))
        axes.grid(color="#E5E5E5", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels:
        axes.set_axis_off()
    figure.supylabel("AUC (videos), 95 % interval", fontsize=9)
    save_figure(figure, path, title, note)


def plot_cross_dataset(rows: list[dict[str, Any]], path: Path, title: str, note: str = "") -> None:
    """Plot AUC with its interval (left) and the share of real people accused (right) of each data set and checkpoint.

    Args:
        rows: those of `cross_dataset.summary_rows`, under one condition.
        path: the PNG file.
        title: title of the plot.
        note: text below the plot.
    """
    names = list(dict.fromkeys(row["data_set"] for row in rows))
    checkpoints = list(dict.fromkeys(row["checkpoint"] for row in rows))
    figure, (areas, accused) = new_figure(9.6, 1.8 + 0.3 * len(rows), columns=2)
    palette = itertools.cycle((CURVE, *TERM_CURVES))
    for number, (checkpoint, colour) in enumerate(zip(checkpoints, palette, strict=False)):
        own = [row for row in rows if row["checkpoint"] == checkpoint]
        heights = [names.index(row["data_set"]) + 0.6 * ((number + 0.5) / len(checkpoints) - 0.5) for row in own]
        style = {"color": colour, "lw": 0, "marker": "o", "ms": 5, "label": checkpoint}
        areas.hlines(heights, [r["auc_low"] for r in own], [r["auc_high"] for r in own], color=colour, alpha=0.35, lw=4)
        areas.plot([row["auc"] for row in own], heights, **style)
        accused.plot([row["reals_accused"] for row in own], heights, **style)
    areas.axvline(0.5, color=GUIDE, lw=1, ls="--")
    areas.set(xlabel="AUC (videos), 95 % interval", xlim=(0.2, 1.02))
    accused.set(xlabel="share of real people accused", xlim=(-0.02, 1.02))
    for axes in (areas, accused):
        axes.set_yticks(range(len(names)), names if axes is areas else [""] * len(names), parse_math=False)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(color="#E5E5E5", lw=0.6, axis="x")
    if len(checkpoints) > 1:
        accused.legend(frameon=False, fontsize=8)
    save_figure(figure, path, title, note)


def new_figure(
    width: float, height: float, columns: int = 1, rows: int = 1, *, sharex: bool = True
) -> tuple[Figure, Any]:
    """Create a figure of width x height inches, and its axes (an array if there are several); rows can share their
    x axis."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    axes = figure.subplots(rows, columns, sharex=sharex and rows > 1)
    for each in figure.axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _counts(predictions: Predictions) -> str:
    fakes = int(np.sum(predictions.label == 1))
    return f"videos: {len(predictions) - fakes} real, {fakes} fake"


def save_figure(figure: Figure, path: Path, title: str, note: str) -> None:
    """Add title and note to a figure and write it as PNG."""
    # An inch holds about 14 characters at the font size of the title and 19 at that of the note; fewer leave a margin.
    width = figure.get_figwidth()
    figure.suptitle(textwrap.fill(title, int(11 * width)), fontsize=11, parse_math=False)
    if note:
        figure.supxlabel(textwrap.fill(note, int(16 * width)), fontsize=7, color=GUIDE, parse_math=False)
    write_png(figure, path)
