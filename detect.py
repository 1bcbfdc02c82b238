"""Videos -> verdicts: is the mouth of this speaker real or lip-synced?

python detect.py VIDEO
python detect.py FOLDER "clips/*.mp4" --csv verdicts.csv --report report/

Exit status: 0 if every file was judged, or refused for what it shows (no face, a closed mouth, ...); 1 if some could
not be read, or a page of the report not be written; 2 for wrong usage.
"""

import argparse
import csv
import io
import json
import os
import sys
from pathlib import Path

from tqdm import tqdm

from lipinc.config import REPOSITORY
from lipinc.data.cache import write_atomically
from lipinc.detection.batch import Result, Settings, find_videos, judge
from lipinc.errors import UserError
from lipinc.metrics import guard_formula
from lipinc.scripts import run_script

COLUMNS = ("file", "verdict", "probability", "threshold", "windows", "coverage", "reason", "detail", "sha256")


def main() -> int:
    options = parse()
    if not options.checkpoint.is_file():
        raise UserError(f"no checkpoint {options.checkpoint}; name one by --checkpoint")
    files = find_videos(options.videos)
    for file in (options.json, options.csv):
        if file is not None and not file.parent.is_dir():
            raise UserError(f"{file} cannot be written: there is no folder {file.parent}")
    settings = Settings(options.checkpoint, options.device, options.face, options.report)
    workers = 1 if options.device == "cuda" else min(options.workers or os.cpu_count() or 1, len(files))
    results: dict[Path, Result] = {}
    try:
        with tqdm(total=len(files), unit="video", disable=len(files) == 1) as progress:
            for result in judge(files, settings, workers):
                results[Path(result.values["file"])] = result
                progress.update()
                with tqdm.external_write_mode(sys.stdout):
                    print(line(result), flush=True)
                    if result.problem:
                        print(f"error: {result.problem}", file=sys.stderr)
    finally:  # what was judged is kept, whatever ends the batch
        done = [results[file] for file in files if file in results]
        write(done, options)
    print(summary(done))
    return 0 if all(result.was_read and not result.problem for result in done) else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], epilog=__doc__.partition("Exit status")[2].join(("Exit status", ""))
    )
    parser.add_argument("videos", nargs="+", metavar="VIDEO|FOLDER|GLOB", help="files, folders, or patterns in quotes")
    default = REPOSITORY / "weights" / "lipinc_v2.safetensors"
    parser.add_argument("--checkpoint", type=Path, default=default, metavar="C", help="default: the one in weights/")
    parser.add_argument("--json", type=Path, metavar="F", help="write all that was found, window by window")
    parser.add_argument("--csv", type=Path, metavar="F", help=f"write a row a file: {', '.join(COLUMNS)}")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write a page a video and an index.html to look at")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--face", default="largest", metavar="largest|all|N", help="whose mouth: the largest face over "
                        "the video, up to four, or the N-th by size, counted from 0")  # fmt: skip
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes, where there are several files "
                        "and no GPU is asked for; 0: one for each core")  # fmt: skip
    options = parser.parse_args()
    if options.workers < 0:
        parser.error("--workers must be 0 or more")
    return options


def line(result: Result) -> str:
    """One line a file, the faces below it if there are several."""
    values = result.values
    lines = [f"{_answer(values)}  {_plain(values['file'])}"]
    if len(values["faces"]) > 1:
        lines += [f"{_answer(face)}    face {face['rank']}" for face in values["faces"]]
    return "\n".join(lines)


def summary(results: list[Result]) -> str:
    """One line a batch."""
    verdicts = [result.values["verdict"] for result in results]
    counts = [f"{verdicts.count(name)} {name}" for name in ("fake", "uncertain", "real", "no verdict")]
    return f"{len(results)} {'video' if len(results) == 1 else 'videos'}: {', '.join(counts)}"


def write(results: list[Result], options: argparse.Namespace) -> None:
    """The files that were asked for."""
    if options.json is not None:
        write_atomically(options.json, json.dumps([one.values for one in results], indent=1).encode() + b"\n")
    if options.csv is not None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for result in results:
            cells = [result.values[column] for column in COLUMNS]
            writer.writerow([guard_formula(cell) if isinstance(cell, str) else cell for cell in cells])
        write_atomically(options.csv, text.getvalue().encode("utf-8", "surrogateescape"))
    if options.report is not None and results:
        from lipinc.detection.page import write_index

        index = write_index([result.row for result in results if result.row is not None], options.report)
        print(f"report: {index}")


def _answer(values: dict) -> str:
    if values["probability"] is None:
        return f"{values['verdict']:10}  -     {values['reason']}: {values['detail']}"
    windows = "1 window" if values["windows"] == 1 else f"{values['windows']} windows"
    share = f"mouth in {values['coverage']:.0%} of frames"
    return f"{values['verdict']:10}  {values['probability']:.3f} ({windows}, {share})"


def _plain(name: str) -> str:
    """A file name that a terminal can be trusted with."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name)


if __name__ == "__main__":
    run_script(main)
