"""Matplotlib figures as PNG files, and the colours that all of them share.

Figures never touch pyplot's global state, so they can be drawn in any thread and without a display.
"""

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lipinc.files.atomic import write_atomically

# Okabe and Ito's palette, which colour-blind readers can tell apart.
REAL = "#009E73"
FAKE = "#D55E00"
GUIDE = "#666666"
DPI = 120


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure, atomically. Makes its folder."""
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    write_atomically(Path(path), png.getvalue())
