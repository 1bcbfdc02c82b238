"""A verdict as a page that opens from disk, and the index of a batch.

A page loads nothing: its style and pictures are in the file, and its Content-Security-Policy forbids the rest. The only
script is the index's sorting, allowed by its hash. What comes from a video, its name first of all, is printed as text.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lipinc.detection.verdict import Decision, Evidence, FaceVerdict, Verdict, WindowScore, decide
from lipinc.errors import UserError, printable
from lipinc.files.atomic import write_atomically
from lipinc.video.rejection import Reason

TEMPLATES = Path(__file__).with_name("templates")

REASON_TEXTS = {
    Reason.MISSING: "The file that was asked for is not there.",
    Reason.UNREADABLE: "The file cannot be opened as a video, or not one of its frames can be decoded.",
    Reason.TOO_SHORT: "The video has too few frames to compare mouths over time.",
    Reason.NO_FACE: "Too few frames show the face asked for clearly enough to find its mouth.",
    Reason.MOUTH_CLOSED: "The mouth is never open over enough adjacent frames: who does not speak cannot be judged.",
    Reason.NO_SIMILAR_POSE: "The mouth opens, but too few other frames show the head in the same pose to compare.",
    Reason.TIME_LIMIT: "The program was stopped after its time limit, which says nothing of the video.",
    Reason.DAMAGED: "What was kept of the video has been damaged since.",
    Reason.CRASHED: "The program failed on this file, which says nothing of the video.",
}
"""What each reason says of the video, in one sentence."""

MAX_BARS = 600
"""Of a timeline; a longer video's windows are merged. Each is then about 2 px wide."""
MAX_THUMBNAIL = 256
"""Longer side of a thumbnail, in px."""
JPEG_QUALITY = 95
TICK_STEPS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
"""Between the ticks of a timeline, in s."""
MAX_TICKS = 12


@dataclass(frozen=True)
class IndexRow:
    """What the index says of a video: a Verdict without its pictures."""

    file: str
    decision: Decision
    probability: float | None
    windows: int
    coverage: float
    duration: float
    """In s."""
    reason: Reason | None
    detail: str
    page: str
    """File name of its page, in the folder of the index; empty where it could not be written."""


@dataclass(frozen=True)
class Bar:
    """One window of a timeline, or several."""

    start: float
    end: float
    highest: float
    mean: float
    """Fake probabilities."""
    windows: int


@dataclass(frozen=True)
class Timeline:
    """Fake probability over the seconds of a video, and where that lies in a drawing."""

    span: float
    """Seconds from the left edge to the right."""
    bars: tuple[Bar, ...]
    merged: bool
    width: int = 1152
    height: int = 250
    left: int = 66
    right: int = 1116
    top: int = 34
    bottom: int = 206
    """Of the axes, in the drawing's units."""

    def x(self, seconds: float) -> float:
        """Of a time, kept within the axes."""
        share = min(max(seconds / self.span, 0), 1)
        return round(self.left + (self.right - self.left) * share, 1)

    def y(self, probability: float) -> float:
        """Of a probability."""
        return round(self.bottom - (self.bottom - self.top) * probability, 1)

    def rectangle(self, bar: Bar) -> tuple[float, float, float, float]:
        """Left, top, width and height of a bar; it is to be seen however short and unsuspicious its window is."""
        left, top = min(self.x(bar.start), self.right - 2), min(self.y(bar.highest), self.bottom - 2)
        return left, top, max(round(self.x(bar.end) - left, 1), 2), round(self.bottom - top, 1)

    def mean_path(self) -> str:
        """An SVG path through the means of the bars, broken where a stretch of the video has no window."""
        path, end = [], -self.span
        for bar in self.bars:
            middle = self.x((bar.start + bar.end) / 2)
            path.append(f"{'L' if bar.start - end < 2 * self.span / MAX_BARS else 'M'}{middle} {self.y(bar.mean)}")
            end = bar.end
        return "".join(path)

    def ticks(self) -> list[float]:
        """Round times along the axis, in s."""
        step = next((step for step in TICK_STEPS if self.span / step <= MAX_TICKS), self.span / MAX_TICKS)
        return [step * i for i in range(int(self.span / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Exhibit:
    """One window of evidence, as pictures to print: data URIs."""

    mark: str
    """Letter that stands for it on the timeline."""
    title: str
    window: WindowScore
    mouths: tuple[str, ...]
    residues: tuple[str, ...]
    heat: tuple[str, ...]


def write_page(verdict: Verdict, folder: Path) -> Path:
    """Write the page of a video, one self-contained HTML file, and return its path.

    Its name is made of the video's name and of the SHA-256 of its path, so that two videos of one name have two pages.
    The same verdict gives the same bytes. Raises UserError if it cannot be written.
    """
    source = verdict.source
    template = _environment().get_template("video.html")
    html = template.render(
        verdict=verdict,
        name=Path(verdict.file).name or verdict.file,
        meaning=REASON_TEXTS,
        faces=[(face, face_timeline(face, verdict.duration), _exhibits(face)) for face in verdict.faces],
        thumbnails=[data_uri(_at_most(face.thumbnail, MAX_THUMBNAIL)) for face in verdict.faces],
        local_frames=source.settings["sampling"]["local_frames"],
        colour_map=data_uri(_colours(np.linspace(0, 1, 256, dtype=np.float32)[None])),
        decide=lambda probability: decide(probability, source.threshold, source.uncertain),
    )
    return _write(folder / page_name(verdict.file), html)


def write_index(rows: Iterable[IndexRow], folder: Path) -> Path:
    """Write index.html, a sortable table of a batch in the order given, and return its path.

    Raises UserError if it cannot be written.
    """
    rows = list(rows)
    counts = {decision: sum(row.decision == decision for row in rows) for decision in Decision}
    html = _environment().get_template("index.html").render(rows=rows, counts=counts)
    return _write(folder / "index.html", html)


def index_row(verdict: Verdict, page: Path | None) -> IndexRow:
    """The row of a video. page: what `write_page` wrote; None where it could not."""
    said = verdict.assessment
    return IndexRow(
        file=verdict.file,
        decision=said.decision,
        probability=said.probability,
        windows=said.windows,
        coverage=said.coverage,
        duration=verdict.duration,
        reason=said.reason,
        detail=said.detail,
        page=page.name if page else "",
    )


def page_name(file: str) -> str:
    """A file name for the page of a video, whatever the video's is: letters, digits and hyphens only."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", Path(file).name)[:60].strip("-") or "video"
    return f"{slug}-{hashlib.sha256(file.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}.html"


def face_timeline(face: FaceVerdict, duration: float) -> Timeline:
    """The windows of a face as bars: one each, or MAX_BARS at most, each of the windows that start in its stretch."""
    span = max([duration, 0.1, *(window.end for window in face.windows)])
    if len(face.windows) <= MAX_BARS:
        bars = [Bar(w.start, w.end, w.probability, w.probability, 1) for w in face.windows]
        return Timeline(span, tuple(bars), merged=False)
    stretches: dict[int, list[WindowScore]] = {}
    for window in face.windows:
        stretches.setdefault(min(int(max(window.start, 0) / span * MAX_BARS), MAX_BARS - 1), []).append(window)
    bars = []
    for _, windows in sorted(stretches.items()):
        probabilities = [window.probability for window in windows]
        start, end = min(w.start for w in windows), max(w.end for w in windows)
        bars.append(Bar(start, end, max(probabilities), float(np.mean(probabilities)), len(windows)))
    return Timeline(span, tuple(bars), merged=True)


def heat_overlay(frames: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Heat in colours over the grey mouths: frames [N, H, W, 3] uint8 BGR, heat [N, H, W] in 0..1; [N, H, W, 3] uint8.

    The colours are OpenCV's inferno, whose lightness rises with the heat.
    """
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames])[..., None]
    colours = np.stack([_colours(each) for each in heat])
    # Heat lightens and the mouth only shades it, so a bright tooth does not look like heat.
    return (0.35 * grey + 0.65 * colours).round().astype(np.uint8)


def data_uri(picture: np.ndarray, exact: bool = False) -> str:
    """A picture [H, W, 3] uint8 BGR within a page: PNG if exact, else PNG or a good JPEG, the smaller one."""
    kind, content = "png", cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    if not exact:
        settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        jpeg = cv2.imencode(".jpg", picture, settings)[1].tobytes()
        if len(jpeg) < len(content):
            kind, content = "jpeg", jpeg
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _exhibits(face: FaceVerdict) -> list[Exhibit]:
    titles = ("most suspicious window", "least suspicious window") if len(face.evidence) > 1 else ("the only window",)
    return [
        _exhibit(mark, title, face.windows[evidence.window], evidence)
        for mark, title, evidence in zip("AB", titles, face.evidence, strict=False)
    ]


def _exhibit(mark: str, title: str, window: WindowScore, evidence: Evidence) -> Exhibit:
    return Exhibit(
        mark=mark,
        title=title,
        window=window,
        mouths=tuple(data_uri(frame) for frame in evidence.frames),
        residues=tuple(data_uri(residue, exact=True) for residue in evidence.residues),
        heat=tuple(data_uri(overlay) for overlay in heat_overlay(evidence.frames, evidence.heat)),
    )


def _colours(heat: np.ndarray) -> np.ndarray:
    levels = (np.clip(np.nan_to_num(heat), 0, 1) * 255).round().astype(np.uint8)
    return cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)


def _at_most(picture: np.ndarray, side: int) -> np.ndarray:
    scale = side / max(picture.shape[:2])
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture


def _write(file: Path, html: str) -> Path:
    try:
        write_atomically(file, html.encode())
    except OSError as error:
        raise UserError(f"{file} cannot be written ({error.strerror}); give another folder by --report") from error
    return file


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    style, script = (Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in ("page.css", "sort.js"))
    environment.globals |= {"style": style, "style_hash": _hash(style), "script": script, "script_hash": _hash(script)}
    environment.filters |= {"probability": _probability, "seconds": _seconds, "clock": _clock, "json": _json}
    return environment


def _hash(text: str) -> str:
    """As a Content-Security-Policy names an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _probability(value: float) -> str:
    """Three decimals, and never rounded to certainty."""
    return "> 0.999" if value >= 0.9995 else "< 0.001" if value < 0.0005 else f"{value:.3f}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 60 else f"{_clock(value, value)} ({value:.2f} s)"


def _clock(value: float, span: float) -> str:
    """A time of an axis that is `span` long: in seconds up to two minutes, else in minutes or hours."""
    if span <= 120:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    minutes, seconds = divmod(int(value), 60)
    return f"{minutes}:{seconds:02}" if span < 3600 else f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
