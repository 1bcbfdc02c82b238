"""Samples windows as the published code does, including its bugs, for use with the published weights (pure functions).

Differences from sampling.py, which samples as the papers describe it:
- a frame without a face does not interrupt a run of adjacent frames;
- only the last local frame is excluded from the global frames, so other local frames can be global frames too;
- percentages are truncated instead of rounded, and the tolerance is asymmetric: -3 to +2;
- the first matching frames are taken, not the nearest poses;
- a search for global frames ends at the first frame that has no pose, because the face was not found again after the
  alignment. After such a search, no run begins until the mouth has closed.
"""

import numpy as np

from lipinc.config import SamplingConfig
from lipinc.video.mouth import OPENNESS


def published_runs(ratios: np.ndarray, config: SamplingConfig) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Find the runs of L local frames for which the published code searches global frames.

    The published code stops at the first run with global frames; here it goes on as after a run without any.

    Args:
        ratios: (F, 4) float64 in the order of mouth.POSE_RATIOS; nan where a frame with a face has no pose.

    Returns:
        For each run the indices of its local frames (L,) and of its global frames (G,), or None without global frames.
    """
    percent, has_pose = np.trunc(100 * ratios), ~np.isnan(ratios).any(axis=1)
    runs: list[tuple[np.ndarray, np.ndarray | None]] = []
    run: list[int] = []
    for position, openness in enumerate(ratios[:, OPENNESS]):
        if not has_pose[position]:
            continue
        if openness < config.min_openness:
            run = []
            continue
        run.append(position)
        if len(run) == config.local_frames:
            local = np.array(run)
            try:
                runs.append((local, _global_frames(position, percent, has_pose, config)))
                run = []
            except _NoPose:
                runs.append((local, None))  # the run is kept, and never has L frames again
    return runs


class _NoPose(Exception):
    """The search for global frames has met a frame without a pose."""


def _global_frames(last: int, percent: np.ndarray, has_pose: np.ndarray, config: SamplingConfig) -> np.ndarray | None:
    """The first G frames whose pose is similar to that of the last local frame; None if there are fewer."""
    above = percent[last] - percent
    similar = ((above >= -config.tolerance) & (above < config.tolerance)).all(axis=1)
    similar[last] = False
    chosen: list[int] = []
    for position in np.flatnonzero(similar | ~has_pose):
        if chosen and position < chosen[-1] + config.min_gap:
            continue
        if not has_pose[position]:
            raise _NoPose
        chosen.append(int(position))
        if len(chosen) == config.global_frames:
            return np.array(chosen)
    return None
