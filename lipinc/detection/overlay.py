"""Overlay: the video with the box of each mouth, and the running fake probability in a strip below the picture."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import lipinc
from lipinc.detection.batch import frame_report
from lipinc.detection.running import RunningProbability, box_at
from lipinc.detection.verdict import Verdict
from lipinc.errors import UserError, printable
from lipinc.files.atomic import replacing
from lipinc.video.native_logs import quiet_native_logs
from lipinc.video.reader import Unreadable, VideoReader
from lipinc.video.sound import Sound
from lipinc.video.subprocesses import IsolatedProcess, ProcessDied, TimeLimitExceeded
from lipinc.video.upright import turn
from lipinc.video.video_files import video_sha256
from lipinc.video.writer import VideoWriter, fit

SUSPECTED = "lip-sync suspected here"
"""What a suspicious segment is called."""
CRF, PRESET = 18, "veryfast"
"""Of libx264: hardly a visible loss, at the speed of decoding."""
MIN_WIDTH = 480
"""In px; a narrower picture gets black borders, so that the text below it can be read."""
MIN_TEXT = 12
"""Minimum text height in px."""
STRIP_HEIGHT = 12
"""Height of the strip, in text heights."""
MAX_LEAD = 60.0
"""Seconds by which the sound may start before the picture; more than that is a broken time stamp."""

Color = tuple[int, int, int]
"""BGR."""
BACKGROUND, GRID, BAND, TEXT = (24, 24, 24), (110, 110, 110), (62, 62, 62), (235, 235, 235)
RED: Color = (70, 70, 255)
FACE_COLORS: tuple[Color, ...] = ((255, 210, 60), (70, 225, 255), (130, 235, 120), (255, 140, 235))
"""Of the faces by rank; red is for suspicious segments."""


def write_overlay(
    verdict: Verdict,
    target: str | os.PathLike,
    *,
    time_limit: float = 0,
    on_frames: Callable[[tuple[int, int | None]], None] | None = None,
) -> None:
    """Write the overlay of a video as an H.264 mp4 file with the sound of the video. Atomic; memory does not grow with
    the length of the video, which is decoded in a subprocess.

    Args:
        verdict: with tracks, such as `lipinc.detect(video, track=True)`; its video must still be the same.
        target: the mp4 file; its folder must exist.
        time_limit: in s; 0: none.
        on_frames: called now and then with the number of frames that have been written, and their total number.

    Raises:
        UserError: there is no verdict or no track, the video is missing or has changed, or see `check_target`.
        OSError: the file cannot be written.
    """
    target = Path(target)
    if verdict.probability is None:
        raise UserError(f"{target} was not written: there is no verdict on {verdict.file}")
    if any(face.track is None for face in verdict.faces):
        raise UserError(f"{target} was not written: the verdict has no tracks; request them with track=True")
    check_target(target, Path(verdict.file))
    verdict = replace(verdict, file=os.path.abspath(verdict.file))
    # The temporary file belongs to this process: the subprocess is killed on Ctrl-C and at the time limit.
    with replacing(target) as temporary, IsolatedProcess() as process:
        try:
            arguments = (verdict, temporary.absolute())
            process.call(render_overlay, *arguments, time_limit=time_limit, on_progress=on_frames)
        except ProcessDied as death:
            raise UserError(f"{target} was not written: its subprocess died ({death})") from None
        except TimeLimitExceeded:
            raise UserError(f"{target} was not written: not finished after {time_limit:g} s") from None


def check_target(target: Path, video: Path, *others: Path) -> None:
    """Check whether the overlay of a video can be written to a file.

    Args:
        others: further files that must not be replaced.

    Raises:
        UserError: it is no mp4 file in a folder that can be written, or it is or belongs to something that is read.
    """
    if target.suffix.lower() != ".mp4":
        raise UserError(f"{target} cannot be written: an overlay is an mp4 file; give it a name that ends with .mp4")
    if target.is_dir() or not target.parent.is_dir():
        reason = "it is a folder" if target.is_dir() else f"there is no folder {target.parent}"
        raise UserError(f"{target} cannot be written: {reason}")
    if not os.access(target.parent, os.W_OK | os.X_OK, effective_ids=True):
        raise UserError(f"{target} cannot be written: its folder is read-only; give another folder")
    try:
        str(target.absolute()).encode()
    except UnicodeEncodeError:  # FFmpeg cannot open it
        raise UserError(f"{target} cannot be written: its path is not UTF-8; give another name or folder") from None
    if target.exists() and any(file.exists() and target.samefile(file) for file in (video, *others)):
        raise UserError(f"{target} is read to make the overlay; give the overlay another name")
    if video.is_dir() and target.parent.resolve() == video.resolve():  # it would not be a folder of frames any more
        raise UserError(f"{target} lies in the folder of frames {video}; give the overlay another folder")


def render_overlay(verdict: Verdict, file: Path) -> None:
    """Write the overlay of a video in this process; see `write_overlay`. Not atomic."""
    try:
        digest = video_sha256(verdict.file)
    except (OSError, Unreadable) as error:
        raise UserError(f"no overlay: {verdict.file} cannot be read any more ({error})") from error
    if digest != verdict.sha256:  # the boxes would be those of another video
        raise UserError(f"no overlay: {verdict.file} has changed since the verdict; classify it again")
    try:
        with quiet_native_logs(), VideoReader(verdict.file) as video:
            sound = Sound.open(Path(verdict.file))
            try:
                _render(verdict, video, sound, file, frame_report())
            finally:
                if sound is not None:
                    sound.close()
    except Unreadable as error:
        raise UserError(f"no overlay: {verdict.file} cannot be read any more ({error})") from error
    except av.FFmpegError as error:  # of the file that is written; not picklable
        raise OSError(error.errno, error.strerror, str(file)) from None


def _render(
    verdict: Verdict, video: VideoReader, sound: Sound | None, file: Path, report: Callable[[int, int | None], None]
) -> None:
    frames = iter(video)
    frame = next(frames)
    lead = 0.0
    if sound is not None and video.clock_offset is not None and sound.start is not None:
        lead = max(0.0, -(sound.start + video.clock_offset))
        lead = lead if lead <= MAX_LEAD else 0.0
    drawing = Overlay(verdict, *_turned(frame.image, verdict).shape[:2])
    with VideoWriter(file, crf=CRF, preset=PRESET, sound=sound, color_matrix=video.color_matrix, web=True) as writer:
        while frame is not None:
            picture = drawing.draw(_turned(frame.image, verdict), frame.index, frame.time)
            shown = replace(frame, time=frame.time + lead, image=picture)
            writer.write(shown, sound_shift=(video.clock_offset or 0.0) + lead)
            report(frame.index + 1, verdict.frames)
            frame = next(frames, None)


def headline(verdict: Verdict) -> str:
    """The decision in words."""
    return f"{verdict.decision.words} | fake probability {verdict.probability:.3f}"


@dataclass(frozen=True)
class Layout:
    """Where everything is in the frames of an overlay, in px."""

    height: int
    """Of the picture."""
    width: int
    text: int
    """Text height."""
    canvas_height: int
    """Even, with the strip below the picture."""
    canvas_width: int
    """Even."""

    @classmethod
    def of(cls, height: int, width: int) -> "Layout":
        """The layout for a picture of this size."""
        canvas_width = max(MIN_WIDTH, width + width % 2)
        text = max(MIN_TEXT, round(min((width * height) ** 0.5 / 55, canvas_width / 36)))
        strip = STRIP_HEIGHT * text
        return cls(height, width, text, height + strip + (height + strip) % 2, canvas_width)

    @property
    def picture(self) -> tuple[int, int]:
        """Left and top of the picture."""
        return (self.canvas_width - self.width) // 2, 0

    @property
    def plot(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the axes."""
        top = self.height + round(3.7 * self.text)
        return 2 * self.text, top, self.canvas_width - self.text, top + 5 * self.text

    def x(self, time: float, span: float) -> float:
        """The position of a time on an axis from 0 to `span`, in s."""
        left, _, right, _ = self.plot
        return left + (right - left) * min(max(time / span, 0.0), 1.0)

    def y(self, probability: float) -> float:
        _, top, _, bottom = self.plot
        return bottom - (bottom - top) * probability


class Overlay:
    """Draws the frames of the overlay of one video."""

    def __init__(self, verdict: Verdict, height: int, width: int) -> None:
        """
        Args:
            height, width: of the first picture, in px, after it was turned.
        """
        self._verdict = verdict
        self.layout = Layout.of(height, width)
        self.span = max([verdict.duration, 0.1, *(w.end for face in verdict.faces for w in face.windows)])
        self._running = [RunningProbability(face.windows) for face in verdict.faces]
        self._strip = self._draw_strip()

    def draw(self, image: np.ndarray, frame_id: int, time: float) -> np.ndarray:
        """Draw a frame.

        Args:
            image: (h, w, 3) uint8 BGR, after it was turned; scaled to the size of the first one if it differs.
            frame_id: its number in the file.
            time: its presentation time in s.

        Returns:
            (H, W, 3) uint8 BGR, H and W even.
        """
        layout = self.layout
        canvas = np.zeros((layout.canvas_height, layout.canvas_width, 3), np.uint8)
        image, suspected = image.copy(), []
        for face in self._verdict.faces:
            if any(segment.start <= time <= segment.end for segment in face.segments):
                suspected.append(face.rank)
            box = box_at(face.track, frame_id, time)
            if box is not None:
                self._draw_box(image, box, face.rank, face.rank in suspected)
        left, top = layout.picture
        canvas[top : top + layout.height, left : left + layout.width] = fit(image, layout.height, layout.width)
        canvas[layout.height :] = self._strip
        self._draw_moment(canvas, time, suspected)
        return canvas

    def _draw_box(self, image: np.ndarray, box: np.ndarray, rank: int, suspicious: bool) -> None:
        """Draw the box of a mouth around it: the mouth itself stays visible."""
        thickness = max(2, round(self.layout.text / 7)) * (2 if suspicious else 1)
        color = RED if suspicious else _face_color(rank)
        left, top = np.floor(box[:2]).astype(int)
        right, bottom = np.ceil(box[2:]).astype(int) - 1
        for distance in range(1, thickness + 3):
            ink = color if 1 < distance < thickness + 2 else (0, 0, 0)  # with an outline on both sides
            corners = (left - distance, top - distance), (right + distance, bottom + distance)
            cv2.rectangle(image, *corners, ink, 1)
        if len(self._verdict.faces) > 1:
            size = self.layout.text
            write_text(
                image,
                str(rank),
                (right + thickness + 2 + size // 4, bottom - size),
                size,
                _face_color(rank),
                outlined=True,
            )

    def _draw_strip(self) -> np.ndarray:
        """Everything below the picture that does not change: (H, W, 3)."""
        layout, verdict = self.layout, self._verdict
        canvas = np.full((layout.canvas_height, layout.canvas_width, 3), BACKGROUND, np.uint8)
        text, small = layout.text, max(MIN_TEXT - 2, round(0.75 * layout.text))
        left, top, right, bottom = layout.plot
        room = layout.canvas_width - 2 * text
        write_text(canvas, headline(verdict), (text, layout.height + text // 2), round(1.2 * text), TEXT, room=room)
        low, high = (round(layout.y(probability)) for probability in verdict.source.uncertain)
        cv2.rectangle(canvas, (left, high), (right, low), BAND, -1)
        suspicious = np.zeros(layout.canvas_width, bool)  # columns
        for segment in verdict.segments:
            first = round(layout.x(segment.start, self.span))
            last = max(round(layout.x(segment.end, self.span)), first + 2)  # a short one stays visible
            suspicious[first:last] = True
        area = canvas[top:bottom]
        area[:, suspicious] = (0.65 * area[:, suspicious] + 0.35 * np.array(RED)).astype(np.uint8)
        area[: max(2, text // 4), suspicious] = RED
        cv2.rectangle(canvas, (left, top), (right, bottom), GRID, 1)
        threshold = round(layout.y(verdict.source.threshold))
        for x in range(left, right, text):
            cv2.line(canvas, (x, threshold), (min(x + text // 2, right), threshold), GRID, max(1, text // 14))
        for face, running in zip(verdict.faces, self._running, strict=True):
            self._draw_line(canvas, running, _face_color(face.rank))
        for label, y in (("1", top), ("0", bottom - small)):
            write_text(canvas, label, (text // 2, y), small, TEXT)
        write_text(canvas, "0:00", (left, bottom + text // 4), small, TEXT)
        write_text(canvas, _clock(self.span), (right, bottom + text // 4), small, TEXT, align="right")
        legend = f"line: fake probability | dashed: threshold {verdict.source.threshold:.2f} | grey: uncertain"
        if verdict.segments:
            legend += f" | red: {SUSPECTED}"
        write_text(canvas, legend, (text, bottom + round(1.25 * text)), small, TEXT, room=room)
        source = f"An indication, not a proof. {verdict.source.checkpoint}, lipinc {lipinc.__version__}"
        write_text(canvas, source, (text, bottom + round(2.15 * text)), small, TEXT, room=room)
        return canvas[layout.height :]

    def _draw_line(self, canvas: np.ndarray, running: RunningProbability, color: Color) -> None:
        if len(running.values) == 0:
            return
        x = [self.layout.x(edge, self.span) for edge in np.repeat(running.edges, 2)[1:-1]]
        y = [self.layout.y(value) for value in np.repeat(running.values, 2)]
        points = np.rint(16 * np.column_stack([x, y])).astype(np.int32)  # in sixteenths of a px
        cv2.polylines(canvas, [points], False, color, max(1, round(self.layout.text / 8)), cv2.LINE_AA, shift=4)

    def _draw_moment(self, canvas: np.ndarray, time: float, suspected: list[int]) -> None:
        """Draw the cursor, with the time and the probability of each face beside it."""
        layout = self.layout
        text = layout.text
        left, top, right, bottom = layout.plot
        x = round(layout.x(time, self.span))
        cv2.line(canvas, (x, top - text // 2), (x, bottom), TEXT, max(1, round(text / 8)))
        values = [(_clock(time), TEXT)]
        for face, running in zip(self._verdict.faces, self._running, strict=True):
            probability = running(time)
            number = "-" if probability is None else f"{probability:.2f}"
            label = f"{face.rank}: {number}" if len(self._verdict.faces) > 1 else number
            values.append((label, _face_color(face.rank)))
        widths = [text_width(value, text) + text // 2 for value, _ in values]
        start = min(x, right - sum(widths) + text // 2)
        for (value, color), width in zip(values, widths, strict=True):
            write_text(canvas, value, (start, top - round(1.7 * text)), text, color)
            start += width
        if suspected:
            faces = f" (face {', '.join(map(str, suspected))})" if len(self._verdict.faces) > 1 else ""
            label = SUSPECTED + faces
            room = right - left - 8 * text  # below the axis, between its ends
            x = (left + right - min(text_width(label, text), room)) // 2
            write_text(canvas, label, (x, bottom + text // 8), text, RED, room=room)


def write_text(
    canvas: np.ndarray,
    text: str,
    position: tuple[int, int],
    size: int,
    color: Color,
    *,
    align: str = "left",
    room: int | None = None,
    outlined: bool = False,
) -> None:
    """Write a line of text on a canvas (H, W, 3) uint8 BGR; what lies beyond its border is cut off.

    Args:
        position: x of the left (or right) end, y of the top.
        size: text height in px.
        align: left, or right.
        room: maximum width in px, for which the text is made smaller, but never so small that it cannot be read.
        outlined: with a black outline, for text on a picture.
    """
    if room is not None and text_width(text, size) > room:
        size = max(MIN_TEXT - 3, size * room // text_width(text, size))
    mask, outline = _text_mask(text, size)
    x, y = position[0] - (mask.shape[1] if align == "right" else 0), position[1]
    for ink, alpha in (((0, 0, 0), outline), (color, mask)) if outlined else ((color, mask),):
        _blend(canvas, x, y, alpha, ink)


def text_width(text: str, size: int) -> int:
    """In px."""
    return _text_mask(text, size)[0].shape[1]


def _blend(canvas: np.ndarray, x: int, y: int, alpha: np.ndarray, color: Color) -> None:
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + alpha.shape[1], canvas.shape[1]), min(y + alpha.shape[0], canvas.shape[0])
    if right <= left or bottom <= top:
        return
    weight = alpha[top - y : bottom - y, left - x : right - x, None]
    area = canvas[top:bottom, left:right]
    area[:] = np.rint(area * (1 - weight) + np.array(color) * weight)


@lru_cache(maxsize=256)
def _text_mask(text: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The coverage (h, w) float in 0..1 of a line of text, and that of its outline."""
    from PIL import Image, ImageDraw

    font, characters = _font(size)
    text = "".join(c if ord(c) in characters else c.encode("unicode_escape").decode() for c in printable(text))
    masks = []
    for stroke in (0, max(1, size // 8)):
        image = Image.new("L", (max(1, round(font.getlength(text))), round(1.3 * size)))
        ImageDraw.Draw(image).text((0, size), text, fill=255, font=font, anchor="ls", stroke_width=stroke)
        masks.append(np.asarray(image, dtype=np.float32) / 255)
    return masks[0], masks[1]


@cache
def _font(size: int) -> tuple[Any, frozenset[int]]:
    """A font, and the code points that it has. Matplotlib's has Latin, Greek, Cyrillic and Arabic letters."""
    import matplotlib
    from matplotlib.ft2font import FT2Font
    from PIL import ImageFont

    file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(str(file), size), frozenset(FT2Font(str(file)).get_charmap())


def _turned(image: np.ndarray, verdict: Verdict) -> np.ndarray:
    return turn(image, verdict.faces[0].track.turned // 90)


def _face_color(rank: int) -> Color:
    return FACE_COLORS[rank % len(FACE_COLORS)]


def _clock(seconds: float) -> str:
    """Minutes and seconds, to a tenth."""
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths // 10 % 60:02}.{tenths % 10}"
