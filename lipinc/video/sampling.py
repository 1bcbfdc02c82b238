"""Samples the frames of the windows of a video (pure functions on arrays of pose ratios).

As the paper describes it: local frames are truly adjacent; global frames are other frames with a similar pose, at a
minimum distance from the local frames and from each other. With `published_quirks` as the published code does it
(published_sampling.py).
"""

from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from lipinc.config import SamplingConfig
from lipinc.video.mouth import OPENNESS
from lipinc.video.published_sampling import published_runs
from lipinc.video.rejection import Reason, Rejection


@dataclass(frozen=True)
class Window:
    """The frames of one clip: local frames in order, then global frames in order."""

    positions: np.ndarray
    """(L + G,) int64: indices into the sampled arrays (not frame ids)."""
    nearest: bool
    """Fewer than G frames were within the tolerance, so the nearest poses were taken."""


def sample_windows(
    pictures: np.ndarray, ratios: np.ndarray, config: SamplingConfig, scenes: np.ndarray | None = None
) -> list[Window] | Rejection:
    """Sample up to `config.windows` windows of one face, spread over the video.

    The runs of local frames, disjoint and in order, are split into as many segments as windows are requested. Each
    segment yields its first run for which global frames are found: in the same scene, where light and size of the face
    are the same, or else in any. With one window and one scene this is the first such run of the video, as published.

    Args:
        pictures: (F,) int, increasing: numbers of the pictures that show the face.
        ratios: (F, 4) in the order of mouth.POSE_RATIOS; nan where a frame has no pose.
        scenes: (F,) int: numbers of their scenes; None: one scene.

    Returns:
        At least one window, or the reason why there is none.
    """
    if scenes is not None and (scenes == scenes[:1]).all():
        scenes = None
    if len(pictures) < config.min_frames:
        detail = f"the face is in {len(pictures)} frames, {config.min_frames} are needed"
        return Rejection(Reason.NO_FACE, detail)
    if config.published_quirks:
        runs, first_window = published_runs(ratios, config), _first_published_window
    else:
        runs = find_local_runs(pictures, ratios, config)
        first_window = partial(_first_window, pictures=pictures, ratios=ratios, scenes=scenes, config=config)
    if not runs:
        detail = f"no {config.local_frames} adjacent frames with the mouth open by {config.min_openness:.1%}"
        return Rejection(Reason.MOUTH_CLOSED, detail)
    windows = []
    for segment in np.array_split(np.arange(len(runs)), min(config.windows, len(runs))):
        window = first_window([runs[number] for number in segment])
        if window is not None:
            windows.append(window)
    if not windows:
        detail = f"{len(runs)} local runs, none with {config.global_frames} other frames of a similar pose"
        return Rejection(Reason.NO_SIMILAR_POSE, detail)
    return windows


def lip_movement(ratios: np.ndarray) -> float:
    """The range of the lip opening, without its lowest and highest 5 %, of pose ratios (F, 4): see min_movement."""
    low, high = np.nanquantile(ratios[:, OPENNESS], (0.05, 0.95))
    return float(high - low)


def find_local_runs(pictures: np.ndarray, ratios: np.ndarray, config: SamplingConfig) -> list[np.ndarray]:
    """Find disjoint runs of L adjacent frames with an open mouth, greedily from the start.

    Returns:
        A list of (L,) int arrays of indices.
    """
    runs, start = [], 0
    is_open = ratios[:, OPENNESS] >= config.min_openness
    for position in range(len(pictures)):
        if not is_open[position]:
            start = position + 1
            continue
        if position > start and pictures[position] != pictures[position - 1] + 1:
            start = position
        if position - start + 1 == config.local_frames:
            runs.append(np.arange(start, position + 1))
            start = position + 1
    return runs


def find_global_frames(
    local: np.ndarray,
    pictures: np.ndarray,
    ratios: np.ndarray,
    config: SamplingConfig,
    *,
    any_distance: bool = False,
    allowed: np.ndarray | None = None,
) -> np.ndarray | None:
    """Find G global frames, whose pose is similar to the pose of the last local frame.

    The nearest poses are preferred. If they leave no room for G frames that are `min_gap` apart, the earliest frames
    are taken, since that choice fits the largest number of frames.

    Args:
        local: (L,) indices of the local frames.
        pictures: (F,) int, increasing: numbers of the pictures that show the face.
        ratios: (F, 4) in the order of mouth.POSE_RATIOS.
        any_distance: Ignore the tolerance of the pose.
        allowed: (F,) bool: frames to choose from; None: all.

    Returns:
        (G,) indices in increasing order; None if there are fewer frames.
    """
    percent = np.rint(100 * ratios)
    candidate = ~np.isnan(ratios).any(axis=1)
    if allowed is not None:
        candidate &= allowed
    candidate &= (pictures <= pictures[local[0]] - config.min_gap) | (pictures >= pictures[local[-1]] + config.min_gap)
    if not any_distance:
        candidate &= (np.abs(percent - percent[local[-1]]) <= config.tolerance).all(axis=1)
    earliest_first = np.flatnonzero(candidate)
    distance = np.abs(ratios[earliest_first] - ratios[local[-1]]).max(axis=1, initial=0)
    nearest_first = earliest_first[np.argsort(distance, kind="stable")]
    for order in (nearest_first, earliest_first):
        chosen = _choose_spaced(order, pictures, config.min_gap, config.global_frames)
        if len(chosen) == config.global_frames:
            return np.sort(chosen)
    return None


def _first_window(
    runs: list[np.ndarray], pictures: np.ndarray, ratios: np.ndarray, scenes: np.ndarray | None, config: SamplingConfig
) -> Window | None:
    any_scene = (True,) if scenes is None else (False, True)
    any_distance = (False, True) if config.fallback == "nearest" else (False,)
    for anywhere, nearest, local in product(any_scene, any_distance, runs):
        allowed = None if anywhere else scenes == scenes[local[-1]]
        found = find_global_frames(local, pictures, ratios, config, any_distance=nearest, allowed=allowed)
        if found is not None:
            return Window(np.concatenate([local, found]), nearest)
    return None


def _first_published_window(runs: list[tuple[np.ndarray, np.ndarray | None]]) -> Window | None:
    found = (np.concatenate([local, others]) for local, others in runs if others is not None)
    return next((Window(positions, nearest=False) for positions in found), None)


def _choose_spaced(order: np.ndarray, pictures: np.ndarray, gap: int, count: int) -> list[int]:
    chosen: list[int] = []
    for position in order:
        if len(chosen) == count:
            break
        if all(abs(pictures[position] - pictures[other]) >= gap for other in chosen):
            chosen.append(int(position))
    return chosen
