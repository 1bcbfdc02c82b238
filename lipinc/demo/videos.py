"""Renders video files of talking synthetic identities, real and forged."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from lipinc.demo import talking
from lipinc.demo.faces import make_identity
from lipinc.demo.forgery import add_mouth_jitter, draw_generator, forge
from lipinc.video.reader import Frame
from lipinc.video.writer import encode

CRF = 20
"""Constant rate factor of every file, real or forged."""


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

    The same arguments give the same bytes. All videos of an identity show the same performance, since the fakes of
    FakeAVCeleb are made from its real videos.

    Args:
        number: Number of the identity; it differs with the seed.
        frames: Number of frames, at least 1.
        forged: Region that is replaced; None: a real video.
        take: Selects the other speech that drives the forgery.
        silent: The mouth never opens.
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
    """The frames that `render_video` encodes: (224, 224, 3) uint8 BGR each."""
    face = make_identity(number, seed)
    head = talking.TalkingHead(face)
    noise, forgery_rng = np.random.default_rng([seed, number, 3]), np.random.default_rng([seed, number, 4, take])
    poses = talking.head_motion(np.random.default_rng([seed, number, 1]), frames)
    own_speech = talking.silence(frames) if silent else talking.speech(np.random.default_rng([seed, number, 2]), frames)
    other_speech = talking.speech(np.random.default_rng([seed, number, 5, take]), frames)
    generator = draw_generator(forgery_rng, forged) if forged else None
    for pose, mouth, other_mouth in zip(poses, own_speech, other_speech, strict=True):
        frame = head.render(pose, mouth) + talking.sensor_noise(noise, face.noise)
        if generator:
            driven = head.render(pose, add_mouth_jitter(other_mouth, forgery_rng))
            frame = forge(frame, driven, head.box(pose), generator, forgery_rng)
        yield np.rint(frame).clip(0, 255).astype(np.uint8)


def write_video(path: Path, frames: Iterable[np.ndarray]) -> None:
    """Encode frames, (H, W, 3) uint8 BGR, to an H.264 mp4 file. Writes atomically."""
    timed = (Frame(index, index / talking.FPS, image) for index, image in enumerate(frames))
    encode(timed, path, crf=CRF, preset="veryfast")
