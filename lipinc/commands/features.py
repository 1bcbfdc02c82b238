"""Write the embeddings of the windows of videos, or of a cache, to a file for classifiers of your own.

    lipinc features VIDEO --out features.safetensors
    lipinc features FOLDER "clips/*.mp4" --out features.safetensors --checkpoint lipinc_v2
    lipinc features cache/mouth_noise --out features.safetensors

docs/features.md describes the file. Extract many videos to a cache first: that continues after an interruption. Exit
status: as of detect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from lipinc.cache.store import Cache, is_cache
from lipinc.config.command_line import parse_arguments
from lipinc.cores import available_cores
from lipinc.detection.batch import DEFAULT_CHECKPOINT, Settings, find_videos, load, provenance
from lipinc.errors import UserError


@dataclass(frozen=True)
class Arguments:
    """Arguments of features."""

    videos: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO|FOLDER|GLOB ...|CACHE")]
    """Files, folders or quoted glob patterns; or the folder of one cache."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE.safetensors")]
    """File to write."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A checkpoint file, or the name of a shipped checkpoint: mouth_noise, lipinc_v2."""
    plugin: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE ...")] = ()
    """Python files that define the model of the checkpoint, if it is a plug-in."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    face: str = "all"
    """Faces of videos: all (up to four), largest (by area over the video), or the rank of one face by area, from 0. A
    cache has the faces that it was made with."""
    workers: int = 0
    """Number of processes for several videos; 0: one per core that may be used. Always one with --device cuda."""


def main(argv: Sequence[str], prog: str) -> int:
    """Run the command."""
    arguments = parse_arguments(Arguments, argv, prog=prog, description=__doc__)
    if not arguments.videos:
        raise UserError("name at least one video, folder or pattern, or a cache")
    if arguments.workers < 0:
        raise UserError("--workers must be 0 or more")
    from lipinc.detection import features  # imports torch, for which --help and wrong flags need not wait

    features.check_target(arguments.out)
    caches = [word for word in arguments.videos if is_cache(word)]
    if caches and len(arguments.videos) > 1:
        raise UserError(f"{caches[0]} is a cache: give it alone")
    if caches and (arguments.face != Arguments.face or arguments.workers):
        raise UserError(f"{caches[0]} is a cache, whose clips are cut already: leave out --face and --workers")
    files = [] if caches else find_videos(arguments.videos)
    plugins = tuple(file.absolute() for file in arguments.plugin)
    settings = Settings(arguments.checkpoint, arguments.device, arguments.face, plugins=plugins)
    detector = load(settings)
    detector.checkpoint.check_embeds()
    if caches:
        clips = Cache.open(caches[0])[0].settings
        results = features.embed_cache(Path(caches[0]), detector)
    else:
        clips = provenance(settings)["settings"]
        workers = 1 if arguments.device == "cuda" else arguments.workers or available_cores()
        results = features.embed_videos(files, settings, workers)
    refused = [result for result in results if isinstance(result, features.RefusedVideo)]
    for video in refused:
        print(video)
    if len(refused) == len(results):
        raise UserError(f"no video has features, so {arguments.out} is not written")
    windows, size = features.write_features(arguments.out, results, detector.checkpoint, clips)
    videos = len(results) - len(refused)
    print(f"{arguments.out}: {windows} windows of {videos} videos, {size} features each; {len(refused)} refused")
    return 1 if any(video.failed for video in refused) else 0
