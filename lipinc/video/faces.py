"""Decodes a video once, tracks its faces, and crops the mouth in every frame that shows one."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from lipinc.config import MouthConfig
from lipinc.video.face_finding import FaceFinder
from lipinc.video.face_tracking import FaceTracks
from lipinc.video.landmarks import lip_outline, to_68
from lipinc.video.mouth import crop_mouth, crop_native, estimate_pose, is_inside_image, lip_box
from lipinc.video.native_logs import quiet_native_logs
from lipinc.video.published_faces import track_first_face
from lipinc.video.quality import QualityMeter
from lipinc.video.reader import VideoReader, downscale
from lipinc.video.repeats import RepeatFilter
from lipinc.video.scenes import SceneFinder
from lipinc.video.tracked_video import OBSERVATION, Face, TrackedVideo, make_thumbnail, measure_quality
from lipinc.video.upright import TurnVote, turn

CHECK_INTERVAL = 12
"""Pictures between two checks for additional faces and for faces on their head: about half a second. Tracking several
faces doubles the cost of a frame, so it is done only if there are several."""
NOTED_REPEATS = 0.1
"""Fraction of repeated frames that is worth a note. A few frames are left out of most videos: in a pause, nothing
moves."""
MAX_MOUTH_BYTES_IN_MEMORY = 16 << 20
"""Above this, the mouths of a video go to a temporary file."""


@contextmanager
def track_faces(
    path: str | os.PathLike,
    config: MouthConfig,
    *,
    perturb: Callable[[int, np.ndarray], np.ndarray] | None = None,
    on_frame: Callable[[int, int | None], None] | None = None,
) -> Iterator[TrackedVideo]:
    """Decode a video once and track its faces. The result depends only on the arguments and the content of the file.

    Frames are streamed and mouths go to a temporary file: memory does not grow with the length of the video, except
    for some 92 bytes per face and frame.

    Args:
        perturb: Changes each frame, given its index and image, before face detection.
        on_frame: Called after each frame with the number of frames read, and with the number that the header promises
            (None: unknown). Some videos are read twice.

    Raises:
        reader.Unreadable: no frame of the file can be decoded.
        ModuleNotFoundError: config.landmarks is dlib, which is not installed.
    """
    with tempfile.SpooledTemporaryFile(MAX_MOUTH_BYTES_IN_MEMORY) as mouth_file:
        with quiet_native_logs():
            if config.landmarks == "dlib":
                result = track_first_face(path, config, mouth_file, perturb, on_frame)
            else:
                result = _Plan(several=config.face != "largest")
                while isinstance(result, _Plan):
                    result = _track(path, config, mouth_file, perturb, on_frame, result)
        yield result


@dataclass(frozen=True)
class _Plan:
    """How a video is tracked. What its first pictures show may call for another plan."""

    several: bool
    """Track up to mouth.max_faces faces instead of one, which takes twice as long."""
    quarter_turns: int | None = None
    """Quarter turns, counter-clockwise, that stand the faces upright; None: to be found out."""


def _track(
    path: str | os.PathLike,
    config: MouthConfig,
    mouth_file: BinaryIO,
    perturb: Callable[[int, np.ndarray], np.ndarray] | None,
    on_frame: Callable[[int, int | None], None] | None,
    plan: _Plan,
) -> TrackedVideo | _Plan:
    """Track the faces of a video by a plan. Returns a better plan as soon as the pictures call for one."""
    tracks, repeats, vote, meter = FaceTracks(), RepeatFilter(), TurnVote(), QualityMeter()
    frames, pictures, duration = 0, 0, 0.0
    scenes = SceneFinder()
    quarter_turns = plan.quarter_turns or 0
    mouth_file.seek(0)
    finder = FaceFinder(config, several=plan.several)
    with VideoReader(path, perturb=perturb) as video:
        for frame in video:
            original = turn(frame.image, quarter_turns)
            image = downscale(original, config.working_width)
            frames, duration = frames + 1, frame.time
            if on_frame is not None:
                on_frame(frames, video.promised_frames)
            if config.repeats == "skip" and repeats.is_repeat(image):
                continue
            number, pictures = pictures, pictures + 1
            scenes.add(image)
            faces = finder(original, image)
            if number % CHECK_INTERVAL == 0:
                if not plan.several and finder.count_faces(original, image) > 1:
                    return replace(plan, several=True)
                if plan.quarter_turns is None and not vote.is_decided:
                    vote.add(finder.scores_of_turns(original, image), faces)
                    if vote.quarter_turns:
                        return replace(plan, quarter_turns=vote.quarter_turns)
            boxes = np.array([np.concatenate([face.min(axis=0), face.max(axis=0)]) for face in faces])
            scale = original.shape[1] // image.shape[1]
            if len(faces):
                meter.add(number, original, scale * boxes)
            for face, box, track in zip(faces, boxes, tracks.assign(number, boxes), strict=True):
                face = face.astype(np.float64)
                lips = lip_outline(face)
                pose = estimate_pose(to_68(face), lips, config) if is_inside_image(lips, image) else None
                if pose is None:
                    continue
                if config.cut == "native":
                    # From the frame at full size: half as many pixels carry much less evidence (docs/results.md).
                    mouth = crop_native(original, lips * scale, config.margin)
                else:
                    mouth = crop_mouth(image, pose)
                if mouth is None:
                    continue
                if track.thumbnail is None:
                    track.thumbnail = make_thumbnail(image, box)
                picture = number
                if config.repeats == "skip":
                    picture = track.mouth_pictures.number(number, frame.time, image, lips)
                    if picture is None:
                        continue
                picture += scenes.cuts  # so that no two pictures with a cut between them are adjacent
                observed = (frame.index, picture, scenes.scene, frame.time, pose.ratios, scale * (box[3] - box[1]))
                mouth_box = lip_box(lips * scale, config.margin)
                place = (mouth_file.tell(), *mouth.shape[:2], mouth_box)
                track.observations += np.array((*observed, *place), dtype=OBSERVATION).tobytes()
                mouth_file.write(mouth.tobytes())
    turned, left_out, notes = 90 * quarter_turns, frames - pictures, list(video.stream.notes)
    found = []
    for track in tracks.sorted_by_area():
        if track.observations:
            observations = np.frombuffer(track.observations, dtype=OBSERVATION)
            quality = measure_quality(observations, meter, video, frames, left_out)
            found.append(Face(track.thumbnail, track.mouth_pictures.repeats, quality, observations, mouth_file))
    if turned:
        notes.append(f"the pictures were turned by {turned} degrees to stand the faces upright")
    if left_out > NOTED_REPEATS * frames:
        notes.append(f"{left_out} of {frames} frames repeat the picture before them and were left out")
    stream = replace(video.stream, notes=tuple(notes))
    return TrackedVideo(frames, left_out, turned, duration, found, stream)
