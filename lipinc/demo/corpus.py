"""The demo corpus on disk: talking synthetic identities, laid out and indexed like FakeAVCeleb v1.2.

It proves that the machinery runs, from files to test metrics, and says nothing about real deepfakes. Race and gender
are place-holders: they exist because FakeAVCeleb's index and folders have them, are dealt out in turn, and describe
nobody. Identities are numbered from id90001 up, beyond every person of FakeAVCeleb. A few videos are broken on purpose.
"""

import hashlib
import importlib.metadata
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from lipinc.datasets.fakeavceleb import FAKEAVCELEB_COLUMNS, FAKEAVCELEB_TYPES
from lipinc.demo.faces import FRAME
from lipinc.demo.videos import render_video, write_video
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically
from lipinc.files.csv_table import write_table

INDEX = "meta_data.csv"
MARKER = "demo.json"
"""Says that a folder is a demo corpus, of which settings, and which files it owns."""
RACES = ("African", "Asian (East)", "Asian (South)", "Caucasian (American)", "Caucasian (European)")
GENDERS = ("men", "women")
FRAMES = (62, 75)
"""Shortest and longest video: 2.5 to 3 s, drawn alike for real and forged ones."""
TOO_SHORT = 12
"""Frames of the video that is too short for a clip."""
FEWEST = 4
"""Identities below which the odd rows (other methods, broken files) have no owner."""


@dataclass(frozen=True)
class Row:
    """One line of the index, and how its file comes about."""

    source: str
    target1: str
    target2: str
    method: str
    category: str
    race: str
    gender: str
    filename: str
    make: Callable[[Path], None] | None
    """Writes the file; None: there is none."""
    broken: str = ""
    """What is wrong with it on purpose, as a word of lipinc.video.rejection.Reason; empty: nothing."""

    @property
    def folder(self) -> Path:
        """<type>/<race>/<gender>/<identity>, relative to the dataset root."""
        return Path(FAKEAVCELEB_TYPES[self.category], self.race, self.gender, self.source)


@dataclass(frozen=True)
class CorpusSummary:
    """What a demo corpus holds. Real and forged count the ordinary videos of methods real and wav2lip."""

    root: Path
    videos: int
    """Rows of the index."""
    reals: int
    fakes: int
    broken: int
    reused: bool
    """It was there already."""


def render(out: Path, *, identities: int = 16, seed: int = 0, workers: int = 0) -> CorpusSummary:
    """Render the demo corpus into the dataset root `out`, or reuse the one that is there.

    workers: processes; 0: one for each core, 1: this one. Neither they nor the order change a byte.
    Raises UserError for fewer than four identities, for a folder that holds another data set, and for a worker that
    died.
    """
    out = Path(out)
    if identities < FEWEST:
        raise UserError(f"{identities} identities asked for, at least {FEWEST} are needed: pass --identities {FEWEST}")
    if (out / INDEX).exists() and not (out / MARKER).exists():
        raise UserError(f"{out} holds a data set that is not the demo corpus: choose another folder with --out")
    rows = plan(identities, seed)
    files = [row.folder / row.filename for row in rows if row.make]
    marker = {"settings": _settings(identities, seed), "files": [file.as_posix() for file in files]}
    old = _read_marker(out)
    reused = old == marker and (out / INDEX).exists() and all((out / file).exists() for file in files)
    if not reused:
        (out / INDEX).unlink(missing_ok=True)
        for file in old.get("files", ()):
            (out / file).unlink(missing_ok=True)
        _make(rows, out, workers or os.cpu_count() or 1)
        write_atomically(out / MARKER, json.dumps(marker, indent=1).encode() + b"\n")
        _write_index(rows, out / INDEX)  # last: where there is an index, the corpus is complete
    sound = [row for row in rows if not row.broken]
    return CorpusSummary(
        root=out,
        videos=len(rows),
        reals=sum(row.method == "real" for row in sound),
        fakes=sum(row.method == "wav2lip" for row in sound),
        broken=len(rows) - len(sound),
        reused=reused,
    )


def plan(identities: int, seed: int) -> list[Row]:
    """All rows of the index, in order. The same arguments give the same plan."""
    rng = np.random.default_rng([seed, identities])
    people = list(_people(identities + 3, rng))  # three more: each has one real video, which is broken
    frames = partial(rng.integers, FRAMES[0], FRAMES[1], endpoint=True)
    real, fakes = [], []
    for number, person in enumerate(people[:identities]):
        shown = partial(render_video, number=number, seed=seed)
        real.append(replace(person, make=partial(shown, frames=int(frames()))))
        others = [people[(number + step) % identities].source for step in (1, 2, 3)]
        for take, category in enumerate("CDC" if number % 4 == 3 else "CD"):
            forged = partial(shown, frames=int(frames()), forged="mouth", take=take + 1)
            fakes.append(_forged(person, category, "wav2lip", (others[take],), forged))
    for number, method, category, targets in (
        (0, "faceswap", "C", ("7",)),
        (1, "faceswap", "C", ("12",)),
        (2, "fsgan-wav2lip", "D", (people[1].source, people[3].source)),
        (3, "fsgan-wav2lip", "D", (people[0].source, people[1].source)),
    ):
        whole = partial(render_video, number=number, seed=seed, frames=int(frames()), forged="face", take=9)
        fakes.append(_forged(people[number], category, method, targets, whole))
    cloned = [  # the same bytes as the real video: only a voice would differ
        replace(row, category="B", method="rtvc", target1="fake.mp4", filename=f"{row.filename[:-4]}_fake.mp4")
        for row in real[:2]
    ]
    short, scenery, closed = people[identities:]
    never_opens = 4 * (identities // 4 + 1)  # one of the portrait whose lips are shut: surely below the threshold
    speaker = partial(render_video, number=identities, seed=seed)
    mute = partial(render_video, number=never_opens, seed=seed)
    real += [
        replace(short, make=partial(speaker, frames=TOO_SHORT), broken="too_short"),
        replace(scenery, make=partial(_coffee, frames=int(frames())), broken="no_face"),
        replace(closed, make=partial(mute, frames=int(frames()), silent=True), broken="mouth_closed"),
    ]
    whole = partial(render_video, number=2, seed=seed, frames=int(frames()), forged="mouth", take=8)
    cut = _forged(people[2], "D", "wav2lip", (people[5 % identities].source,), partial(_truncated, make=whole))
    absent = _forged(people[3], "D", "wav2lip", (people[6 % identities].source,), None)
    fakes += [replace(cut, broken="unreadable"), replace(absent, broken="missing")]
    return [*real, *cloned, *sorted(fakes, key=lambda row: (row.category, row.method, row.source))]


def _people(count: int, rng: np.random.Generator) -> Iterator[Row]:
    for number, name in enumerate(rng.choice(399, count) + 1):
        person = f"id{90001 + number}"
        race, gender = RACES[number % len(RACES)], GENDERS[number % len(GENDERS)]
        yield Row(person, "-", "-", "real", "A", race, gender, f"{name:05d}.mp4", None)


def _forged(
    person: Row, category: str, method: str, targets: tuple[str, ...], make: Callable[[Path], None] | None
) -> Row:
    """The row of a forgery of a person's real video, named as FakeAVCeleb names it."""
    ending = "_wavtolip.mp4" if "wav2lip" in method else ".mp4"
    return replace(
        person,
        target1=targets[0],
        target2=targets[1] if len(targets) > 1 else "-",
        method=method,
        category=category,
        filename="_".join([person.filename[:-4], *targets]) + ending,
        make=make,
    )


def _coffee(path: Path, *, frames: int) -> None:
    """A video without a face: a slow pan over a cup of coffee (scikit-image's, by R. Michel, CC0)."""
    from skimage import data

    image = np.ascontiguousarray(data.coffee()[..., ::-1])
    write_video(path, (np.ascontiguousarray(image[60:284, x : x + FRAME]) for x in range(100, 100 + 2 * frames, 2)))


def _truncated(path: Path, *, make: Callable[[Path], None]) -> None:
    """A video that broke off while it was copied: the table of its frames, at the end of the file, is lost."""
    make(path)
    os.truncate(path, path.stat().st_size * 3 // 5)


def _make(rows: list[Row], out: Path, workers: int) -> None:
    """Write all files, with a progress bar."""
    jobs = {out / row.folder / row.filename: row.make for row in rows if row.make}
    with tqdm(total=len(jobs), unit="video", desc="demo corpus") as bar:
        if workers == 1:
            for path, make in jobs.items():
                make(path)
                bar.update()
            return
        # Spawned: MediaPipe hangs in a process that was forked.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_core) as pool:
            running = [pool.submit(make, path) for path, make in jobs.items()]
            try:
                for done in as_completed(running):
                    done.result()
                    bar.update()
            except BrokenProcessPool as error:
                raise UserError("a rendering process died (out of memory?): try fewer with --workers") from error


def _one_core() -> None:
    cv2.setNumThreads(1)


def _settings(identities: int, seed: int) -> dict[str, object]:
    """All that the bytes depend on, this package's own source included."""
    source = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    versions = {name: importlib.metadata.version(name) for name in ("av", "opencv-python", "numpy", "mediapipe")}
    return {
        "identities": identities,
        "seed": seed,
        "renderer": hashlib.sha256(source).hexdigest()[:16],
        "versions": versions,
    }


def _read_marker(out: Path) -> dict:
    try:
        return json.loads((out / MARKER).read_text())
    except FileNotFoundError:
        return {}


def _write_index(rows: list[Row], path: Path) -> None:
    write_table(path, FAKEAVCELEB_COLUMNS, map(_cells, rows))


def _cells(row: Row) -> dict[str, str]:
    names = ("source", "target1", "target2", "method", "category", "race", "gender", "filename")
    folder = f"FakeAVCeleb_v1.2/{row.folder.as_posix()}"
    return {**{name: getattr(row, name) for name in names}, "type": FAKEAVCELEB_TYPES[row.category], "path": folder}
