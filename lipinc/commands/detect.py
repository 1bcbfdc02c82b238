"""Videos -> verdicts: is the mouth of this speaker real or lip-synced?

    python detect.py VIDEO
    python detect.py FOLDER "clips/*.mp4" --csv verdicts.csv --report report/

Exit status: 0 if every file was scored, or rejected for what it shows (no face, a closed mouth, ...); 1 if some could
not be read, or some output could not be written; 2 for wrong usage.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from lipinc.config.command_line import parse_arguments
from lipinc.detection.batch import Result, Settings, classify_videos, find_videos
from lipinc.detection.output import as_csv, as_json, line, summary
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically

DEFAULT_CHECKPOINT = "noise_features"


@dataclass(frozen=True)
class Arguments:
    """Videos, and what to do with their verdicts."""

    videos: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO|FOLDER|GLOB ...")]
    """Files, folders, or patterns in quotes."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A checkpoint, or the name of a shipped one: noise_features, lipinc_v2."""
    plugin: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE")] = ()
    """Python files that define the model of the checkpoint, where it is a plug-in."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write everything that was found to this file, window by window."""
    csv: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write a row per file to this file."""
    report: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Write a page per video and an index.html to this folder."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    face: str = "largest"
    """Whose mouth: largest (the largest face over the video), all (up to four), or the N-th by size, from 0."""
    workers: int = 0
    """Processes, where there are several files and no GPU is asked for; 0: one per core."""
    time_limit: float = Settings.time_limit
    """Seconds per file, after which it is given up."""


def main(words: Sequence[str], prog: str) -> int:
    """Classify videos."""
    arguments = parse_arguments(Arguments, words, prog=prog, description=__doc__)
    if Path(arguments.checkpoint).is_dir():
        raise UserError(f"no checkpoint {arguments.checkpoint}: it is a folder; name a file")
    if arguments.workers < 0:
        raise UserError("--workers must be 0 or more")
    if not arguments.time_limit > 0:
        raise UserError("--time-limit must be more than 0")
    files = find_videos(arguments.videos)
    check_outputs(arguments)
    settings = Settings(
        arguments.checkpoint,
        arguments.device,
        arguments.face,
        arguments.report,
        arguments.time_limit,
        tuple(file.absolute() for file in arguments.plugin),
    )
    workers = 1 if arguments.device == "cuda" else min(arguments.workers or os.cpu_count() or 1, len(files))
    results: dict[Path, Result] = {}
    try:
        with (
            tqdm(total=len(files), unit="video", disable=len(files) == 1) as progress,
            closing(classify_videos(files, settings, workers)) as classified,  # its processes end before the writing
        ):
            for result in classified:
                results[Path(result.values["file"])] = result
                progress.update()
                with tqdm.external_write_mode(sys.stdout):
                    print(line(result), flush=True)
                    if result.problem:
                        print(f"error: {result.problem}", file=sys.stderr)
    finally:  # what is done is kept, whatever ends the batch
        done = [results[file] for file in files if file in results]
        written = not done or write_outputs(done, arguments)
    print(summary(done))
    return 0 if written and all(result.was_read and not result.problem for result in done) else 1


def check_outputs(arguments: Arguments) -> None:
    """Raise UserError where an output could not be written: now, not after hours."""
    for file in (arguments.json, arguments.csv):
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            reason = "it is a folder" if file.is_dir() else f"there is no folder {file.parent}"
            raise UserError(f"{file} cannot be written: {reason}")
    if arguments.report is not None:
        try:
            arguments.report.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{arguments.report} cannot be written ({error.strerror}); name another folder") from error


def write_outputs(results: list[Result], arguments: Arguments) -> bool:
    """Write the outputs that were asked for; returns whether all could be written. One that cannot does not affect the
    others."""
    problems = []
    for file, content in ((arguments.json, as_json), (arguments.csv, as_csv)):
        try:
            if file is not None:
                write_atomically(file, content(results))
        except OSError as error:
            problems.append(f"{file} cannot be written ({error.strerror})")
    if arguments.report is not None:
        from lipinc.detection.page import write_index  # jinja2: only for those who need it

        try:
            index = write_index([result.row for result in results], arguments.report)
            print(f"report: {index}")
        except UserError as error:
            problems.append(str(error))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return not problems
