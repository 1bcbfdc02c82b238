"""Figure output: matplotlib figures as PNG files, and the colours that all plots share.

pyplot is not used, so figures can be drawn in any thread and without a display.
"""

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lipinc.files.atomic import write_atomically

# The palette of Okabe and Ito, which is safe for colour-blind readers.
REAL = "#009E73"
FAKE = "#D55E00"
GUIDE = "#666666"
DPI = 120


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure atomically. Creates the folder."""
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    write_atomically(Path(path), png.getvalue())
