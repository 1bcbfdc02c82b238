"""Re-encode every video below a folder by H.264, as a platform would: how much of a detector survives compression?

    lipinc reencode --root data/clips --out data/clips_crf28 --crf 28
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from lipinc.config.command_line import parse_arguments
from lipinc.datasets.dataset import VIDEO_SUFFIXES
from lipinc.errors import UserError
from lipinc.synthesis.compression import reencode
from lipinc.video.landmarks import quiet_native_logs
from lipinc.video.reader import Unreadable


def videos_to_convert(root: Path, out: Path) -> list[Path]:
    """Every video below a folder, sorted. Raises UserError if there is none, or if what is made of them would lie among
    them."""
    sources = sorted(p for p in root.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
    if not sources:
        raise UserError(f"{root} holds no video; give the folder by --root")
    if out.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{out} lies in {root} and would be converted too; give another --out")
    return sources


@dataclass(frozen=True)
class Arguments:
    """Re-encode every video below a folder, keeping the paths; what is there already is kept."""

    root: Path
    out: Path
    crf: int = 28
    """0 (lossless) to 51; 23 is x264's default."""
    preset: str = "medium"
    workers: int = 0
    """Processes; 0: one for each core."""


def main(words: Sequence[str], prog: str) -> None:
    """Re-encode."""
    arguments = parse_arguments(Arguments, words, prog=prog, description=__doc__)
    sources = videos_to_convert(arguments.root, arguments.out)
    work = partial(_one, arguments)
    workers = arguments.workers or os.cpu_count()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        unreadable = [path for path in tqdm(pool.map(work, sources), total=len(sources), unit="video") if path]
    for path in unreadable:
        print(f"not re-encoded, unreadable: {path}")
    print(f"{len(sources) - len(unreadable)} videos at CRF {arguments.crf} in {arguments.out}")


def _one(arguments: Arguments, source: Path) -> Path | None:
    target = arguments.out / source.relative_to(arguments.root)
    if target.exists():
        return None
    try:
        with quiet_native_logs():
            reencode(source, target, crf=arguments.crf, preset=arguments.preset)
    except Unreadable:
        return source
    return None
