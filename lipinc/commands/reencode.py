"""Re-encode a folder of videos by H.264, to measure how well a detector copes with the compression of a platform.

lipinc reencode --root data/clips --out data/clips_crf28 --crf 28
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lipinc.config.command_line import parse_arguments
from lipinc.cores import available_cores
from lipinc.errors import UserError, printable
from lipinc.progress import progress_bar
from lipinc.synthesis.compression import reencode
from lipinc.synthesis.perturbations import Encoding
from lipinc.video.native_logs import quiet_native_logs
from lipinc.video.reader import Unreadable
from lipinc.video.subprocesses import ProcessDied, map_isolated
from lipinc.video.video_files import walk_video_files


@dataclass(frozen=True)
class Arguments:
    """Re-encode every video in a folder and its sub-folders, under the same relative paths. Existing files are kept.

    Folders of frames become mp4 files.
    """

    root: Path
    out: Path
    crf: int = 28
    """0 (lossless) to 51; 23 is x264's default."""
    preset: str = "medium"
    workers: int = 0
    """Processes; 0: one per core that may be used."""


def main(argv: Sequence[str], prog: str) -> None:
    """Re-encode."""
    arguments = parse_arguments(Arguments, argv, prog=prog, description=__doc__)
    sources = find_source_videos(arguments.root, arguments.out)
    convert = partial(_convert, arguments)
    with map_isolated(convert, sources, arguments.workers or available_cores()) as converted:
        results = zip(sources, progress_bar(converted, total=len(sources), unit="video"), strict=True)
        failed = {path: problem for path, problem in results if problem}
    for path, problem in failed.items():
        problem = f"its subprocess died ({problem})" if isinstance(problem, ProcessDied) else problem
        print(f"not re-encoded: {printable(str(path))}: {problem}")
    print(f"{len(sources) - len(failed)} videos at CRF {arguments.crf} in {arguments.out}")


def find_source_videos(root: Path, out: Path) -> list[Path]:
    """The videos in a folder and its sub-folders, sorted by path.

    Raises:
        UserError: there is no video, or the output folder lies inside the input folder.
    """
    sources = sorted(path for path in walk_video_files(root) if path.is_file() or path.is_dir())
    if not sources:
        raise UserError(f"{root} contains no videos; give the folder with --root")
    if root in sources:
        raise UserError(f"{root} contains the frames of one video; give the folder that contains it with --root")
    if out.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{out} lies in {root}, so its videos would be converted too; choose another --out")
    return sources


def _convert(arguments: Arguments, source: Path) -> str:
    """Re-encode one video. Returns why it is unreadable; empty if it is not."""
    target = arguments.out / source.relative_to(arguments.root)
    if source.is_dir():  # of frames
        target = target.with_name(f"{target.name}.mp4")
    if target.exists():
        return ""
    try:
        with quiet_native_logs():
            reencode(source, target, Encoding(arguments.crf), preset=arguments.preset)
    except Unreadable as error:
        return f"unreadable: {error}"
    return ""
