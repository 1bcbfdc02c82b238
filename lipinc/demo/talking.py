"""A face that talks: what is said, how the head moves, and the frame that shows it.

Each frame is one warp of the identity's canvas. The skin above the lips and the skin below move as two sheets that
part at the lip line, so that no lip is ever smeared across the opening; what shows between them is painted. The eye
lids close over the eyes in the same manner. Points and lengths are in canvas px unless said otherwise.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lipinc.demo.faces import FRAME, MARGIN, Identity

FPS = 25

_UPPER_LIP = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308]
_LOWER_LIP = [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308]
_EYES = (
    ([33, 246, 161, 160, 159, 158, 157, 173, 133], [33, 7, 163, 144, 145, 153, 154, 155, 133], 105),
    ([362, 398, 384, 385, 386, 387, 388, 466, 263], [362, 382, 381, 380, 374, 373, 390, 249, 263], 334),
)
_NOSE_BASE, _CHIN, _NOSE_TIP = 2, 152, 4


@dataclass(frozen=True)
class Mouth:
    """The pose of the mouth in one frame."""

    opening: float
    """Gap between the lips as a share of the mouth's width; 0: closed."""
    width: float
    """Factor on the mouth's width: below 1 rounded, above 1 spread."""


@dataclass(frozen=True)
class Head:
    """The pose of the head in one frame, as a deviation from how the identity holds it."""

    roll: float
    """Radians."""
    shift: tuple[float, float]
    """px."""
    scale: float
    yaw: float
    """How far the tip of the nose leads the face, in px."""
    blink: float
    """0: eyes open, 1: closed."""


def speech(rng: np.random.Generator, frames: int) -> list[Mouth]:
    """A track of syllables: 3 to 6 a second, each an opening and a closing, some through a full closure, and pauses."""
    times, opening, width = [0.0], [0.0], [1.0]
    moment = rng.uniform(0.05, 0.2)
    while times[-1] * FPS < frames:
        length = rng.uniform(0.17, 0.32)
        times += [moment + 0.45 * length, moment + length]
        lips_meet = rng.random() < 0.3
        opening += [rng.uniform(0.16, 0.46), 0.0 if lips_meet else rng.uniform(0.06, 0.16)]
        width += [rng.uniform(0.86, 1.08), rng.uniform(0.94, 1.03)]
        moment += length
        if rng.random() < 0.08:
            pause = rng.uniform(0.16, 0.36)
            times += [moment + 0.08, moment + 0.08 + pause]
            opening += [0.0, 0.0]
            width += [1.0, 1.0]
            moment += pause + 0.08
    at = np.arange(frames) / FPS
    tracks = np.stack([_ease(at, times, opening), _ease(at, times, width)], axis=1).tolist()
    return [Mouth(opening, width) for opening, width in tracks]


def silence(frames: int) -> list[Mouth]:
    """A mouth that never opens."""
    return [Mouth(0.0, 1.0)] * frames


def head_motion(rng: np.random.Generator, frames: int) -> list[Head]:
    """Slow sway in every degree of freedom, and a blink every two seconds or so."""
    at = np.arange(frames) / FPS

    def sway(size: float) -> np.ndarray:
        rates, phases, shares = rng.uniform(0.15, 0.9, 3), rng.uniform(0, 2 * np.pi, 3), rng.uniform(0.4, 1, 3)
        return size / 2 * (shares[:, None] * np.sin(2 * np.pi * rates[:, None] * at + phases[:, None])).sum(axis=0)

    roll, x, y, scale, yaw = sway(0.025), sway(3.0), sway(2.2), 1 + sway(0.012), sway(2.5)
    blink = np.zeros(frames)
    moment = rng.uniform(0.3, 1.6)
    while moment * FPS < frames:
        blink = np.maximum(blink, np.clip(1.6 * np.exp(-(((at - moment) / 0.065) ** 2)), 0, 1))
        moment += rng.uniform(1.3, 2.6)
    blink[blink < 0.05] = 0
    tracks = np.stack([roll, x, y, scale, yaw, blink], axis=1).tolist()
    return [Head(roll, (x, y), scale, yaw, blink) for roll, x, y, scale, yaw, blink in tracks]


class TalkingHead:
    """Renders one identity.

    >>> head = TalkingHead(identity(3))
    >>> image = head.render(head_pose, mouth)  # [224, 224, 3] float32 BGR, 0..255, without sensor noise
    """

    def __init__(self, identity: Identity):
        self._identity = identity
        mesh = identity.mesh
        self._upper, self._lower = mesh[_UPPER_LIP], mesh[_LOWER_LIP]
        self._centre = tuple(((mesh[78] + mesh[308]) / 2).tolist())
        self._half = float(mesh[308, 0] - mesh[78, 0]) / 2
        self._nose_base, self._chin = float(mesh[_NOSE_BASE, 1]), float(mesh[_CHIN, 1])
        self._pivot = (mesh[_CHIN] + mesh[_NOSE_TIP]) / 2
        self._low, self._high = mesh.min(axis=0), mesh.max(axis=0)
        frame = np.stack(np.meshgrid(np.arange(FRAME), np.arange(FRAME)), axis=-1).astype(np.float32)
        self._frame = frame
        still = cv2.transform(frame, self._pose_matrix(Head(0, (0, 0), 1, 0, 0))).astype(np.float32)
        away = ((still - (self._low + self._high) / 2) / (self._high - self._low)).astype(np.float32)
        # The head moves, what is far from it hardly does.
        reach = np.sqrt((away**2).sum(axis=-1, keepdims=True))
        self._still, self._follow = still, 0.1 + 0.9 * (1 - _step(0.75, 1.6, reach))
        # How far the face stands out towards the camera: 1 at the tip of the nose, nothing outside of the head.
        out = (still - mesh[_NOSE_TIP].astype(np.float32)) / (0.75 * (self._high - self._low).astype(np.float32))
        self._depth = np.exp(-2 * (out**2).sum(axis=-1))

    def box(self, head: Head) -> tuple[int, int, int, int]:
        """The face in a frame: left, top, right, bottom in frame px, exclusive at the right and bottom."""
        to_frame = cv2.invertAffineTransform(self._pose_matrix(head))
        points = cv2.transform(self._identity.mesh[None], to_frame)[0]
        left, top = np.floor(points.min(axis=0)).astype(int).clip(0, FRAME - 1)
        right, bottom = np.ceil(points.max(axis=0)).astype(int).clip(1, FRAME)
        return int(left), int(top), int(right), int(bottom)

    def render(self, head: Head, mouth: Mouth) -> np.ndarray:
        """One frame: [224, 224, 3] float32 BGR, 0..255, without sensor noise."""
        to_canvas = self._pose_matrix(head)
        source = self._still + self._follow * (cv2.transform(self._frame, to_canvas) - self._still)
        source[..., 0] += np.float32(head.yaw) * self._depth
        if head.blink:
            source[..., 1] += self._close_eyes(source[..., 0], source[..., 1], head.blink)
        part = self._around_mouth(to_canvas)
        source[part], gap, inside = self._part_lips(source[part][..., 0], source[part][..., 1], mouth)
        image = cv2.remap(self._identity.canvas, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        shown = gap > 0
        skin, share = image[part][shown], gap[shown][:, None]
        image[part][shown] = skin + share * (self._inside(*(value[shown] for value in inside)) - skin)
        return image

    def _pose_matrix(self, head: Head) -> np.ndarray:
        """Frame px -> canvas px [2, 3] for a head that is held like this."""
        angle = -(self._identity.roll + head.roll)
        cosine, sine = np.cos(angle) / head.scale, np.sin(angle) / head.scale
        linear = np.array([[cosine, -sine], [sine, cosine]])
        return np.column_stack([linear, self._pivot - linear @ (self._pivot - MARGIN + np.array(head.shift))])

    def _around_mouth(self, to_canvas: np.ndarray) -> tuple[slice, slice]:
        """The part of the frame that speech moves: from the nose to the neck, cheek to cheek."""
        x, y = cv2.transform(np.array([[self._centre]]), cv2.invertAffineTransform(to_canvas))[0, 0]
        reach = 3.3 * self._half
        below = 2.6 * (self._chin - self._centre[1])
        return np.s_[
            max(0, int(y - 2.4 * self._half)) : max(1, int(y + below)), max(0, int(x - reach)) : max(1, int(x + reach))
        ]

    def _part_lips(
        self, x: np.ndarray, y: np.ndarray, mouth: Mouth
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
        """Where the skin at (x, y) comes from, how much of each px is open mouth, and what `_inside` needs there."""
        half, centre = self._half, self._centre
        near = np.exp(-(((x - centre[0]) / (1.6 * half)) ** 2 + ((y - centre[1]) / (1.1 * half)) ** 2))
        source_x = centre[0] + (x - centre[0]) * (1 + (1 / mouth.width - 1) * near)
        along = (source_x - centre[0]) / half
        upper = _row(self._upper, source_x)
        lower = _row(self._lower, source_x)
        meet = (upper + lower) / 2
        gap = 2 * half * mouth.opening * np.sqrt((1 - along**2).clip(0)) * (1 - 0.25 * along**2)
        upper_now, lower_now = meet - 0.22 * gap, meet + 0.78 * gap

        to_nose = centre[1] - self._nose_base
        lift = (upper_now - upper) * (1 - _step(0, 1, (upper_now - y) / to_nose))
        to_chin = self._chin - centre[1]
        deep = (y - lower_now) / to_chin
        jaw_drop = 0.7 * 2 * half * mouth.opening * np.exp(-((along / 2.1) ** 4)) * (1 - _step(0.95, 2.4, deep))
        blend = _step(0, 0.85, deep)
        drop = (lower_now - lower) * (1 - blend) + jaw_drop * blend
        source_y = y - np.where(y < (upper_now + lower_now) / 2, lift, drop)
        open_share = np.clip(y - upper_now + 0.5, 0, 1) * np.clip(lower_now - y + 0.5, 0, 1)
        open_share *= np.clip(gap, 0, 1)
        inside = along, (y - upper_now) / half, (lower_now - y) / half, gap / half
        return np.stack([source_x, source_y], axis=-1), open_share, inside

    def _inside(self, along: np.ndarray, below: np.ndarray, above: np.ndarray, gap: np.ndarray) -> np.ndarray:
        """The open mouth: dark, with the edge of the upper teeth and the tongue: [P, 3] float32 BGR.

        For P px: place along the mouth (-1..1), distance below the upper and above the lower lip, and the gap there,
        all in half mouth widths.
        """
        bright = float(self._identity.skin.mean()) / 255
        depth = np.minimum(below, above)
        dark = np.array([26, 22, 52], np.float32) * (1.25 - np.clip(2 * depth, 0, 0.7))[..., None]
        tongue = np.array([82, 78, 150], np.float32)
        rise = _step(0.5, 0.05, above) * _step(0.2, 0.6, gap) * _step(0.75, 0.3, np.abs(along))
        image = dark + rise[..., None] * 0.7 * (tongue - dark)
        edge = (0.1 + 0.16 * gap.clip(0, 0.8)) * (1 - 0.5 * along**2)
        seams = 1 - 0.12 * np.exp(-(((((along / 0.2) % 1) - 0.5) / 0.13) ** 2))
        shine = _step(-0.04, 0.14, below) * (0.62 + 0.3 * (1 - along**2)) * seams
        shown = _step(0.05, -0.03, below - edge) * _step(0.92, 0.55, np.abs(along)) * _step(0.02, 0.2, gap)
        teeth = np.array([180, 204, 220], np.float32) * shine[..., None]
        image = image + 0.92 * shown[..., None] * (teeth - image)
        return image * min(1.15, 0.35 + 1.15 * bright)

    def _close_eyes(self, x: np.ndarray, y: np.ndarray, blink: float) -> np.ndarray:
        """What to add to the source rows so that the upper lids come down."""
        move = np.zeros_like(y)
        for upper_ids, lower_ids, brow in _EYES:
            upper, lower = self._identity.mesh[upper_ids], self._identity.mesh[lower_ids]
            lid = _row(upper, x)
            fall = blink * 0.92 * (_row(lower, x) - lid)
            fall *= (x > upper[0, 0]) & (x < upper[-1, 0])
            lid_now = lid + fall
            room = 0.9 * float(upper[:, 1].mean() - self._identity.mesh[brow, 1])
            move -= np.where(y <= lid_now, fall * (1 - _step(0, 1, (lid_now - y) / (room + fall))), 0)
        return move


def sensor_noise(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """The noise of one frame: [224, 224, 1] float32 of standard deviation sigma, slightly correlated, as cameras give.

    The same in all colours: of colour noise, 4:2:0 video keeps next to nothing.
    """
    grain = cv2.GaussianBlur(rng.standard_normal((FRAME, FRAME), dtype=np.float32), (3, 3), 0.5)
    return grain[..., None] * np.float32(sigma / 0.62)


def _row(curve: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The height of a curve [P, 2] above each x, level beyond its ends; float32."""
    return np.interp(x, curve[:, 0], curve[:, 1]).astype(np.float32)


def _ease(at: np.ndarray, times: list[float], values: list[float]) -> np.ndarray:
    """Interpolation that comes to rest at every value, as lips do."""
    after = np.searchsorted(times, at, side="right").clip(1, len(times) - 1)
    start, end = np.array(times)[after - 1], np.array(times)[after]
    share = _step(0, 1, (at - start) / (end - start))
    return np.array(values)[after - 1] * (1 - share) + np.array(values)[after] * share


def _step(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """Smooth step: 0 up to low, 1 from high on (or the other way round)."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)
