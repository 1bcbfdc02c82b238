"""Contact sheet: a picture of extracted clips for checking the mouth crops at a glance."""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lipinc.cache.clip_file import read_clips
from lipinc.cache.manifest import OK, ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import Config
from lipinc.datasets.records import Label
from lipinc.files.figures import DPI, FAKE, GUIDE, REAL, write_png

VIDEOS_PER_LABEL = 6
SEPARATOR = 3
"""Gap between neighbouring frames of a mouth strip, and between frames and residues, in px."""
SEAM = 12
"""Gap between the local and the global frames of a mouth strip, in px."""


def write_contact_sheet(cache: Cache, manifest: list[ManifestRow], config: Config) -> Path | None:
    """Write <cache>/contact_sheet.png: the first window of some real and fake videos, spread over the manifest.

    Returns:
        The path of the picture; None if no video has clips.
    """
    items = []
    for label in Label:
        rows = [row for row in manifest if row.status == OK and row.record.label == label]
        for position in np.unique(np.linspace(0, len(rows) - 1, min(len(rows), VIDEOS_PER_LABEL)).round().astype(int)):
            key = rows[position].record.key
            clips = read_clips(cache.clips_file(key))
            items.append((f"{label.name.lower()}  {key}  window 0", *clips.window(0)))
    if not items:
        return None
    path = cache.path / "contact_sheet.png"
    contact_sheet(
        items, path, f"mouths and {config.mouth.residue} residues", config.sampling.local_frames, config.data.note
    )
    return path


def mouth_strip(frames: np.ndarray, residues: np.ndarray, local_frames: int) -> np.ndarray:
    """Draw one clip: the frames in a row, and each residue below the later frame of its pair.

    Args:
        frames: (N, H, W, 3) uint8 BGR.
        residues: (N - 1, H, W, 3) uint8.
        local_frames: number of frames before the wider gap.

    Returns:
        (2 H + SEPARATOR, N W + gaps, 3) uint8 BGR, on white.
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
    """Write a picture of several mouth strips at native resolution, each below its caption.

    Args:
        items: caption, frames and residues of each clip (see `mouth_strip`). A caption starts with the label, which
            sets its colour: "real  id00076/00109.mp4  window 0".
        path: the PNG file.
        title: title of the picture.
        local_frames: number of local frames per clip.
        note: small text below the strips.
    """
    strips = [(caption, mouth_strip(frames, residues, local_frames)) for caption, frames, residues in items]
    margin, caption_height, gap, title_height = 16, 20, 14, 40
    width = 2 * margin + max([640, *(strip.shape[1] for _, strip in strips)])
    # A character is about 6.5 px wide at the font size of the note.
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
        # The origin of figimage is at the bottom.
        figure.figimage(strip[:, :, ::-1], margin, height - top - strip.shape[0], origin="upper")
        top += strip.shape[0] + gap
    for line in note_lines:
        write(line, top, fontsize=7, color=GUIDE)
        top += 14
    write_png(figure, path)
