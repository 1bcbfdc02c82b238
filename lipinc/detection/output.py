"""Output formats of a batch: terminal lines, CSV and JSON."""

import json
from collections.abc import Sequence

from lipinc.detection.batch import Result
from lipinc.detection.decision import Decision
from lipinc.detection.words import NO_PROOF, error_text
from lipinc.errors import printable
from lipinc.files.csv_table import table_text
from lipinc.video.error_rates import ErrorRates

COLUMNS = (
    *("file", "verdict", "probability", "threshold", "windows", "coverage", "segments", "reason", "detail", "sha256"),
    "notes",
)


WIDTH = max(len(decision.words) for decision in Decision)
"""Width of the first column of terminal lines."""


def line(result: Result) -> str:
    """Format the terminal line of a file, followed by one line per face if there are several, by suspicious stretches
    and by notes."""
    values = result.values
    lines = [f"{_verdict_text(values)}  {printable(values['file'])}"]
    several = len(values["faces"]) > 1
    for face in values["faces"]:
        if several:
            lines.append(f"{_verdict_text(face)}    face {face['rank']}")
        lines += [f"{'':{WIDTH}}  {text}" for text in segment_texts(face)]
    lines += [f"{'note':{WIDTH}}  {note}" for note in _notes(values)]
    return "\n".join(lines)


def segment_texts(face: dict) -> list[str]:
    """Describe the suspicious stretches of a face, given its values in JSON."""
    return [
        f"suspicious from {one['start_s']:.1f} to {one['end_s']:.1f} s ({one['probability']:.3f})"
        for one in face["segments"]
    ]


def advice(result: Result) -> str:
    """Say below a single verdict how often the detector errs, and what a verdict is worth; "" without a verdict."""
    if result.values["probability"] is None:
        return ""
    rates = result.values["error_rates"]
    return f"{error_text(None if rates is None else ErrorRates.from_values(rates))}\n{NO_PROOF}"


def summary(results: Sequence[Result]) -> str:
    """Format the last line of a batch: the number of videos per decision."""
    verdicts = [result.values["verdict"] for result in results]
    order = (Decision.FAKE, Decision.UNCERTAIN, Decision.REAL, Decision.NO_VERDICT)
    counts = [f"{verdicts.count(decision.value)} {decision.words}" for decision in order]
    return f"{len(results)} {'video' if len(results) == 1 else 'videos'}: {', '.join(counts)}"


def as_json(results: Sequence[Result]) -> bytes:
    """Return all results as JSON, including the scores of all windows."""
    return json.dumps([result.values for result in results], indent=1).encode() + b"\n"


def as_csv(results: Sequence[Result]) -> bytes:
    """Return the results as CSV, one row per file."""
    rows = (
        {**result.values, "segments": _segment_cell(result.values), "notes": "; ".join(_notes(result.values))}
        for result in results
    )
    return table_text(COLUMNS, rows).encode("utf-8", "surrogateescape")


def _segment_cell(values: dict) -> str:
    """The suspicious stretches of all faces, as in "3.2-6.1; 10-12.5", in s."""
    found = sorted((one["start_s"], one["end_s"]) for face in values["faces"] for one in face["segments"])
    return "; ".join(f"{start:g}-{end:g}" for start, end in found)


def _notes(values: dict) -> list[str]:
    """How the video was read, and which faces were not judged, if that is worth a note."""
    notes = list(values["stream"]["notes"]) if values["stream"] else []
    if values["faces"] and values["faces_seen"] > len(values["faces"]):
        notes.append(f"{values['faces_seen']} faces were found, {len(values['faces'])} judged; --face all judges more")
    return notes


def _verdict_text(values: dict) -> str:
    words = Decision(values["verdict"]).words
    if values["probability"] is None:
        return f"{words:{WIDTH}}  -     {values['reason']}: {printable(values['detail'])}"
    windows = "1 window" if values["windows"] == 1 else f"{values['windows']} windows"
    about = f"{windows}, mouth in {values['coverage']:.0%} of frames"
    about += f"; {values['detail']}" if values["detail"] else ""
    return f"{words:{WIDTH}}  {values['probability']:.3f} ({about})"
