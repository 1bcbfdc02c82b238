"""Output formats of a batch: terminal lines, CSV and JSON."""

import json
from collections.abc import Sequence

from lipinc.detection.batch import Result
from lipinc.errors import printable
from lipinc.files.csv_table import table_text

COLUMNS = ("file", "verdict", "probability", "threshold", "windows", "coverage", "reason", "detail", "sha256", "notes")


def line(result: Result) -> str:
    """Format the terminal line of a file, followed by one line per face if there are several, and by notes."""
    values = result.values
    lines = [f"{_verdict_text(values)}  {printable(values['file'])}"]
    if len(values["faces"]) > 1:
        lines += [f"{_verdict_text(face)}    face {face['rank']}" for face in values["faces"]]
    lines += [f"{'note':10}  {note}" for note in _notes(values)]
    return "\n".join(lines)


def summary(results: Sequence[Result]) -> str:
    """Format the last line of a batch: the number of videos per decision."""
    verdicts = [result.values["verdict"] for result in results]
    counts = [f"{verdicts.count(name)} {name}" for name in ("fake", "uncertain", "real", "no verdict")]
    return f"{len(results)} {'video' if len(results) == 1 else 'videos'}: {', '.join(counts)}"


def as_json(results: Sequence[Result]) -> bytes:
    """Return all results as JSON, including the scores of all windows."""
    return json.dumps([result.values for result in results], indent=1).encode() + b"\n"


def as_csv(results: Sequence[Result]) -> bytes:
    """Return the results as CSV, one row per file."""
    rows = ({**result.values, "notes": "; ".join(_notes(result.values))} for result in results)
    return table_text(COLUMNS, rows).encode("utf-8", "surrogateescape")


def _notes(values: dict) -> list[str]:
    """How the video was read, if that is worth a note."""
    return values["stream"]["notes"] if values["stream"] else []


def _verdict_text(values: dict) -> str:
    if values["probability"] is None:
        return f"{values['verdict']:10}  -     {values['reason']}: {printable(values['detail'])}"
    windows = "1 window" if values["windows"] == 1 else f"{values['windows']} windows"
    coverage = f"mouth in {values['coverage']:.0%} of frames"
    return f"{values['verdict']:10}  {values['probability']:.3f} ({windows}, {coverage})"
