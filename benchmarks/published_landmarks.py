"""How far clips for the authors' weights are from the published ones if their landmarks are not dlib's.

    python -m benchmarks.published_landmarks --videos data/clips/real/*.mp4

Needs `pip install dlib-bin face_recognition_models`. Both clips of a video are made by the other settings of
configs/official_v1.py. Columns: whether the local and the global frames are the same; the edges of the mouth box in the
aligned face, in px of its 256, and the height of the box in percent, on the first frames (median and maximum); the mean
of the absolute residues of the clips, in grey levels.
"""

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from benchmarks.command import run_benchmark
from lipinc.config import Config, MouthConfig, load_config
from lipinc.video.clips import Clips, extract
from lipinc.video.landmarks import FaceMesh, lip_outline, to_68
from lipinc.video.landmarks.dlib_runtime import DlibLandmarks
from lipinc.video.landmarks.installed import require_landmarks
from lipinc.video.mouth import estimate_pose, lip_box, residues
from lipinc.video.native_logs import quiet_native_logs
from lipinc.video.published_faces import align_face, scale_to_width
from lipinc.video.reader import downscale, read_frames


@dataclass(frozen=True)
class Arguments:
    """Distance from the published clips."""

    videos: tuple[Path, ...]
    """Videos that show a face."""
    frames: int = 31
    """Frames of each video in which boxes are compared."""


def main(arguments: Arguments) -> None:
    """Print a line for each video, and one for all."""
    require_landmarks("dlib")
    config = load_config("official_v1")
    rows = []
    print(
        f"{'video':28s}{'locals':>8s}{'globals':>9s}{'edges, px':>15s}{'height, %':>15s}{'residues, dlib / other':>24s}"
    )
    for video in arguments.videos:
        with quiet_native_logs():
            edges, heights = _box_differences(video, config.mouth, arguments.frames)
            published, other = (_clip(video, config, landmarks) for landmarks in ("dlib", MouthConfig.landmarks))
        if published is None or other is None or not edges.size:
            which = [name for name, clip in (("dlib", published), ("the other", other)) if clip is None]
            print(f"{video.name:28s}no clip by {' and by '.join(which) or 'both'}", flush=True)
            continue
        local = config.sampling.local_frames
        same = [np.array_equal(published.frame_ids[0, part], other.frame_ids[0, part]) for part in _parts(local)]
        levels = [float(residues(clip.frames[0], "absolute").mean()) for clip in (published, other)]
        rows.append((*same, edges.max(), heights.max(), max(levels) / min(levels)))
        print(
            f"{video.name:28s}{_word(same[0]):>8s}{_word(same[1]):>9s}{_range(edges):>15s}{_range(heights):>15s}"
            f"{levels[0]:>14.2f} / {levels[1]:.2f}",
            flush=True,
        )
    if rows:
        locals_same, globals_same, edge, height, factor = np.array(rows).T
        print(
            f"{len(rows)} videos: same local frames in {locals_same.sum():.0f}, same global ones in "
            f"{globals_same.sum():.0f}; boxes up to {edge.max():.0f} px and {height.max():.0f} % in height; mean of "
            f"the residues up to a factor {factor.max():.1f}, median {np.median(factor):.2f}"
        )


def _parts(local: int) -> tuple[slice, slice]:
    return slice(local), slice(local, None)


def _word(same: bool) -> str:
    return "same" if same else "other"


def _range(values: np.ndarray) -> str:
    return f"{np.median(values):.1f}, {values.max():.1f}"


def _clip(video: Path, config: Config, landmarks: str) -> Clips | None:
    clips = extract(video, replace(config.mouth, landmarks=landmarks), config.sampling)
    return clips if isinstance(clips, Clips) else None


def _box_differences(video: Path, config: MouthConfig, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Absolute differences (F, 4) of the edges of mouth boxes in px, and (F,) of their heights in percent of dlib's."""
    find_face, edges, heights = DlibLandmarks(), [], []
    mesh = FaceMesh()
    for frame in islice(read_frames(video), count):
        small = downscale(frame.image, config.working_width)
        meshes = mesh(small)
        pose = estimate_pose(to_68(meshes[0]), lip_outline(meshes[0]), config) if meshes else None
        published = _published_box(find_face, scale_to_width(frame.image, config.working_width), config)
        if pose is not None and published is not None:
            box = np.array(pose.box)
            edges.append(np.abs(box - published))
            heights.append(100 * abs((box[3] - box[1]) / (published[3] - published[1]) - 1))
    return np.array(edges), np.array(heights)


def _published_box(find_face: DlibLandmarks, image: np.ndarray, config: MouthConfig) -> np.ndarray | None:
    face = find_face(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    aligned = None if face is None else align_face(image, face.points, config)
    again = None if aligned is None else find_face(cv2.cvtColor(aligned, cv2.COLOR_RGB2GRAY))
    return None if again is None else np.array(lip_box(again.points[48:]))


if __name__ == "__main__":
    run_benchmark(main, Arguments, __spec__.name, __doc__)
