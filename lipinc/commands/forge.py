"""A data set of pseudo-fakes in FakeAVCeleb's layout, from a folder of real videos alone.

python -m lipinc.commands.forge --root FOLDER --out data/forged --forgeries 2
python preprocess_extract_lips.py --config config.py --data.root data/forged --data.fake-methods pseudo

The first sub-folder below FOLDER names the person; without sub-folders every file is a person of its own. What a
forgery is, lipinc/synthesis/pseudo_fakes.py says; recipes.csv has what each was made by. The files have no sound. What is there
already is kept. Training does not need this: --data.forgeries makes them on the way into the cache.
"""

import csv
import dataclasses
import io
import os
import shutil
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path, PurePosixPath

import numpy as np
import tyro
from tqdm import tqdm

from lipinc.commands.reencode import find_source_videos
from lipinc.commands.runner import run_script
from lipinc.datasets.records import FAKEAVCELEB_COLUMNS, FAKEAVCELEB_TYPES, PSEUDO, as_key, forgery_seed
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically
from lipinc.synthesis.pseudo_fakes import Recipe, draw_recipe, forge_video
from lipinc.video.landmarks import quiet_native_logs
from lipinc.video.reader import Unreadable

RECIPES = "recipes.csv"


@dataclass(frozen=True)
class Arguments:
    """Real videos, and what to make of them."""

    root: Path
    out: Path
    forgeries: int = 2
    """Pseudo-fakes of each video."""
    workers: int = 0
    """Processes; 0: one for each core."""


@dataclass(frozen=True)
class Job:
    """A real video, and where it and its forgeries go."""

    source: Path
    key: str
    """Its path below the root."""
    person: str
    name: str
    """Of its file in the data set, without a suffix."""

    def file(self, category: str, number: int | None = None) -> PurePosixPath:
        """Below the data set: <type>/unknown/unknown/<person>/<name>.mp4; a real video keeps its suffix."""
        name = self.name + (self.source.suffix if number is None else f"_{number}.mp4")
        return PurePosixPath(FAKEAVCELEB_TYPES[category], "unknown", "unknown", self.person, name)


def main() -> None:
    arguments = tyro.cli(Arguments, description=__doc__)
    jobs = _jobs(arguments)
    work = partial(_make, arguments)
    with ProcessPoolExecutor(arguments.workers or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        made = list(tqdm(pool.map(work, jobs), total=len(jobs), unit="video"))
    index, recipes = io.StringIO(newline=""), io.StringIO(newline="")
    rows, cooked = csv.writer(index), csv.writer(recipes)
    rows.writerow(FAKEAVCELEB_COLUMNS)
    cooked.writerow(("path", *(field.name for field in dataclasses.fields(Recipe))))
    for job, recipe_of in zip(jobs, made, strict=True):
        if isinstance(recipe_of, str):
            print(f"left out, unreadable: {job.key}: {recipe_of}")
            continue
        rows.writerow(_row(job, "real", "A", job.file("A")))
        for number, recipe in enumerate(recipe_of):
            rows.writerow(_row(job, PSEUDO, "C", job.file("C", number)))
            cooked.writerow((job.file("C", number), *dataclasses.astuple(recipe)))
    write_atomically(arguments.out / RECIPES, recipes.getvalue().encode("utf-8", "surrogateescape"))
    write_atomically(arguments.out / "meta_data.csv", index.getvalue().encode("utf-8", "surrogateescape"))
    readable = sum(not isinstance(one, str) for one in made)
    print(f"{readable} real videos and {readable * arguments.forgeries} pseudo-fakes of them in {arguments.out}")


def _jobs(arguments: Arguments) -> list[Job]:
    root, out = arguments.root, arguments.out
    if arguments.forgeries < 1:
        raise UserError(f"--forgeries must be at least 1, not {arguments.forgeries}")
    jobs = []
    for source in find_source_videos(root, out):
        key = as_key(source.relative_to(root).as_posix(), str(root))
        first, *deeper = PurePosixPath(key).with_suffix("").parts
        # Folders below a person's become part of the name, so that no file covers another.
        jobs.append(Job(source, key, first, "_".join(deeper) or first))
    names = Counter((job.person, job.name) for job in jobs)
    for job in jobs:
        if names[job.person, job.name] > 1:
            raise UserError(f"{root / job.key} and another video would have one name in {out}: rename one")
    return jobs


def _make(arguments: Arguments, job: Job) -> list[Recipe] | str:
    """Forge one video and copy it; returns the recipes, or why it cannot be read."""
    try:
        with quiet_native_logs():
            recipes = []
            for number in range(arguments.forgeries):
                target = arguments.out / job.file("C", number)
                seed = forgery_seed(job.key, number)
                done = draw_recipe(np.random.default_rng(seed)) if target.exists() else None
                recipes.append(done or forge_video(job.source, target, seed=seed))
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


def _row(job: Job, method: str, category: str, file: PurePosixPath) -> tuple:
    folder = f"FakeAVCeleb/{file.parent}"
    return job.person, "-", "-", method, category, FAKEAVCELEB_TYPES[category], "unknown", "unknown", file.name, folder


if __name__ == "__main__":
    run_script(main)
