"""Figures of the benchmarks."""

from pathlib import Path

import numpy as np

from lipinc.evaluation.plots import CURVE, SECOND_CURVE, new_figure, save_figure
from lipinc.files.figures import FAKE, GUIDE, REAL


def plot_growth(
    seconds: dict[str, tuple[list[int], list[float]]],
    megabytes: dict[str, tuple[list[int], list[float]]],
    path: Path,
    title: str,
    note: str = "",
) -> None:
    """Plot time (left) and memory (right) over the number of videos.

    Times have logarithmic axes, and with each curve a dashed line shows proportional growth.

    Args:
        seconds, megabytes: for each curve, by its name, the numbers of videos and the values.
    """
    figure, (times, memory) = new_figure(9.6, 4.4, columns=2)
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
    save_figure(figure, path, title, note)


def plot_found(
    curves: dict[str, tuple[np.ndarray, np.ndarray]], path: Path, title: str, note: str = "", most: float = 0.1
) -> None:
    """Plot the fraction of forged stretches that are found over the fraction of real minutes that are flagged.

    Args:
        curves: both fractions, for each kind of real videos, by its name.
        most: largest fraction of real minutes shown.
    """
    figure, axes = new_figure(5.4, 4.4)
    for colour, (name, (flagged, found)) in zip((CURVE, SECOND_CURVE, REAL, FAKE), curves.items(), strict=False):
        axes.plot(flagged, found, color=colour, lw=2, label=name)
    axes.axvline(0.02, color=GUIDE, lw=1, ls="--", label="2 % of real minutes")
    axes.set(xlabel="real minutes flagged", ylabel="forged stretches found", xlim=(0, most), ylim=(0, 1))
    axes.grid(color="#E5E5E5", lw=0.6)
    axes.legend(frameon=False, fontsize=8)
    save_figure(figure, path, title, note)


def plot_steady_state(
    done: list[int],
    megabytes: dict[str, list[float]],
    files: list[int],
    speed: tuple[list[int], list[float]],
    path: Path,
    title: str,
    note: str = "",
) -> None:
    """Plot memory, open files and speed, below each other, over the number of videos done.

    Args:
        done: numbers of videos at which memory and files were sampled.
        megabytes: resident memory by name of the process.
        speed: numbers of videos, and videos per second.
    """
    figure, (memory_axes, files_axes, speed_axes) = new_figure(8, 8, rows=3)
    for colour, (name, values) in zip((CURVE, SECOND_CURVE, REAL, FAKE), megabytes.items(), strict=False):
        memory_axes.plot(done, values, color=colour, label=name)
    memory_axes.legend(frameon=False, fontsize=8)
    files_axes.plot(done, files, color=CURVE)
    speed_axes.plot(*speed, color=CURVE)
    memory_axes.set(ylabel="resident memory (MB)", ylim=(0, None))
    files_axes.set(ylabel="open files", ylim=(0, None))
    speed_axes.set(ylabel="videos/s", xlabel="videos done", ylim=(0, None))
    save_figure(figure, path, title, note)
