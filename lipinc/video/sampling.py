"""Which frames of a video become windows (pure functions on arrays of pose ratios).

The paper's meaning (default): local frames are truly adjacent; global frames are frames of a similar pose elsewhere,
none of them a local frame, kept apart.

`published_quirks` does what the published code does instead, for use with its weights:
- a frame without a face does not break adjacency;
- only the last local frame is kept out of the global frames, so the other local frames come back as global ones;
- a whole percent is cut off, not rounded, and the tolerance is lopsided: -3 .. +2;
- the first hits are taken, not the nearest.
"""

from dataclasses import dataclass

import numpy as np

from lipinc.config import SamplingConfig
from lipinc.video.rejection import Reason, Rejection


@dataclass(frozen=True)
class Window:
    """The frames of one clip: local frames in order, then global frames in order."""

    positions: np.ndarray
    """[L + G] int64: positions in the arrays that were sampled."""
    nearest: bool
    """Fewer than G frames lay within the tolerance, and the nearest poses were taken."""


def sample_windows(frame_ids: np.ndarray, ratios: np.ndarray, config: SamplingConfig) -> list[Window] | Rejection:
    """Up to `config.windows` windows of one face, spread over the video.

    frame_ids: [F] int, increasing: the frames that show the face. ratios: [F, 4] in the order of mouth.POSE_RATIOS.
    The local runs of the video, disjoint and in order, are cut into as many stretches as windows are wanted; each
    stretch gives its first run for which global frames are found. One window is therefore the first of the video, as
    published.
    """
    if len(frame_ids) < config.min_frames:
        detail = f"the face is in {len(frame_ids)} frames, {config.min_frames} are needed"
        return Rejection(Reason.NO_FACE, detail)
    runs = local_runs(frame_ids, ratios, config)
    if not runs:
        detail = f"no {config.local_frames} adjacent frames with the mouth open by {config.min_openness:.1%}"
        return Rejection(Reason.MOUTH_CLOSED, detail)
    windows = []
    for stretch in np.array_split(np.array(runs), min(config.windows, len(runs))):
        window = _first_window(stretch, frame_ids, ratios, config)
        if window is not None:
            windows.append(window)
    if not windows:
        detail = f"{len(runs)} local runs, none with {config.global_frames} frames of its pose elsewhere"
        return Rejection(Reason.NO_SIMILAR_POSE, detail)
    return windows


def local_runs(frame_ids: np.ndarray, ratios: np.ndarray, config: SamplingConfig) -> list[np.ndarray]:
    """All disjoint runs of L adjacent frames with an open mouth, greedily from the start: a list of [L] positions."""
    runs, start = [], 0
    is_open = ratios[:, 0] >= config.min_openness
    for position in range(len(frame_ids)):
        if not is_open[position]:
            start = position + 1
            continue
        gap = position > start and frame_ids[position] != frame_ids[position - 1] + 1
        if gap and not config.published_quirks:
            start = position
        if position - start + 1 == config.local_frames:
            runs.append(np.arange(start, position + 1))
            start = position + 1
    return runs


def find_global_frames(
    local: np.ndarray, frame_ids: np.ndarray, ratios: np.ndarray, config: SamplingConfig, *, nearest: bool = False
) -> np.ndarray | None:
    """G frames of the pose of the last local frame, in order: [G] positions, or None if there are not so many.

    The nearest poses are preferred; where taking them leaves no room for G frames `min_gap` apart, the earliest are
    taken, which is the choice that fits most. nearest: leave out the tolerance.
    """
    if config.published_quirks:
        return _published_global_frames(local, ratios, config)
    percent = np.rint(100 * ratios)
    candidate = (frame_ids <= frame_ids[local[0]] - config.min_gap) | (
        frame_ids >= frame_ids[local[-1]] + config.min_gap
    )
    if not nearest:
        candidate &= (np.abs(percent - percent[local[-1]]) <= config.tolerance).all(axis=1)
    earliest_first = np.flatnonzero(candidate)
    distance = np.abs(ratios[earliest_first] - ratios[local[-1]]).max(axis=1, initial=0)
    nearest_first = earliest_first[np.argsort(distance, kind="stable")]
    for order in (nearest_first, earliest_first):
        chosen = _apart(order, frame_ids, config.min_gap, config.global_frames)
        if len(chosen) == config.global_frames:
            return np.sort(chosen)
    return None


def _first_window(runs: np.ndarray, frame_ids: np.ndarray, ratios: np.ndarray, config: SamplingConfig) -> Window | None:
    for nearest in (False, True) if config.fallback == "nearest" else (False,):
        for local in runs:
            found = find_global_frames(local, frame_ids, ratios, config, nearest=nearest)
            if found is not None:
                return Window(np.concatenate([local, found]), nearest)
    return None


def _apart(order: np.ndarray, frame_ids: np.ndarray, gap: int, count: int) -> list[int]:
    chosen: list[int] = []
    for position in order:
        if len(chosen) == count:
            break
        if all(abs(frame_ids[position] - frame_ids[other]) >= gap for other in chosen):
            chosen.append(int(position))
    return chosen


def _published_global_frames(local: np.ndarray, ratios: np.ndarray, config: SamplingConfig) -> np.ndarray | None:
    percent = np.trunc(100 * ratios)
    above = percent[local[-1]] - percent
    similar = ((above >= -config.tolerance) & (above < config.tolerance)).all(axis=1)
    similar[local[-1]] = False
    chosen, position = [], 0
    while position < len(ratios) and len(chosen) < config.global_frames:
        if similar[position]:
            chosen.append(position)
            position += config.min_gap
        else:
            position += 1
    return np.array(chosen) if len(chosen) == config.global_frames else None
