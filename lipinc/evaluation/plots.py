"""The pictures of a run, as PNG files: ROC, precision-recall, scores, confusion, learning curves, mouth strips.

Every plot takes a title and a note, which stands small below it. Figures never touch pyplot's global state, so they
can be drawn in any thread and without a display.
"""

import io
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lipinc.evaluation.metrics import Interval, Predictions, auc, average_precision, roc_counts
from lipinc.files.atomic import write_atomically
from lipinc.synthesis.perturbations import LEVELS, RAW, parse_crf, perturbation_series

# Okabe and Ito's palette, which colour-blind readers can tell apart.
REAL = "#009E73"
FAKE = "#D55E00"
CURVE = "#0072B2"
SECOND_CURVE = "#E69F00"
GUIDE = "#666666"

DPI = 120
SEPARATOR = 3
"""Between the frames of a mouth strip, and between them and the residues, in px."""
SEAM = 12
"""Between the local and the global frames of a mouth strip, in px."""
SCORE_LABEL = "score of a video: mean logit(fake) - logit(real)"


def plot_roc(predictions: Predictions, path: Path, title: str, note: str = "") -> None:
    """ROC of the videos. Without reals, fakes or numeric scores there is no curve, only the chance line."""
    counts = roc_counts(predictions.label, predictions.score)
    area = auc(predictions.label, predictions.score)
    figure, axes = _figure(5.4, 5.2)
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
    _save(figure, path, title, note)


def plot_precision_recall(predictions: Predictions, path: Path, title: str, note: str = "") -> None:
    """Precision over recall of the fakes, by steps, as the average precision sums it; chance is the share of fakes."""
    counts = roc_counts(predictions.label, predictions.score)
    precision_mean = average_precision(predictions.label, predictions.score)
    figure, axes = _figure(5.4, 5.2)
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
    _save(figure, path, title, note)


def plot_score_histogram(predictions: Predictions, threshold: float, path: Path, title: str, note: str = "") -> None:
    """Scores of reals and of fakes, each as shares of its class, with the threshold. Only finite scores are drawn."""
    figure, axes = _figure(6.4, 4.2)
    finite = predictions.select(np.isfinite(predictions.score))
    # The threshold among the values, so that it is always in view.
    edges = np.histogram_bin_edges(np.append(finite.score, threshold), bins=30)
    for label, name, colour in ((0, "real", REAL), (1, "fake", FAKE)):
        scores = finite.score[finite.label == label]
        shares = np.histogram(scores, edges)[0] / max(len(scores), 1)
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(shares, edges, color=colour, lw=1.5, label=f"{name} ({len(scores)})")
    axes.axvline(threshold, color="black", lw=1.2, ls="--", label=f"threshold {threshold:.2f}")
    axes.set(xlabel=SCORE_LABEL, ylabel="share of the videos of its class")
    axes.set_ylim(bottom=0)
    # Above the axes, where it hides no bar.
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    _save(figure, path, title, note)


def plot_confusion(predictions: Predictions, threshold: float, path: Path, title: str, note: str = "") -> None:
    """Counts of truth against prediction, and their shares of each truth. A score that is no number is in no cell."""
    judged = [predictions.score < threshold, predictions.score >= threshold]
    count = np.array([[np.sum((predictions.label == truth) & said) for said in judged] for truth in (0, 1)])
    videos = np.array([[np.sum(predictions.label == truth)] for truth in (0, 1)])
    share = np.divide(count, videos, out=np.full((2, 2), np.nan), where=videos > 0)
    figure, axes = _figure(4.8, 4.4)
    axes.imshow(np.nan_to_num(share), cmap="Blues", vmin=0, vmax=1)
    for truth in (0, 1):
        for said in (0, 1):
            percent = "-" if np.isnan(share[truth, said]) else f"{share[truth, said]:.0%}"
            colour = "white" if share[truth, said] > 0.55 else "black"
            text = f"{count[truth, said]}\n{percent}"
            axes.text(said, truth, text, ha="center", va="center", color=colour, fontsize=15)
    axes.set_xticks([0, 1], ["real", "fake"])
    axes.set_yticks([0, 1], [f"real\n({videos[0, 0]})", f"fake\n({videos[1, 0]})"])
    axes.set(xlabel=f"judged (fake from a score of {threshold:.2f} on)", ylabel="truth (videos)")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    _save(figure, path, title, note)


def plot_learning_curves(rows: list[dict[str, float]], best_epoch: int, path: Path, title: str, note: str = "") -> None:
    """Losses at the left and validation AUC at the right, over the epochs.

    rows: one an epoch, with epoch, train_loss, train_classification, train_inconsistency, validation_loss and
    validation_auc; nan leaves a gap, and a loss that is nan throughout (not computed) is not drawn.
    """
    columns = {name: np.array([float(row[name]) for row in rows]) for name in (rows[0] if rows else ())}
    epochs = columns.get("epoch", np.zeros(0))
    figure, (losses, areas) = _figure(9.6, 4.4, columns=2)
    curves = (
        ("train_loss", "training, total", CURVE, "-"),
        ("train_classification", "training, classification", SECOND_CURVE, "--"),
        ("train_inconsistency", "training, inconsistency", "#CC79A7", ":"),
        ("validation_loss", "validation, classification", FAKE, "-"),
    )
    # Markers, because a run of one epoch has no line.
    style = {"marker": "o", "ms": 3}
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
    _save(figure, path, title, note)


def plot_conditions(areas: dict[str, Interval], path: Path, title: str, note: str = "") -> None:
    """AUC over the level of each perturbation that is there, and over the constant rate factor, from raw on. areas:
    condition -> AUC and its interval, drawn as a band."""
    curves = {
        name: [(level, areas[condition]) for level, condition in enumerate(conditions, start=1) if condition in areas]
        for name, conditions in perturbation_series().items()
        if name != "crf"
    }
    rates = {parse_crf(condition): area for condition, area in areas.items() if parse_crf(condition) is not None}
    curves["H.264, constant rate factor"] = sorted(rates.items())
    curves = {name: points for name, points in curves.items() if points}
    columns = min(4, len(curves))
    rows = -(-len(curves) // columns) if curves else 1
    figure = Figure(figsize=(3.4 * max(columns, 1.6), 2.9 * rows), dpi=DPI, layout="constrained")
    panels = figure.subplots(rows, max(columns, 1), sharey=True, squeeze=False).flat
    for (name, points), axes in zip(curves.items(), panels, strict=False):
        if RAW in areas:
            start = min(level for level, _ in points) - (1 if points[0][0] <= LEVELS else 5)
            points = [(start, areas[RAW]), *points]
            axes.set_xticks([level for level, _ in points], ["raw", *(str(level) for level, _ in points[1:])])
        levels, values = [level for level, _ in points], [area for _, area in points]
        axes.fill_between(levels, [v.low for v in values], [v.high for v in values], color=CURVE, alpha=0.15, lw=0)
        axes.plot(levels, [v.value for v in values], color=CURVE, lw=2, marker="o", ms=4)
        axes.axhline(0.5, color=GUIDE, lw=1, ls="--")
        axes.set(title=name, ylim=(0.2, 1.02))
        axes.grid(color="#E5E5E5", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels:
        axes.set_axis_off()
    figure.supylabel("AUC (videos), 95 % interval", fontsize=9)
    _save(figure, path, title, note)


def plot_growth(
    seconds: dict[str, tuple[list[int], list[float]]],
    megabytes: dict[str, tuple[list[int], list[float]]],
    path: Path,
    title: str,
    note: str = "",
) -> None:
    """Time at the left and memory at the right over the number of videos, a curve a step of the work: its name, and its
    numbers of videos and values. Both axes of the times are logarithmic: beside each curve a dashed line shows what
    growth in proportion would be."""
    figure, (times, memory) = _figure(9.6, 4.4, columns=2)
    for colour, (name, (videos, values)) in zip((CURVE, SECOND_CURVE, REAL, FAKE), seconds.items(), strict=False):
        times.plot(videos, values, color=colour, lw=2, marker="o", ms=4, label=name)
        times.plot(videos, [values[-1] * count / videos[-1] for count in videos], color=colour, lw=1, ls="--")
    times.set(xlabel="videos", ylabel="seconds", xscale="log", yscale="log")
    for colour, (name, (videos, values)) in zip((CURVE, SECOND_CURVE, REAL, FAKE), megabytes.items(), strict=False):
        memory.plot(videos, values, color=colour, lw=2, marker="o", ms=4, label=name)
    largest = max(max(values) for _, values in megabytes.values())
    memory.set(xlabel="videos", ylabel="peak memory (MB)", xscale="log", ylim=(0, 1.25 * largest))
    for axes in (times, memory):
        axes.grid(color="#E5E5E5", lw=0.6)
        axes.legend(frameon=False, fontsize=8)
    _save(figure, path, title, note)


def plot_steady_state(
    done: list[int],
    megabytes: dict[str, list[float]],
    files: list[int],
    speed: tuple[list[int], list[float]],
    path: Path,
    title: str,
    note: str = "",
) -> None:
    """Memory of processes by name, open files and speed below each other over the number of videos done: `done` is that
    of memory and files, `speed` has its own."""
    figure, (memory_axes, files_axes, speed_axes) = _figure(8, 8, rows=3)
    for colour, (name, values) in zip((CURVE, SECOND_CURVE, REAL, FAKE), megabytes.items(), strict=False):
        memory_axes.plot(done, values, color=colour, label=name)
    memory_axes.legend(frameon=False, fontsize=8)
    files_axes.plot(done, files, color=CURVE)
    speed_axes.plot(*speed, color=CURVE)
    memory_axes.set(ylabel="resident memory (MB)", ylim=(0, None))
    files_axes.set(ylabel="open files", ylim=(0, None))
    speed_axes.set(ylabel="videos/s", xlabel="videos done", ylim=(0, None))
    _save(figure, path, title, note)


def mouth_strip(frames: np.ndarray, residues: np.ndarray, local_frames: int) -> np.ndarray:
    """One clip as a picture: its frames in a row, and below the second frame of each pair that pair's residue.

    frames: uint8 [N, H, W, 3], BGR; residues: uint8 [N - 1, H, W, 3]; local_frames: how many of the N come before the
    wider gap. Returns uint8 [2 H + SEPARATOR, N W + gaps, 3], BGR, on white.
    """
    count, height, width, _ = frames.shape
    gaps = [SEAM if i == local_frames else SEPARATOR for i in range(1, count)]
    lefts = np.cumsum([0, *(width + gap for gap in gaps)])
    strip = np.full((2 * height + SEPARATOR, lefts[-1] + width, 3), 255, np.uint8)
    for left, frame in zip(lefts, frames, strict=True):
        strip[:height, left : left + width] = frame
    for left, residue in zip(lefts[1:], residues, strict=True):
        strip[height + SEPARATOR :, left : left + width] = residue
    return strip


def contact_sheet(
    items: list[tuple[str, np.ndarray, np.ndarray]], path: Path, title: str, local_frames: int, note: str = ""
) -> None:
    """Mouth strips below each other, pixel for pixel, each under its caption.

    items: caption, frames, residues (see `mouth_strip`). A caption says first what the clip is, as in
    "real  id00076/00109.mp4  window 0": that colours it.
    """
    strips = [(caption, mouth_strip(frames, residues, local_frames)) for caption, frames, residues in items]
    margin, caption_height, gap, title_height = 16, 20, 14, 40
    width = 2 * margin + max([640, *(strip.shape[1] for _, strip in strips)])
    # About 6.5 px a letter at this size.
    note_lines = textwrap.wrap(note, (width - 2 * margin) // 7)
    height = title_height + sum(caption_height + strip.shape[0] + gap for _, strip in strips)
    height += 14 * len(note_lines) + margin
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")

    def write(text: str, top: float, **style) -> None:
        figure.text(margin / width, 1 - top / height, text, va="top", parse_math=False, **style)

    write(title, 10, fontsize=11, color="black")
    top = title_height
    for caption, strip in strips:
        colour = {"real": REAL, "fake": FAKE}.get(caption.split(" ", 1)[0], "black")
        write(caption, top + 3, fontsize=8, color=colour, fontweight="bold")
        top += caption_height
        # figimage counts from the bottom.
        figure.figimage(strip[:, :, ::-1], margin, height - top - strip.shape[0], origin="upper")
        top += strip.shape[0] + gap
    for line in note_lines:
        write(line, top, fontsize=7, color=GUIDE)
        top += 14
    _write(figure, path)


def _figure(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, Any]:
    """A figure of width x height inches, and its axes (an array of them if there are several)."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    axes = figure.subplots(rows, columns, sharex=rows > 1)
    for each in figure.axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _counts(predictions: Predictions) -> str:
    fakes = int(np.sum(predictions.label == 1))
    return f"videos: {len(predictions) - fakes} real, {fakes} fake"


def _save(figure: Figure, path: Path, title: str, note: str) -> None:
    # The default font sets about 14 letters an inch at the title's size and 19 at the note's; fewer leave a margin.
    width = figure.get_figwidth()
    figure.suptitle(textwrap.fill(title, int(11 * width)), fontsize=11, parse_math=False)
    if note:
        figure.supxlabel(textwrap.fill(note, int(16 * width)), fontsize=7, color=GUIDE, parse_math=False)
    _write(figure, path)


def _write(figure: Figure, path: Path) -> None:
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    write_atomically(Path(path), png.getvalue())
