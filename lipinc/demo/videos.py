"""Video files of talking identities, real and forged."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from lipinc.demo import talking
from lipinc.demo.faces import identity
from lipinc.demo.forgery import draw_generator, forge, waver
from lipinc.video.reader import Frame
from lipinc.video.writer import encode

CRF = 20
"""H.264 quality of every file, real or forged."""


def render_video(
    path: Path,
    *,
    number: int,
    frames: int,
    seed: int = 0,
    forged: Literal["mouth", "face"] | None = None,
    take: int = 1,
    silent: bool = False,
) -> None:
    """Render one video of a synthetic identity: 224 x 224, 25 frames a second, H.264, no audio.

    number, seed: which identity. frames: 1 or more. forged: None for a real video, else the region that is generated
    again. take: which other speech drives the forgery. silent: the mouth never opens.
    The same arguments give the same bytes. All videos of an identity show the same performance, as the fakes of
    FakeAVCeleb are made of its real videos.
    """
    write_video(path, talking_frames(number=number, frames=frames, seed=seed, forged=forged, take=take, silent=silent))


def talking_frames(
    *,
    number: int,
    frames: int,
    seed: int = 0,
    forged: Literal["mouth", "face"] | None = None,
    take: int = 1,
    silent: bool = False,
) -> Iterator[np.ndarray]:
    """The frames that `render_video` encodes: [224, 224, 3] uint8 BGR each."""
    face = identity(number, seed)
    head = talking.TalkingHead(face)
    noise, forger = np.random.default_rng([seed, number, 3]), np.random.default_rng([seed, number, 4, take])
    poses = talking.head_motion(np.random.default_rng([seed, number, 1]), frames)
    said = talking.silence(frames) if silent else talking.speech(np.random.default_rng([seed, number, 2]), frames)
    driving = talking.speech(np.random.default_rng([seed, number, 5, take]), frames)
    generator = draw_generator(forger, forged) if forged else None
    for pose, mouth, other in zip(poses, said, driving, strict=True):
        frame = head.render(pose, mouth) + talking.sensor_noise(noise, face.noise)
        if generator:
            frame = forge(frame, head.render(pose, waver(other, forger)), head.box(pose), generator, forger)
        yield np.rint(frame).clip(0, 255).astype(np.uint8)


def write_video(path: Path, frames: Iterable[np.ndarray]) -> None:
    """Encode frames ([H, W, 3] uint8 BGR) as an H.264 mp4. The file appears when it is complete."""
    timed = (Frame(index, index / talking.FPS, image) for index, image in enumerate(frames))
    encode(timed, path, crf=CRF, preset="veryfast")
