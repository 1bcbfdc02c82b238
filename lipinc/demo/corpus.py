"""Renders the demo corpus: videos of talking synthetic identities, in the layout of FakeAVCeleb v1.2.

It shows that the whole pipeline runs, from video files to test metrics. Its metrics say nothing about real deepfakes.
Race and gender are placeholders: FakeAVCeleb's index and folders have them, so they are assigned in turn and describe
nobody. Identities are numbered from id90001, above all of FakeAVCeleb's. A few videos are broken on purpose.
"""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from lipinc.cores import available_cores
from lipinc.datasets.fakeavceleb import FAKEAVCELEB_COLUMNS, FAKEAVCELEB_TYPES
from lipinc.demo.faces import FRAME
from lipinc.demo.videos import render_video, write_video
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically
from lipinc.files.csv_table import write_table
from lipinc.progress import progress_bar
from lipinc.video.subprocesses import ProcessDied, map_isolated

INDEX = "meta_data.csv"
MARKER = "demo.json"
"""Marks a folder as a demo corpus; contains the settings it was rendered with and the list of its files."""
RACES = ("African", "Asian (East)", "Asian (South)", "Caucasian (American)", "Caucasian (European)")
GENDERS = ("men", "women")
FRAME_RANGE = (62, 75)
"""Minimum and maximum number of frames: 2.5 to 3 s. Real and forged videos have the same distribution."""
TOO_SHORT_FRAMES = 12
"""Number of frames of the video that is too short for a clip."""
MIN_IDENTITIES = 4
"""The special rows (other methods, broken files) need this many identities."""


@dataclass(frozen=True)
class Row:
    """One row of the index, and the function that writes its file."""

    source: str
    target1: str
    target2: str
    method: str
    category: str
    race: str
    gender: str
    filename: str
    write: Callable[[Path], None] | None
    """Writes the file; None: the file is missing on purpose."""
    broken: str = ""
    """How the file is broken on purpose: a value of lipinc.video.rejection.Reason; empty: it is not."""

    @property
    def folder(self) -> Path:
        """<type>/<race>/<gender>/<identity>, relative to the root of the data set."""
        return Path(FAKEAVCELEB_TYPES[self.category], self.race, self.gender, self.source)


@dataclass(frozen=True)
class CorpusSummary:
    """The contents of a demo corpus."""

    root: Path
    videos: int
    """Number of rows in the index."""
    reals: int
    """Number of videos of method real that are not broken."""
    fakes: int
    """Number of videos of method wav2lip that are not broken."""
    broken: int
    reused: bool
    """Whether the corpus existed already."""


def render(out: Path, *, identities: int = 16, seed: int = 0, workers: int = 0) -> CorpusSummary:
    """Render the demo corpus into the folder `out`, or reuse an existing one with the same settings.

    Args:
        workers: Number of processes; 0: one per core, 1: the current process. Does not change the files.

    Raises:
        UserError: too few identities, the folder contains another data set, or a worker process died.
    """
    out = Path(out)
    if identities < MIN_IDENTITIES:
        raise UserError(f"{identities} identities are too few: pass --identities {MIN_IDENTITIES} or more")
    if (out / INDEX).exists() and not (out / MARKER).exists():
        raise UserError(f"{out} contains a data set that is not the demo corpus: choose another folder with --out")
    rows = plan(identities, seed)
    files = [row.folder / row.filename for row in rows if row.write]
    marker = {"settings": _settings(identities, seed), "files": [file.as_posix() for file in files]}
    old = _read_marker(out)
    reused = old == marker and (out / INDEX).exists() and all((out / file).exists() for file in files)
    if not reused:
        (out / INDEX).unlink(missing_ok=True)
        for file in old.get("files", ()):
            (out / file).unlink(missing_ok=True)
        _write_videos(rows, out, workers or available_cores())
        write_atomically(out / MARKER, (json.dumps(marker, indent=1) + "\n").encode())
        _write_index(rows, out / INDEX)  # last, so that a corpus with an index is complete
    intact = [row for row in rows if not row.broken]
    return CorpusSummary(
        root=out,
        videos=len(rows),
        reals=sum(row.method == "real" for row in intact),
        fakes=sum(row.method == "wav2lip" for row in intact),
        broken=len(rows) - len(intact),
        reused=reused,
    )


def plan(identities: int, seed: int) -> list[Row]:
    """All rows of the index, in order. Depends only on the arguments."""
    rng = np.random.default_rng([seed, identities])
    people = list(_people(identities + 3, rng))  # the last three have only one, broken video
    frames = partial(rng.integers, *FRAME_RANGE, endpoint=True)
    real, fakes = [], []
    for number, person in enumerate(people[:identities]):
        render_identity = partial(render_video, number=number, seed=seed)
        real.append(replace(person, write=partial(render_identity, frames=int(frames()))))
        others = [people[(number + step) % identities].source for step in (1, 2, 3)]
        for take, category in enumerate("CDC" if number % 4 == 3 else "CD"):
            render_forged = partial(render_identity, frames=int(frames()), forged="mouth", take=take + 1)
            fakes.append(_forged(person, category, "wav2lip", (others[take],), render_forged))
    for number, method, category, targets in (
        (0, "faceswap", "C", ("7",)),
        (1, "faceswap", "C", ("12",)),
        (2, "fsgan-wav2lip", "D", (people[1].source, people[3].source)),
        (3, "fsgan-wav2lip", "D", (people[0].source, people[1].source)),
    ):
        render_swap = partial(render_video, number=number, seed=seed, frames=int(frames()), forged="face", take=9)
        fakes.append(_forged(people[number], category, method, targets, render_swap))
    cloned = [  # the same bytes as the real video: only the voice is cloned
        replace(row, category="B", method="rtvc", target1="fake.mp4", filename=f"{row.filename[:-4]}_fake.mp4")
        for row in real[:2]
    ]
    short, no_face, closed = people[identities:]
    # An identity from the portrait with closed lips, so that its openness is certainly below the threshold.
    closed_number = 4 * (identities // 4 + 1)
    render_short = partial(render_video, number=identities, seed=seed)
    render_closed = partial(render_video, number=closed_number, seed=seed)
    real += [
        replace(short, write=partial(render_short, frames=TOO_SHORT_FRAMES), broken="too_short"),
        replace(no_face, write=partial(_write_coffee, frames=int(frames())), broken="no_face"),
        replace(closed, write=partial(render_closed, frames=int(frames()), silent=True), broken="mouth_closed"),
    ]
    write_whole = partial(render_video, number=2, seed=seed, frames=int(frames()), forged="mouth", take=8)
    write_truncated = partial(_write_truncated, write_whole=write_whole)
    truncated = _forged(people[2], "D", "wav2lip", (people[5 % identities].source,), write_truncated)
    missing = _forged(people[3], "D", "wav2lip", (people[6 % identities].source,), None)
    fakes += [replace(truncated, broken="unreadable"), replace(missing, broken="missing")]
    return [*real, *cloned, *sorted(fakes, key=lambda row: (row.category, row.method, row.source))]


def _people(count: int, rng: np.random.Generator) -> Iterator[Row]:
    for number, name in enumerate(rng.choice(399, count) + 1):
        person = f"id{90001 + number}"
        race, gender = RACES[number % len(RACES)], GENDERS[number % len(GENDERS)]
        yield Row(person, "-", "-", "real", "A", race, gender, f"{name:05d}.mp4", None)


def _forged(
    person: Row, category: str, method: str, targets: tuple[str, ...], write: Callable[[Path], None] | None
) -> Row:
    """The row of a forgery of a person's real video, with a file name as in FakeAVCeleb."""
    ending = "_wavtolip.mp4" if "wav2lip" in method else ".mp4"
    return replace(
        person,
        target1=targets[0],
        target2=targets[1] if len(targets) > 1 else "-",
        method=method,
        category=category,
        filename="_".join([person.filename[:-4], *targets]) + ending,
        write=write,
    )


def _write_coffee(path: Path, *, frames: int) -> None:
    """Write a video without a face: a slow pan over a cup of coffee (image from scikit-image, by R. Michel, CC0)."""
    from skimage import data

    image = np.ascontiguousarray(data.coffee()[..., ::-1])
    write_video(path, (np.ascontiguousarray(image[60:284, x : x + FRAME]) for x in range(100, 100 + 2 * frames, 2)))


def _write_truncated(path: Path, *, write_whole: Callable[[Path], None]) -> None:
    """Write a truncated video, as after an interrupted copy: its frame index, at the end of the file, is lost."""
    write_whole(path)
    os.truncate(path, path.stat().st_size * 3 // 5)


def _write_videos(rows: list[Row], out: Path, workers: int) -> None:
    """Write all files, with a progress bar."""
    jobs = {out / row.folder / row.filename: row.write for row in rows if row.write}
    with progress_bar(total=len(jobs), unit="video", desc="demo corpus") as bar:
        if workers == 1:
            for path, write in jobs.items():
                write(path)
                bar.update()
            return
        with map_isolated(_write, list(jobs.items()), workers) as written:
            for result in written:
                if isinstance(result, ProcessDied):
                    raise UserError(
                        f"a rendering process died ({result}), usually out of memory: use fewer with --workers"
                    )
                bar.update()


def _write(job: tuple[Path, Callable[[Path], None]]) -> None:
    cv2.setNumThreads(1)
    path, write = job
    write(path)


def _settings(identities: int, seed: int) -> dict[str, object]:
    """Everything that determines the bytes of the corpus, including the source code of this package."""
    source = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    versions = {name: importlib.metadata.version(name) for name in ("av", "opencv-python", "numpy", "ai-edge-litert")}
    return {
        "identities": identities,
        "seed": seed,
        "renderer": hashlib.sha256(source).hexdigest()[:16],
        "versions": versions,
    }


def _read_marker(out: Path) -> dict:
    try:
        return json.loads((out / MARKER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def _write_index(rows: list[Row], path: Path) -> None:
    write_table(path, FAKEAVCELEB_COLUMNS, map(_cells, rows))


def _cells(row: Row) -> dict[str, str]:
    names = ("source", "target1", "target2", "method", "category", "race", "gender", "filename")
    folder = f"FakeAVCeleb_v1.2/{row.folder.as_posix()}"
    return {**{name: getattr(row, name) for name in names}, "type": FAKEAVCELEB_TYPES[row.category], "path": folder}
