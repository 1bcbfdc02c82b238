"""Create a data set of pseudo-fakes in the layout of FakeAVCeleb from a folder of real videos.

    lipinc forge --root FOLDER --out data/forged --forgeries 2
    lipinc extract --config config.py --data.root data/forged --data.fake-methods pseudo

The first sub-folder below FOLDER is the person; without sub-folders every file is a separate person. The parameters of
each pseudo-fake (see lipinc/synthesis/pseudo_fakes.py) are written to recipes.csv. Pseudo-fakes have no audio. Existing
files are kept. Training does not need this command: --data.forgeries creates pseudo-fakes during extraction.
"""

import dataclasses
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path, PurePosixPath

import numpy as np
import tyro
from tqdm import tqdm

from lipinc.commands.reencode import videos_to_convert
from lipinc.datasets.fakeavceleb import FAKEAVCELEB_COLUMNS, FAKEAVCELEB_TYPES
from lipinc.datasets.records import PSEUDO, as_key, forgery_seed
from lipinc.errors import UserError
from lipinc.files.csv_table import write_table
from lipinc.synthesis.pseudo_fakes import Recipe, draw_recipe, forge_video
from lipinc.video.landmarks import quiet_native_logs
from lipinc.video.reader import Unreadable

RECIPES = "recipes.csv"


@dataclass(frozen=True)
class Arguments:
    """Arguments of forge."""

    root: Path
    out: Path
    forgeries: int = 2
    """Number of pseudo-fakes per video."""
    workers: int = 0
    """Number of processes; 0: one per core."""


@dataclass(frozen=True)
class Job:
    """A real video, and the locations of its copy and its pseudo-fakes."""

    source: Path
    key: str
    """Path of the video relative to the root."""
    person: str
    name: str
    """File name in the new data set, without a suffix."""

    def file(self, category: str, number: int | None = None) -> PurePosixPath:
        """Return a path relative to the new data set, <type>/unknown/unknown/<person>/<name>.mp4.

        Args:
            category: FakeAVCeleb category.
            number: number of the pseudo-fake; None: the real video, which keeps its suffix.
        """
        name = self.name + (self.source.suffix if number is None else f"_{number}.mp4")
        return PurePosixPath(FAKEAVCELEB_TYPES[category], "unknown", "unknown", self.person, name)


def main(argv: Sequence[str], prog: str) -> None:
    """Run the command."""
    arguments = tyro.cli(Arguments, args=argv, prog=prog, description=__doc__)
    jobs = _jobs(arguments)
    work = partial(_forge_one, arguments)
    with ProcessPoolExecutor(arguments.workers or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        results = list(tqdm(pool.map(work, jobs), total=len(jobs), unit="video"))
    rows, recipes = [], []
    for job, result in zip(jobs, results, strict=True):
        if isinstance(result, str):
            print(f"skipped, unreadable: {job.key}: {result}")
            continue
        rows.append(_row(job, "real", "A", job.file("A")))
        for number, recipe in enumerate(result):
            file = job.file("C", number)
            rows.append(_row(job, PSEUDO, "C", file))
            recipes.append({"path": str(file), **dataclasses.asdict(recipe)})
    recipe_columns = ("path", *(field.name for field in dataclasses.fields(Recipe)))
    write_table(arguments.out / RECIPES, recipe_columns, recipes)
    write_table(arguments.out / "meta_data.csv", FAKEAVCELEB_COLUMNS, rows)
    readable = sum(not isinstance(result, str) for result in results)
    print(f"{readable} real videos and {readable * arguments.forgeries} pseudo-fakes of them in {arguments.out}")


def _jobs(arguments: Arguments) -> list[Job]:
    root, out = arguments.root, arguments.out
    if arguments.forgeries < 1:
        raise UserError(f"--forgeries must be at least 1, not {arguments.forgeries}")
    jobs = []
    for source in videos_to_convert(root, out):
        key = as_key(source.relative_to(root).as_posix(), str(root))
        first, *deeper = PurePosixPath(key).with_suffix("").parts
        # Folders below the person become part of the name, so that no file overwrites another.
        jobs.append(Job(source, key, first, "_".join(deeper) or first))
    names = Counter((job.person, job.name) for job in jobs)
    for job in jobs:
        if names[job.person, job.name] > 1:
            raise UserError(f"{root / job.key} and another video would have the same name in {out}: rename one")
    return jobs


def _forge_one(arguments: Arguments, job: Job) -> list[Recipe] | str:
    """Make the pseudo-fakes of one video and copy the video. Returns the recipes, or why the video is unreadable."""
    try:
        with quiet_native_logs():
            recipes = []
            for number in range(arguments.forgeries):
                target = arguments.out / job.file("C", number)
                seed = forgery_seed(job.key, number)
                existing = draw_recipe(np.random.default_rng(seed)) if target.exists() else None
                recipes.append(existing or forge_video(job.source, target, seed=seed))
    except Unreadable as error:
        return str(error)
    real = arguments.out / job.file("A")
    if real.exists():
        return recipes
    real.parent.mkdir(parents=True, exist_ok=True)
    temporary = real.with_name(real.name + ".tmp")
    shutil.copyfile(job.source, temporary)
    os.replace(temporary, real)
    return recipes


def _row(job: Job, method: str, category: str, file: PurePosixPath) -> dict[str, str]:
    kind, folder = FAKEAVCELEB_TYPES[category], f"FakeAVCeleb/{file.parent}"
    cells = (job.person, "-", "-", method, category, kind, "unknown", "unknown", file.name, folder)
    return dict(zip(FAKEAVCELEB_COLUMNS, cells, strict=True))
