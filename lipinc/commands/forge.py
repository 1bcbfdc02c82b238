"""Make a data set of pseudo-fakes, in FakeAVCeleb's layout, from a folder of real videos.

    lipinc forge --root FOLDER --out data/forged --forgeries 2
    lipinc extract --config config.py --data.root data/forged --data.fake-methods pseudo

The first sub-folder below FOLDER is the identity; a file without a sub-folder is an identity of its own. For the
forgeries see lipinc/synthesis/pseudo_fakes.py; recipes.csv lists the parameters of each. They have no audio. Existing
files are kept. Training does not need this command: --data.forgeries makes pseudo-fakes while the cache is built.
"""

import dataclasses
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from lipinc.commands.reencode import find_source_videos
from lipinc.config.command_line import parse_arguments
from lipinc.cores import available_cores
from lipinc.datasets.fakeavceleb import FAKEAVCELEB_COLUMNS, FAKEAVCELEB_TYPES
from lipinc.datasets.records import PSEUDO, as_key, forgery_seed
from lipinc.errors import UserError, printable
from lipinc.files.atomic import replacing
from lipinc.files.csv_table import write_table
from lipinc.progress import progress_bar
from lipinc.synthesis.pseudo_fakes import Recipe, draw_recipe, forge_video
from lipinc.video.native_logs import quiet_native_logs
from lipinc.video.reader import Unreadable
from lipinc.video.subprocesses import ProcessDied, map_isolated

RECIPES = "recipes.csv"


@dataclass(frozen=True)
class Arguments:
    """The real videos, and how many pseudo-fakes to make."""

    root: Path
    out: Path
    forgeries: int = 2
    """Number of pseudo-fakes of each video."""
    workers: int = 0
    """Processes; 0: one per core that may be used."""


@dataclass(frozen=True)
class Job:
    """A real video, and the target paths of its copy and its forgeries."""

    source: Path
    key: str
    """Path of the source relative to the root, with `/`."""
    identity: str
    name: str
    """File name in the data set, without a suffix."""

    def file(self, category: str, number: int | None = None) -> PurePosixPath:
        """Path relative to the data set: <type>/unknown/unknown/<identity>/<name>.mp4.

        number: of the forgery; None: the real video, which keeps its suffix.
        """
        name = self.name + (self.source.suffix if number is None else f"_{number}.mp4")
        return PurePosixPath(FAKEAVCELEB_TYPES[category], "unknown", "unknown", self.identity, name)


def main(argv: Sequence[str], prog: str) -> None:
    """Forge."""
    arguments = parse_arguments(Arguments, argv, prog=prog, description=__doc__)
    jobs = _jobs(arguments)
    forge = partial(_forge, arguments)
    with map_isolated(forge, jobs, arguments.workers or available_cores()) as forged:
        made = list(progress_bar(forged, total=len(jobs), unit="video"))
    rows, recipes = [], []
    for job, result in zip(jobs, made, strict=True):
        if isinstance(result, ProcessDied):
            result = f"its subprocess died ({result})"
        if isinstance(result, str):
            print(f"skipped: {printable(job.key)}: {result}")
            continue
        rows.append(_row(job, "real", "A", job.file("A")))
        for number, recipe in enumerate(result):
            file = job.file("C", number)
            rows.append(_row(job, PSEUDO, "C", file))
            recipes.append({"path": str(file), **dataclasses.asdict(recipe)})
    recipe_columns = ("path", *(field.name for field in dataclasses.fields(Recipe)))
    write_table(arguments.out / RECIPES, recipe_columns, recipes)
    write_table(arguments.out / "meta_data.csv", FAKEAVCELEB_COLUMNS, rows)
    readable = sum(isinstance(one, list) for one in made)
    print(f"{readable} real videos and {readable * arguments.forgeries} pseudo-fakes of them in {arguments.out}")


def _jobs(arguments: Arguments) -> list[Job]:
    root, out = arguments.root, arguments.out
    if arguments.forgeries < 1:
        raise UserError(f"--forgeries must be at least 1, not {arguments.forgeries}")
    jobs = []
    for source in find_source_videos(root, out):
        key = as_key(source.relative_to(root).as_posix(), str(root))
        first, *deeper = PurePosixPath(key).with_suffix("").parts
        # Deeper folders become part of the name, so that no file overwrites another.
        jobs.append(Job(source, key, first, "_".join(deeper) or first))
    names = Counter((job.identity, job.name) for job in jobs)
    for job in jobs:
        if names[job.identity, job.name] > 1:
            raise UserError(f"{root / job.key} and another video would get the same name in {out}: rename one")
    return jobs


def _forge(arguments: Arguments, job: Job) -> list[Recipe] | str:
    """Forge one video and copy it. Returns the recipes, or the reason why it is unreadable."""
    try:
        with quiet_native_logs():
            recipes = []
            for number in range(arguments.forgeries):
                target = arguments.out / job.file("C", number)
                seed = forgery_seed(job.key, number)
                existing = draw_recipe(np.random.default_rng(seed)) if target.exists() else None
                recipes.append(existing or forge_video(job.source, target, seed=seed))
    except Unreadable as error:
        return f"unreadable: {error}"
    real = arguments.out / job.file("A")
    if real.exists():
        return recipes
    real.parent.mkdir(parents=True, exist_ok=True)
    if job.source.is_dir():  # of frames
        temporary = real.with_name(f"{real.name}.tmp")
        shutil.copytree(job.source, temporary, dirs_exist_ok=True)
        temporary.rename(real)
    else:
        with replacing(real) as temporary:
            shutil.copyfile(job.source, temporary)
    return recipes


def _row(job: Job, method: str, category: str, file: PurePosixPath) -> dict[str, str]:
    kind, folder = FAKEAVCELEB_TYPES[category], f"FakeAVCeleb/{file.parent}"
    cells = (job.identity, "-", "-", method, category, kind, "unknown", "unknown", file.name, folder)
    return dict(zip(FAKEAVCELEB_COLUMNS, cells, strict=True))
