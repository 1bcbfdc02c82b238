"""Look for lip movements that were made by a program. No verdict is proof, and "no trace" is not "genuine".

    python detect.py VIDEO
    python detect.py FOLDER "clips/*.mp4" --csv verdicts.csv --report report/
    python detect.py FOLDER "clips/*.mp4" --csv verdicts.csv --report report/ --resume
    python detect.py VIDEO --overlay marked.mp4

Exit status: 0 if every file was scored or rejected because of its content (no face, closed mouth, ...); 1 if a file
could not be read or an output could not be written; 2 for invalid usage; 130 after Ctrl-C and 143 after SIGTERM, when
--resume continues.
"""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from lipinc.commands.terminal import is_reader_gone
from lipinc.config.command_line import parse_arguments
from lipinc.cores import available_cores
from lipinc.detection.batch import DEFAULT_CHECKPOINT, Result, Settings, classify_videos, find_videos, provenance
from lipinc.detection.journal import Journal, Stamp, stamp
from lipinc.detection.output import advice, as_csv, as_json, line, summary
from lipinc.errors import UserError, printable
from lipinc.files.atomic import write_atomically
from lipinc.progress import progress_bar
from lipinc.video.subprocesses import IsolatedProcess

READER_GONE = 141
"""Exit status of a program that SIGPIPE ends, as in `detect.py FOLDER | head`."""


@dataclass(frozen=True)
class Arguments:
    """Arguments of detect."""

    videos: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO|FOLDER|GLOB ...")]
    """Files, folders or quoted glob patterns."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A checkpoint file, or the name of a shipped checkpoint: mouth_noise, lipinc_v2."""
    plugin: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE ...")] = ()
    """Python files that define the model of the checkpoint, if it is a plug-in."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """JSON file for all results, including the scores of all windows."""
    csv: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """CSV file with one row per video."""
    report: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder for an HTML page per video and an index.html."""
    overlay: Annotated[Path | None, tyro.conf.arg(metavar="FILE.mp4")] = None
    """For a single video: copy of it, with sound, that shows the box of each mouth and the fake probability over time.
    Not written without a verdict."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    face: str = "all"
    """Faces to judge: all (up to four), largest (by area over the video), or the rank of one face by area, from 0."""
    workers: int = 0
    """Number of processes for several files; 0: one per core that may be used. Always one with --device cuda."""
    time_limit: float = Settings.time_limit
    """Maximum time per file in s; at the limit the file is rejected. The overlay may take as long again."""
    resume: tyro.conf.UseCounterAction[int] = 0
    """Continue an interrupted batch with the same outputs: verdicts of files, checkpoint and settings that have not
    changed are kept. Files that could not be read are tried again."""


def main(argv: Sequence[str], prog: str) -> int:
    """Run the command."""
    arguments = parse_arguments(Arguments, argv, prog=prog, description=__doc__)
    if Path(arguments.checkpoint).is_dir():
        raise UserError(f"no checkpoint {arguments.checkpoint}: it is a folder; give a file")
    if arguments.workers < 0:
        raise UserError("--workers must be 0 or more")
    if not arguments.time_limit > 0:
        raise UserError("--time-limit must be more than 0")
    journal_file = find_journal_file(arguments)
    if arguments.resume and arguments.overlay is not None:
        raise UserError("--resume continues a batch, and --overlay is for a single video: leave out one of them")
    if arguments.resume and journal_file is None:
        raise UserError("--resume needs the outputs of the interrupted batch: --csv, --json or --report")
    files = find_videos(arguments.videos)
    check_outputs(arguments)
    if arguments.overlay is not None:
        check_overlay(arguments, files)
    settings = Settings(
        arguments.checkpoint,
        arguments.device,
        arguments.face,
        arguments.report,
        arguments.time_limit,
        tuple(file.absolute() for file in arguments.plugin),
        track=arguments.overlay is not None,
    )
    workers = 1 if arguments.device == "cuda" else arguments.workers or available_cores()
    stamps = {file: stamp(file) for file in files}
    journal = None if journal_file is None else Journal(journal_file, resume=bool(arguments.resume))
    results: dict[Path, Result] = {}
    interrupted = True
    try:
        if journal is not None and arguments.resume:
            with IsolatedProcess() as process:
                now = process.call(provenance, settings)
            results = journal.finished(stamps, now, arguments.report)
            print(f"{len(results)} of {len(files)} verdicts are kept from the interrupted batch", file=sys.stderr)
        classify(files, settings, workers, results, journal, stamps)
        marked = arguments.overlay is None or overlay(results[files[0]], arguments.overlay, settings.time_limit)
        interrupted = False
    finally:  # write the finished results even if the batch is interrupted
        done = [results[file] for file in files if file in results]
        written = not done or write_outputs(done, arguments)
        if journal is not None:
            journal.close(interrupted=interrupted or not written)
    print(summary(done))
    return 0 if written and marked and all(result.was_read and not result.problem for result in done) else 1


def classify(
    files: list[Path],
    settings: Settings,
    workers: int,
    results: dict[Path, Result],
    journal: Journal | None,
    stamps: dict[Path, Stamp | None],
) -> None:
    """Classify the files that have no result yet; print each result and add it to `results` and to the journal."""
    todo = [file for file in files if file not in results]
    if not todo:
        return
    with (
        progress_bar(total=len(files), initial=len(results), unit="video", disable=len(files) == 1) as videos,
        progress_bar(unit="frame", leave=False, disable=len(files) > 1) as frames,
        # Closing the generator ends its processes before the outputs are written.
        closing(classify_videos(todo, settings, workers, lambda report: show_frames(frames, *report))) as classified,
    ):
        for result in classified:
            file = Path(result.values["file"])
            if journal is not None:
                journal.add(result, stamps[file])
            results[file] = result
            videos.update()
            with tqdm.external_write_mode(sys.stdout):
                print(line(result), flush=True)
                if len(files) == 1 and (text := advice(result)):
                    print(text, flush=True)
                if result.problem:
                    print(f"error: {result.problem}", file=sys.stderr)
            if journal is None and not settings.track and is_reader_gone():  # there is no other output
                sys.exit(READER_GONE)


def show_frames(progress: tqdm, read: int, promised: int | None) -> None:
    """Show how much of a single video has been read."""
    progress.total = None if promised is None else max(read, promised)  # a header may promise too few
    progress.update(read - progress.n)


def find_journal_file(arguments: Arguments) -> Path | None:
    """Return the journal of a batch, beside its first output; None if there is no output, or a single video."""
    if arguments.overlay is not None:
        return None
    index = None if arguments.report is None else arguments.report / "index.html"
    output = arguments.csv or arguments.json or index
    return None if output is None else output.with_name(f"{output.name}.journal")


def check_outputs(arguments: Arguments) -> None:
    """Raise UserError if an output cannot be written: before the batch rather than after hours."""
    for file in (arguments.json, arguments.csv):
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            reason = "it is a folder" if file.is_dir() else f"there is no folder {file.parent}"
            raise UserError(f"{file} cannot be written: {reason}")
    if arguments.report is not None:
        try:
            arguments.report.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{arguments.report} cannot be written ({error.strerror}); give another folder") from error


def check_overlay(arguments: Arguments, files: list[Path]) -> None:
    """Raise UserError if an overlay cannot be written, or would replace another file of this command."""
    from lipinc.detection.overlay import check_target  # imports OpenCV, which is needed for overlays only

    if len(files) > 1:
        raise UserError(f"--overlay is for a single video, not for {len(files)}: name one video")
    others = [file.absolute() for file in (arguments.csv, arguments.json) if file is not None]
    if arguments.overlay.absolute() in others:
        raise UserError(f"{arguments.overlay} is given for two outputs; give --overlay another name")
    check_target(arguments.overlay, files[0], Path(arguments.checkpoint), *arguments.plugin)


def overlay(result: Result, target: Path, time_limit: float) -> bool:
    """Write the overlay of a video, if there is a verdict. Returns whether there is no error."""
    verdict = result.verdict
    if verdict.probability is None:
        print(f"overlay: not written, because there is no verdict: {printable(str(target))}")
        return True
    from lipinc.detection.overlay import write_overlay

    try:
        with progress_bar(total=verdict.frames, desc="overlay", unit="frame", leave=False) as frames:
            write_overlay(verdict, target, time_limit=time_limit, on_frames=lambda report: show_frames(frames, *report))
    except OSError as error:
        print(f"error: {printable(str(target))} cannot be written ({error.strerror})", file=sys.stderr)
        return False
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return False
    print(f"overlay: {printable(str(target))}")
    return True


def write_outputs(results: list[Result], arguments: Arguments) -> bool:
    """Write the requested outputs. A failure of one output does not affect the others.

    Returns:
        Whether all outputs were written.
    """
    problems = []
    for file, content in ((arguments.json, as_json), (arguments.csv, as_csv)):
        try:
            if file is not None:
                write_atomically(file, content(results))
        except OSError as error:
            problems.append(f"{file} cannot be written ({error.strerror})")
    if arguments.report is not None:
        from lipinc.detection.page import write_index  # imports jinja2, which is needed for reports only

        try:
            index = write_index([result.row for result in results], arguments.report)
            print(f"report: {index}")
        except UserError as error:
            problems.append(str(error))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return not problems
