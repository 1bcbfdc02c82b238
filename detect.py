"""Videos -> verdicts: is the mouth of this speaker real or lip-synced?

python detect.py VIDEO
python detect.py FOLDER "clips/*.mp4" --csv verdicts.csv --report report/

Exit status: 0 if every file was judged, or refused for what it shows (no face, a closed mouth, ...); 1 if some could
not be read, or something that was asked for not be written; 2 for wrong usage.
"""

import argparse
import csv
import io
import json
import os
import sys
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from lipinc.commands.runner import run_script
from lipinc.config import DEFAULT_CHECKPOINT
from lipinc.detection.batch import Result, Settings, find_videos, judge
from lipinc.errors import UserError, printable
from lipinc.files.atomic import write_atomically
from lipinc.files.csv_table import guard_formula

COLUMNS = ("file", "verdict", "probability", "threshold", "windows", "coverage", "reason", "detail", "sha256")


def main() -> int:
    options = parse()
    if not options.checkpoint.is_file():
        raise UserError(f"no checkpoint {options.checkpoint}; name one by --checkpoint")
    files = find_videos(options.videos)
    check_places(options)
    settings = Settings(options.checkpoint, options.device, options.face, options.report, options.time_limit)
    workers = 1 if options.device == "cuda" else min(options.workers or os.cpu_count() or 1, len(files))
    results: dict[Path, Result] = {}
    try:
        with (
            tqdm(total=len(files), unit="video", disable=len(files) == 1) as progress,
            closing(judge(files, settings, workers)) as judged,  # its processes end before the tables are written
        ):
            for result in judged:
                results[Path(result.values["file"])] = result
                progress.update()
                with tqdm.external_write_mode(sys.stdout):
                    print(line(result), flush=True)
                    if result.problem:
                        print(f"error: {result.problem}", file=sys.stderr)
    finally:  # what was judged is kept, whatever ends the batch
        done = [results[file] for file in files if file in results]
        written = not done or write(done, options)
    print(summary(done))
    return 0 if written and all(result.was_read and not result.problem for result in done) else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], epilog=__doc__.partition("Exit status")[2].join(("Exit status", ""))
    )
    parser.add_argument("videos", nargs="+", metavar="VIDEO|FOLDER|GLOB", help="files, folders, or patterns in quotes")
    parser.add_argument(
        "--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, metavar="C", help="default: weights/robust.safetensors"
    )
    parser.add_argument("--json", type=Path, metavar="F", help="write all that was found, window by window")
    parser.add_argument("--csv", type=Path, metavar="F", help=f"write a row a file: {', '.join(COLUMNS)}")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write a page a video and an index.html to look at")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--face", default="largest", metavar="largest|all|N", help="whose mouth: the largest face over "
                        "the video, up to four, or the N-th by size, counted from 0")  # fmt: skip
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes, where there are several files "
                        "and no GPU is asked for; 0: one for each core")  # fmt: skip
    parser.add_argument("--time-limit", type=float, default=Settings.time_limit, metavar="S", help="seconds after "
                        f"which a file is given up; default: {Settings.time_limit}")  # fmt: skip
    options = parser.parse_args()
    if options.workers < 0:
        parser.error("--workers must be 0 or more")
    if not options.time_limit > 0:
        parser.error("--time-limit must be more than 0")
    return options


def check_places(options: argparse.Namespace) -> None:
    """Raise UserError where a file that is asked for could not be written: now, not after hours."""
    for file in (options.json, options.csv):
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            reason = "it is a folder" if file.is_dir() else f"there is no folder {file.parent}"
            raise UserError(f"{file} cannot be written: {reason}")
    if options.report is not None:
        try:
            options.report.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{options.report} cannot be written ({error.strerror}); name another folder") from error


def line(result: Result) -> str:
    """One line a file, the faces below it if there are several."""
    values = result.values
    lines = [f"{_answer(values)}  {printable(values['file'])}"]
    if len(values["faces"]) > 1:
        lines += [f"{_answer(face)}    face {face['rank']}" for face in values["faces"]]
    return "\n".join(lines)


def summary(results: list[Result]) -> str:
    """One line a batch."""
    verdicts = [result.values["verdict"] for result in results]
    counts = [f"{verdicts.count(name)} {name}" for name in ("fake", "uncertain", "real", "no verdict")]
    return f"{len(results)} {'video' if len(results) == 1 else 'videos'}: {', '.join(counts)}"


def write(results: list[Result], options: argparse.Namespace) -> bool:
    """Write the files that were asked for, and say whether all could be written: one that cannot costs no other."""
    problems = []
    for file, content in ((options.json, _json(results)), (options.csv, _csv(results))):
        try:
            if file is not None:
                write_atomically(file, content)
        except OSError as error:
            problems.append(f"{file} cannot be written ({error.strerror})")
    if options.report is not None:
        from lipinc.detection.page import write_index

        try:
            index = write_index([result.row for result in results], options.report)
            print(f"report: {index}")
        except UserError as error:
            problems.append(str(error))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return not problems


def _json(results: list[Result]) -> bytes:
    return json.dumps([result.values for result in results], indent=1).encode() + b"\n"


def _csv(results: list[Result]) -> bytes:
    text = io.StringIO()
    # All texts in quotes: Python leaves them away around a \r, and a name with one would end its row.
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    for result in results:
        cells = [result.values[column] for column in COLUMNS]
        writer.writerow([guard_formula(cell) if isinstance(cell, str) else cell for cell in cells])
    return text.getvalue().encode("utf-8", "surrogateescape")


def _answer(values: dict) -> str:
    if values["probability"] is None:
        return f"{values['verdict']:10}  -     {values['reason']}: {printable(values['detail'])}"
    windows = "1 window" if values["windows"] == 1 else f"{values['windows']} windows"
    share = f"mouth in {values['coverage']:.0%} of frames"
    return f"{values['verdict']:10}  {values['probability']:.3f} ({windows}, {share})"


if __name__ == "__main__":
    run_script(main)
