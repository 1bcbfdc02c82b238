"""Renders a talking face: generates speech and head motion, and draws the frames.

Each frame is one warp of the identity's canvas. The skin above and below the lip line moves as two separate sheets, so
that the lips are never smeared across the opening; the inside of the mouth is painted between them. The eyelids close
over the eyes in the same way. Points and lengths are in canvas px unless stated otherwise.
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
    """Gap between the lips as a fraction of the mouth's width; 0: closed."""
    width: float
    """Factor on the mouth's width; below 1: rounded lips, above 1: spread lips."""


@dataclass(frozen=True)
class Head:
    """The pose of the head in one frame, relative to the average pose of the identity."""

    roll: float
    """In radians."""
    shift: tuple[float, float]
    """(x, y) in px."""
    scale: float
    yaw: float
    """Horizontal shift of the tip of the nose relative to the face, in px."""
    blink: float
    """0: eyes open, 1: closed."""


def speech(rng: np.random.Generator, frames: int) -> list[Mouth]:
    """Random speech: 3 to 6 syllables per second, each an opening and a (partial or full) closing, and pauses."""
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
    tracks = [_interpolate_smoothly(at, times, values) for values in (opening, width)]
    return [Mouth(opening, width) for opening, width in np.stack(tracks, axis=1).tolist()]


def silence(frames: int) -> list[Mouth]:
    """A mouth that stays closed."""
    return [Mouth(0.0, 1.0)] * frames


def head_motion(rng: np.random.Generator, frames: int) -> list[Head]:
    """Slow random sway in every degree of freedom, and a blink about every two seconds."""
    at = np.arange(frames) / FPS

    def sway(size: float) -> np.ndarray:
        rates, phases, weights = rng.uniform(0.15, 0.9, 3), rng.uniform(0, 2 * np.pi, 3), rng.uniform(0.4, 1, 3)
        return size / 2 * (weights[:, None] * np.sin(2 * np.pi * rates[:, None] * at + phases[:, None])).sum(axis=0)

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
    """Renders the frames of one identity.

    >>> head = TalkingHead(make_identity(3))
    >>> image = head.render(head_pose, mouth)  # (224, 224, 3) float32 BGR, 0..255, without sensor noise
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
        offset = ((still - (self._low + self._high) / 2) / (self._high - self._low)).astype(np.float32)
        # The head moves; pixels far from it hardly move.
        distance = np.sqrt((offset**2).sum(axis=-1, keepdims=True))
        self._still, self._follow = still, 0.1 + 0.9 * (1 - _smoothstep(0.75, 1.6, distance))
        # Depth of the face towards the camera: 1 at the tip of the nose, 0 outside the head.
        nose_offset = still - mesh[_NOSE_TIP].astype(np.float32)
        nose_offset = nose_offset / (0.75 * (self._high - self._low).astype(np.float32))
        self._depth = np.exp(-2 * (nose_offset**2).sum(axis=-1))

    def box(self, head: Head) -> tuple[int, int, int, int]:
        """The bounding box of the face: left, top, right, bottom in frame px; right and bottom are exclusive."""
        to_frame = cv2.invertAffineTransform(self._pose_matrix(head))
        points = cv2.transform(self._identity.mesh[None], to_frame)[0]
        left, top = np.floor(points.min(axis=0)).astype(int).clip(0, FRAME - 1)
        right, bottom = np.ceil(points.max(axis=0)).astype(int).clip(1, FRAME)
        return int(left), int(top), int(right), int(bottom)

    def render(self, head: Head, mouth: Mouth) -> np.ndarray:
        """Render one frame: (224, 224, 3) float32 BGR, 0..255, without sensor noise."""
        to_canvas = self._pose_matrix(head)
        source = self._still + self._follow * (cv2.transform(self._frame, to_canvas) - self._still)
        source[..., 0] += np.float32(head.yaw) * self._depth
        if head.blink:
            source[..., 1] += self._close_eyes(source[..., 0], source[..., 1], head.blink)
        region = self._mouth_region(to_canvas)
        source[region], gap, inside = self._open_mouth(source[region][..., 0], source[region][..., 1], mouth)
        image = cv2.remap(self._identity.canvas, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        is_open = gap > 0
        skin, weight = image[region][is_open], gap[is_open][:, None]
        image[region][is_open] = skin + weight * (self._paint_inside(*(value[is_open] for value in inside)) - skin)
        return image

    def _pose_matrix(self, head: Head) -> np.ndarray:
        """(2, 3) affine matrix frame px -> canvas px for a pose of the head."""
        angle = -(self._identity.roll + head.roll)
        cosine, sine = np.cos(angle) / head.scale, np.sin(angle) / head.scale
        linear = np.array([[cosine, -sine], [sine, cosine]])
        return np.column_stack([linear, self._pivot - linear @ (self._pivot - MARGIN + np.array(head.shift))])

    def _mouth_region(self, to_canvas: np.ndarray) -> tuple[slice, slice]:
        """The region of the frame that speech moves: from the nose to the neck, from cheek to cheek."""
        x, y = cv2.transform(np.array([[self._centre]]), cv2.invertAffineTransform(to_canvas))[0, 0]
        reach = 3.3 * self._half
        below = 2.6 * (self._chin - self._centre[1])
        return np.s_[
            max(0, int(y - 2.4 * self._half)) : max(1, int(y + below)), max(0, int(x - reach)) : max(1, int(x + reach))
        ]

    def _open_mouth(
        self, x: np.ndarray, y: np.ndarray, mouth: Mouth
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
        """Warp the skin around a mouth.

        Args:
            x, y: (H, W) canvas position of each pixel, if the mouth were closed.

        Returns:
            (H, W, 2) canvas position that each pixel is sampled from, (H, W) fraction of each pixel that is open mouth,
            and the arguments of `_paint_inside`.
        """
        half, centre = self._half, self._centre
        near = np.exp(-(((x - centre[0]) / (1.6 * half)) ** 2 + ((y - centre[1]) / (1.1 * half)) ** 2))
        source_x = centre[0] + (x - centre[0]) * (1 + (1 / mouth.width - 1) * near)
        along = (source_x - centre[0]) / half
        upper = _curve_y(self._upper, source_x)
        lower = _curve_y(self._lower, source_x)
        meet = (upper + lower) / 2
        gap = 2 * half * mouth.opening * np.sqrt((1 - along**2).clip(0)) * (1 - 0.25 * along**2)
        upper_now, lower_now = meet - 0.22 * gap, meet + 0.78 * gap

        to_nose = centre[1] - self._nose_base
        lift = (upper_now - upper) * (1 - _smoothstep(0, 1, (upper_now - y) / to_nose))
        to_chin = self._chin - centre[1]
        deep = (y - lower_now) / to_chin
        jaw_drop = 0.7 * 2 * half * mouth.opening * np.exp(-((along / 2.1) ** 4)) * (1 - _smoothstep(0.95, 2.4, deep))
        blend = _smoothstep(0, 0.85, deep)
        drop = (lower_now - lower) * (1 - blend) + jaw_drop * blend
        source_y = y - np.where(y < (upper_now + lower_now) / 2, lift, drop)
        open_fraction = np.clip(y - upper_now + 0.5, 0, 1) * np.clip(lower_now - y + 0.5, 0, 1)
        open_fraction *= np.clip(gap, 0, 1)
        inside = along, (y - upper_now) / half, (lower_now - y) / half, gap / half
        return np.stack([source_x, source_y], axis=-1), open_fraction, inside

    def _paint_inside(self, along: np.ndarray, below: np.ndarray, above: np.ndarray, gap: np.ndarray) -> np.ndarray:
        """Paint the open mouth: dark, with the tongue and the edge of the upper teeth.

        All arguments are (P,), for P pixels, in units of half the mouth's width.

        Args:
            along: Position along the mouth, -1..1.
            below: Distance below the upper lip.
            above: Distance above the lower lip.
            gap: Height of the opening at this position.

        Returns:
            (P, 3) float32 BGR.
        """
        bright = float(self._identity.skin.mean()) / 255
        depth = np.minimum(below, above)
        dark = np.array([26, 22, 52], np.float32) * (1.25 - np.clip(2 * depth, 0, 0.7))[..., None]
        tongue = np.array([82, 78, 150], np.float32)
        rise = _smoothstep(0.5, 0.05, above) * _smoothstep(0.2, 0.6, gap) * _smoothstep(0.75, 0.3, np.abs(along))
        image = dark + rise[..., None] * 0.7 * (tongue - dark)
        edge = (0.1 + 0.16 * gap.clip(0, 0.8)) * (1 - 0.5 * along**2)
        seams = 1 - 0.12 * np.exp(-(((((along / 0.2) % 1) - 0.5) / 0.13) ** 2))
        shine = _smoothstep(-0.04, 0.14, below) * (0.62 + 0.3 * (1 - along**2)) * seams
        weight = _smoothstep(0.05, -0.03, below - edge) * _smoothstep(0.92, 0.55, np.abs(along))
        weight = weight * _smoothstep(0.02, 0.2, gap)
        teeth = np.array([180, 204, 220], np.float32) * shine[..., None]
        image = image + 0.92 * weight[..., None] * (teeth - image)
        return image * min(1.15, 0.35 + 1.15 * bright)

    def _close_eyes(self, x: np.ndarray, y: np.ndarray, blink: float) -> np.ndarray:
        """The offset of the source rows that lowers the upper eyelids."""
        offset = np.zeros_like(y)
        for upper_ids, lower_ids, brow in _EYES:
            upper, lower = self._identity.mesh[upper_ids], self._identity.mesh[lower_ids]
            lid = _curve_y(upper, x)
            drop = blink * 0.92 * (_curve_y(lower, x) - lid)
            drop *= (x > upper[0, 0]) & (x < upper[-1, 0])
            closed_lid = lid + drop
            brow_distance = 0.9 * float(upper[:, 1].mean() - self._identity.mesh[brow, 1])
            offset -= np.where(
                y <= closed_lid, drop * (1 - _smoothstep(0, 1, (closed_lid - y) / (brow_distance + drop))), 0
            )
        return offset


def sensor_noise(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """The sensor noise of one frame: (224, 224, 1) float32, standard deviation sigma.

    Neighbouring pixels are slightly correlated, as in real cameras. The noise is the same in all colours, since 4:2:0
    video removes almost all colour noise.
    """
    grain = cv2.GaussianBlur(rng.standard_normal((FRAME, FRAME), dtype=np.float32), (3, 3), 0.5)
    return grain[..., None] * np.float32(sigma / 0.62)


def _curve_y(curve: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The y of a curve (P, 2) at each x, constant beyond its ends; float32."""
    return np.interp(x, curve[:, 0], curve[:, 1]).astype(np.float32)


def _interpolate_smoothly(at: np.ndarray, times: list[float], values: list[float]) -> np.ndarray:
    """Interpolate between values with zero velocity at each of them, like the motion of lips."""
    after = np.searchsorted(times, at, side="right").clip(1, len(times) - 1)
    start, end = np.array(times)[after - 1], np.array(times)[after]
    weight = _smoothstep(0, 1, (at - start) / (end - start))
    return np.array(values)[after - 1] * (1 - weight) + np.array(values)[after] * weight


def _smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """Smoothstep: 0 up to `low`, 1 from `high` on. With low > high, falling from 1 to 0."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
