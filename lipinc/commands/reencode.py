"""Re-encode every video below a folder with H.264, as video platforms do, to measure robustness to compression.

Usage:

    lipinc reencode --root data/clips --out data/clips_crf28 --crf 28
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import tyro
from tqdm import tqdm

from lipinc.datasets.dataset import VIDEO_SUFFIXES
from lipinc.errors import UserError
from lipinc.synthesis.compression import reencode
from lipinc.video.landmarks import quiet_native_logs
from lipinc.video.reader import Unreadable


def videos_to_convert(root: Path, out: Path) -> list[Path]:
    """List the videos below a folder, sorted.

    Raises:
        UserError: there are no videos, or `out` lies inside `root`.
    """
    sources = sorted(p for p in root.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
    if not sources:
        raise UserError(f"{root} contains no videos; give the folder with --root")
    if out.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{out} lies in {root}, so its files would be converted, too; give another --out")
    return sources


@dataclass(frozen=True)
class Arguments:
    """Arguments of reencode. Relative paths are preserved, and existing files are kept."""

    root: Path
    out: Path
    crf: int = 28
    """Constant rate factor, 0 (lossless) to 51; 23 is x264's default."""
    preset: str = "medium"
    """Speed preset of x264."""
    workers: int = 0
    """Number of processes; 0: one per core."""


def main(argv: Sequence[str], prog: str) -> None:
    """Run the command."""
    arguments = tyro.cli(Arguments, args=argv, prog=prog, description=__doc__)
    sources = videos_to_convert(arguments.root, arguments.out)
    work = partial(_reencode_one, arguments)
    workers = arguments.workers or os.cpu_count()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        unreadable = [path for path in tqdm(pool.map(work, sources), total=len(sources), unit="video") if path]
    for path in unreadable:
        print(f"skipped, unreadable: {path}")
    print(f"{len(sources) - len(unreadable)} videos at CRF {arguments.crf} in {arguments.out}")


def _reencode_one(arguments: Arguments, source: Path) -> Path | None:
    """Re-encode one video. Returns its path if it is unreadable."""
    target = arguments.out / source.relative_to(arguments.root)
    if target.exists():
        return None
    try:
        with quiet_native_logs():
            reencode(source, target, crf=arguments.crf, preset=arguments.preset)
    except Unreadable:
        return source
    return None
