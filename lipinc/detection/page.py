"""HTML report: one self-contained page per video, and an index of the batch.

Style and pictures are embedded in each page, and its Content-Security-Policy forbids loading anything else. The only
script sorts the index and is allowed by its hash. All text that comes from a video, such as its name, is escaped.
"""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lipinc.detection import words
from lipinc.detection.segments import Segment
from lipinc.detection.verdict import Decision, Evidence, FaceVerdict, Still, Verdict, WindowScore
from lipinc.errors import UserError, printable
from lipinc.files.atomic import write_atomically
from lipinc.video.rejection import Reason

TEMPLATES = Path(__file__).with_name("templates")

MAX_THUMBNAIL = 256
"""Maximum longer side of a thumbnail, in px."""
MAX_LISTED = 10
"""Maximum number of windows in a table, and of stretches in a list."""
MIN_UNSEEN = 2.0
"""Shorter stretches without a window are not mentioned, in s."""
JPEG_QUALITY = 95
TICK_STEPS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
"""Possible distances between the ticks of a timeline, in s."""
TONES = {
    Decision.FAKE: "found",
    Decision.REAL: "no-trace",
    Decision.UNCERTAIN: "uncertain",
    Decision.NO_VERDICT: "no-verdict",
}
"""Decision -> its class in page.css."""


@dataclass(frozen=True)
class IndexRow:
    """Row of the index: a verdict without pictures."""

    file: str
    decision: Decision
    probability: float | None
    coverage: float | None
    duration: float
    """Duration of the video in s."""
    reason: Reason | None
    detail: str
    stretches: Sequence[tuple[float, float]]
    """Start and end of each suspicious stretch, in s."""
    page: str
    """File name of the page, in the folder of the index; empty if it could not be written."""

    @property
    def seconds(self) -> float:
        """Length of the suspicious stretches in s."""
        return sum(end - start for start, end in self.stretches)


@dataclass(frozen=True)
class Drawing:
    """Geometry of a timeline, in units of an SVG drawing."""

    kind: str
    """Its class in page.css, which shows one of the two."""
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    """left, right, top, bottom: edges of the axes."""
    max_bars: int
    """Each about 2 px wide; more windows are merged."""
    max_ticks: int


WIDE = Drawing("wide", 1152, 250, left=52, right=1120, top=34, bottom=206, max_bars=600, max_ticks=12)
NARROW = Drawing("narrow", 340, 250, left=38, right=312, top=34, bottom=206, max_bars=150, max_ticks=4)
"""For screens of phones: its text is as large as that of the page."""


MAX_DIFFERENCE = 6.0
"""Largest difference from the rest of a scene that is drawn, in units of the scatter of windows within real scenes."""
DIFFERENCE_TOP, DIFFERENCE_BOTTOM = 10, 110
"""Edges of the drawing of the differences, in units of an SVG drawing."""
SMOOTHED = 5
"""Number of adjacent windows that are averaged for the drawing of the differences."""


@dataclass(frozen=True)
class Bar:
    """Bar of a timeline, for one or several merged windows."""

    start: float
    """Start time in s."""
    end: float
    """End time in s."""
    highest: float
    """Maximum fake probability of the windows."""
    mean: float
    """Mean fake probability of the windows."""
    windows: int


@dataclass(frozen=True)
class Timeline:
    """Probability of lip-sync over time, in an SVG drawing."""

    span: float
    """Duration covered by the time axis, in s."""
    bars: tuple[Bar, ...]
    merged: bool
    drawing: Drawing = WIDE
    differences: tuple[tuple[float, float, int], ...] = ()
    """Time in s, mean difference of some adjacent windows from the median of their scene, by which suspicious stretches
    are found, and number of the scene."""

    def x(self, seconds: float) -> float:
        """Return the x coordinate of a time, clipped to the axes."""
        fraction = min(max(seconds / self.span, 0), 1)
        return round(self.drawing.left + (self.drawing.right - self.drawing.left) * fraction, 1)

    def y(self, probability: float) -> float:
        """Return the y coordinate of a probability."""
        return round(self.drawing.bottom - (self.drawing.bottom - self.drawing.top) * probability, 1)

    def stretch(self, start: float, end: float) -> tuple[float, float]:
        """Return left and width of a stretch of time, at least 2 units wide so that it stays visible."""
        left = min(self.x(start), self.drawing.right - 2)
        return left, max(round(self.x(end) - left, 1), 2)

    def rectangle(self, bar: Bar) -> tuple[float, float, float, float]:
        """Return left, top, width and height of a bar, at least 2 units wide and high."""
        left, width = self.stretch(bar.start, bar.end)
        top = min(self.y(bar.highest), self.drawing.bottom - 2)
        return left, top, width, round(self.drawing.bottom - top, 1)

    def mean_path(self) -> str:
        """Return an SVG path through the means of the bars, interrupted where the video has no windows."""
        path, end = [], -self.span
        for bar in self.bars:
            middle = self.x((bar.start + bar.end) / 2)
            path.append(
                f"{'L' if bar.start - end < 2 * self.span / self.drawing.max_bars else 'M'}{middle} {self.y(bar.mean)}"
            )
            end = bar.end
        return "".join(path)

    def difference_y(self, difference: float) -> float:
        """Return the y coordinate of a difference, clipped to the drawing of the differences."""
        share = (MAX_DIFFERENCE - min(max(difference, -MAX_DIFFERENCE), MAX_DIFFERENCE)) / (2 * MAX_DIFFERENCE)
        return round(DIFFERENCE_TOP + (DIFFERENCE_BOTTOM - DIFFERENCE_TOP) * share, 1)

    def difference_path(self) -> str:
        """Return an SVG path through the differences, interrupted between scenes."""
        path, last = [], None
        for time, difference, scene in self.differences:
            path.append(f"{'L' if scene == last else 'M'}{self.x(time)} {self.difference_y(difference)}")
            last = scene
        return "".join(path)

    def ticks(self) -> list[float]:
        """Return round tick positions in s."""
        step = next(
            (step for step in TICK_STEPS if self.span / step <= self.drawing.max_ticks),
            self.span / self.drawing.max_ticks,
        )
        return [step * i for i in range(int(self.span / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Exhibit:
    """The evidence of one window, as data URIs."""

    mark: str
    """Letter that marks the window on the timeline."""
    title: str
    window: WindowScore
    mouths: tuple[str, ...]
    residues: tuple[str, ...]
    heat: tuple[str, ...]


@dataclass(frozen=True)
class Strip:
    """Mouths of a suspicious stretch, as data URIs."""

    face: int
    segment: Segment
    pictures: tuple[tuple[Still, str], ...]


def write_page(verdict: Verdict, folder: Path) -> Path:
    """Write the page of a video, a self-contained HTML file. The same verdict gives the same bytes.

    The file name contains the name of the video and a hash of its path, so that equal names do not collide.

    Args:
        verdict: the verdict, with evidence.
        folder: where to write.

    Returns:
        The path of the page.

    Raises:
        UserError: the page cannot be written.
    """
    source, quality = verdict.source, verdict.quality
    template = _environment().get_template("video.html")
    strips = [strip for face in verdict.faces for strip in _strips(face)]
    html = template.render(
        verdict=verdict,
        name=shown_name(verdict.file),
        clean=lambda text: without_paths(text, verdict.file),
        faces=[(face, face_timelines(face, verdict.duration), _exhibits(face)) for face in verdict.faces],
        thumbnails=[data_uri(_shrink_to(face.thumbnail, MAX_THUMBNAIL)) for face in verdict.faces],
        strips=sorted(strips, key=lambda strip: strip.segment.start),
        unseen=unseen_stretches(verdict),
        outside=quality is not None and any(row.outside for row in words.quality_rows(quality, source.limits)),
        most_suspicious=lambda face: sorted(face.windows, key=lambda one: -one.probability)[:MAX_LISTED],
        local_frames=source.settings["sampling"]["local_frames"],
        colour_map=data_uri(_apply_colour_map(np.linspace(0, 1, 256, dtype=np.float32)[None])),
    )
    return _write(folder / page_name(verdict.file), html)


def write_index(rows: Iterable[IndexRow], folder: Path) -> Path:
    """Write index.html, a sortable table of a batch.

    Args:
        rows: the rows, in their initial order.
        folder: where to write.

    Returns:
        The path of the index.

    Raises:
        UserError: the index cannot be written.
    """
    rows = list(rows)
    counts = {decision: sum(row.decision == decision for row in rows) for decision in Decision}
    named = list(zip(rows, distinct_names([row.file for row in rows]), strict=True))
    html = _environment().get_template("index.html").render(rows=named, counts=counts, clean=without_paths)
    return _write(folder / "index.html", html)


def index_row(verdict: Verdict, page: Path | None) -> IndexRow:
    """Return the index row of a video. page: the path that `write_page` returned; None if it failed."""
    assessment = verdict.assessment
    return IndexRow(
        file=verdict.file,
        decision=assessment.decision,
        probability=assessment.probability,
        coverage=assessment.coverage,
        duration=verdict.duration,
        reason=assessment.reason,
        detail=assessment.detail,
        stretches=[(segment.start, segment.end) for segment in verdict.segments],
        page=page.name if page else "",
    )


def page_name(file: str) -> str:
    """Return the file name of a video's page: letters, digits and hyphens only, whatever the name of the video."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", Path(file).name)[:60].strip("-") or "video"
    return f"{slug}-{hashlib.sha256(file.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}.html"


def shown_name(file: str) -> str:
    """Return the name of a video without its folders."""
    return Path(file).name or file


def distinct_names(files: Sequence[str]) -> list[str]:
    """Name each file of a batch without its folders; where names are equal, with as many of the folders below the
    common one as are needed to tell them apart."""
    parts = [_parts(file) for file in files]
    common = 0
    while parts and all(len(one) > common + 1 and one[common] == parts[0][common] for one in parts):
        common += 1
    parts = [one[common:] for one in parts]
    names = [""] * len(parts)
    waiting, depth = list(range(len(parts))), 1
    while waiting:
        ends = {number: parts[number][-depth:] for number in waiting}
        counts = Counter(ends.values())
        done = [number for number in waiting if counts[ends[number]] == 1 or depth >= len(parts[number])]
        for number in done:
            names[number] = "/".join(ends[number])
        waiting, depth = sorted({*waiting} - {*done}), depth + 1
    return names


def without_paths(text: str, file: str) -> str:
    """Replace the path of the video by its name, and drop the folders of all other absolute paths in a text."""
    for path in dict.fromkeys((file, str(Path(file).absolute())) if file.strip("/.") else ()):
        text = text.replace(path, shown_name(file))
    return re.sub(r"(?<![\w.<])/(?:[\w.+~@-]+/)+(?=[\w.+~@-])", "", text)


def unseen_stretches(verdict: Verdict) -> list[tuple[float, float]]:
    """Return the longest stretches, at least MIN_UNSEEN long, in which no face has a window, in temporal order."""
    end, found = 0.0, []
    for window in sorted((one for face in verdict.faces for one in face.windows), key=lambda one: one.start):
        found.append((end, window.start))
        end = max(end, window.end)
    if found:
        found.append((end, verdict.duration))
    longest = sorted((one for one in found if one[1] - one[0] >= MIN_UNSEEN), key=lambda one: one[0] - one[1])
    return sorted(longest[:MAX_LISTED])


def face_timelines(face: FaceVerdict, duration: float) -> tuple[Timeline, Timeline]:
    """Create the timeline of a face for wide and for narrow screens."""
    return face_timeline(face, duration, WIDE), face_timeline(face, duration, NARROW)


def face_timeline(face: FaceVerdict, duration: float, drawing: Drawing = WIDE) -> Timeline:
    """Create the timeline of a face: one bar per window, or at most drawing.max_bars bars of windows merged by start
    time."""
    span = max([duration, 0.1, *(window.end for window in face.windows)])
    most = drawing.max_bars
    differences = _differences(face.windows, most) if face.segments else ()
    if len(face.windows) <= most:
        bars = [Bar(w.start, w.end, w.probability, w.probability, 1) for w in face.windows]
        return Timeline(span, tuple(bars), merged=False, drawing=drawing, differences=differences)
    bins: dict[int, list[WindowScore]] = {}
    for window in face.windows:
        bins.setdefault(min(int(max(window.start, 0) / span * most), most - 1), []).append(window)
    bars = []
    for _, windows in sorted(bins.items()):
        probabilities = [window.probability for window in windows]
        start, end = min(w.start for w in windows), max(w.end for w in windows)
        bars.append(Bar(start, end, max(probabilities), float(np.mean(probabilities)), len(windows)))
    return Timeline(span, tuple(bars), merged=True, drawing=drawing, differences=differences)


def _differences(windows: Sequence[WindowScore], most: int) -> tuple[tuple[float, float, int], ...]:
    """Return the points of `Timeline.differences`, about `most` of them."""
    scene = np.array([window.scene for window in windows])
    points = []
    for number in np.unique(scene[scene >= 0]):
        inside = np.flatnonzero(scene == number)
        contrast = np.array([windows[one].contrast for one in inside])
        kernel = np.ones(min(SMOOTHED, len(inside)))
        sums, counts = (np.convolve(one, kernel, mode="same") for one in (contrast, np.ones(len(inside))))
        smooth = sums / counts - np.median(contrast)
        for place in range(0, len(inside), max(1, len(windows) // most)):
            window = windows[inside[place]]
            points.append(((window.start + window.end) / 2, float(smooth[place]), int(number)))
    return tuple(points)


def heat_overlay(frames: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Overlay heat maps on greyscale mouths, with OpenCV's inferno colour map, whose lightness increases with heat.

    Args:
        frames: (N, H, W, 3) uint8 BGR.
        heat: (N, H, W) float in 0..1.

    Returns:
        (N, H, W, 3) uint8 BGR.
    """
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames])[..., None]
    colours = np.stack([_apply_colour_map(each) for each in heat])
    # The heat has the larger weight, so that bright teeth do not look like heat.
    return (0.35 * grey + 0.65 * colours).round().astype(np.uint8)


def data_uri(picture: np.ndarray, exact: bool = False) -> str:
    """Encode a picture (H, W, 3) uint8 BGR as a data URI: PNG if `exact`, else the smaller of PNG and JPEG."""
    kind, content = "png", cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    if not exact:
        settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        jpeg = cv2.imencode(".jpg", picture, settings)[1].tobytes()
        if len(jpeg) < len(content):
            kind, content = "jpeg", jpeg
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _parts(file: str) -> tuple[str, ...]:
    """The folders and the name of a file, without the root."""
    parts = Path(file).parts
    return tuple(part for part in parts if part.strip("/")) or (file,)


def _strips(face: FaceVerdict) -> list[Strip]:
    shown = [(still, data_uri(still.picture)) for still in face.stills]
    strips = [
        Strip(face.rank, one, tuple(still for still in shown if one.start <= still[0].time <= one.end))
        for one in face.segments
    ]
    return [strip for strip in strips if strip.pictures]


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


def _apply_colour_map(heat: np.ndarray) -> np.ndarray:
    levels = (np.clip(np.nan_to_num(heat), 0, 1) * 255).round().astype(np.uint8)
    return cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)


def _shrink_to(picture: np.ndarray, side: int) -> np.ndarray:
    scale = side / max(picture.shape[:2])
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture


def _write(file: Path, html: str) -> Path:
    try:
        write_atomically(file, html.encode())
    except OSError as error:
        raise UserError(f"{file} cannot be written ({error.strerror}); give another folder with --report") from error
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
    environment.globals |= {"words": words, "max_listed": MAX_LISTED}
    environment.filters |= {"probability": _probability, "seconds": _seconds, "clock": _clock, "json": _json}
    environment.filters |= {"tone": TONES.get, "sentence": _sentence, "stretch": _stretch}
    return environment


def _hash(text: str) -> str:
    """Return the hash of an inline style or script in the format of a Content-Security-Policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _probability(value: float) -> str:
    """Format a probability with three decimals, never rounded to 0 or 1."""
    return "> 0.999" if value >= 0.9995 else "< 0.001" if value < 0.0005 else f"{value:.3f}"


def _sentence(text: str) -> str:
    """Begin with a capital letter and end with a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def _stretch(times: tuple[float, float], span: float) -> str:
    """Format a stretch of a video of length `span`, as in "12.4 to 15.6 s"."""
    start, end = times
    seconds = f"{start:.1f} to {end:.1f} s"
    return seconds if span <= 120 else f"{_clock(start, span)} to {_clock(end, span)} ({seconds})"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 60 else f"{_clock(value, value)} ({value:.2f} s)"


def _clock(value: float, span: float) -> str:
    """Format a time of an axis of length `span`: in seconds up to two minutes, else in minutes or hours."""
    if span <= 120:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    minutes, seconds = divmod(int(value), 60)
    return f"{minutes}:{seconds:02}" if span < 3600 else f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _json(value: Any) -> str:
    return without_paths(json.dumps(value, ensure_ascii=False), "")
