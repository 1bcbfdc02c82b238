"""What the subprocess does with an uploaded video: the verdict, its words and its report."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lipinc.detection.batch import Settings, frame_report, load
from lipinc.errors import UserError, one_line
from lipinc.video.rejection import Reason, Rejection

if TYPE_CHECKING:
    from lipinc.detection.verdict import Verdict


@dataclass(frozen=True)
class Outcome:
    """What the page says about a video."""

    verdict: str
    """The decision in words."""
    detail: str
    """Why it is uncertain or there is none; empty otherwise."""
    report: Path


def read_video(settings: Settings, file: Path, *, name: str, folder: Path) -> Outcome:
    """Classify an uploaded video and write its report.

    Args:
        settings: the checkpoint and its options.
        file: the upload, whose path appears nowhere.
        name: the name of the video, as its report shows it.
        folder: folder of the report.

    Raises:
        UserError: the report cannot be written, or the checkpoint cannot be used.
    """
    try:
        verdict = load(settings)(file, evidence=True, on_frame=frame_report())
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug or a full disk, reported like a crash
        verdict = load(settings).reject(file, Rejection(Reason.CRASHED, one_line(error)))
    return _report(verdict, name, folder)


def reject_video(settings: Settings, file: Path, rejection: Rejection, *, name: str, folder: Path) -> Outcome:
    """Write the report of a video that killed its subprocess or took too long."""
    return _report(load(settings).reject(file, rejection), name, folder)


def in_words(verdict: "Verdict") -> tuple[str, str]:
    """Return the decision in words, and why it is uncertain or missing ("" otherwise)."""
    from lipinc.detection.words import REASON_TEXTS

    reason = verdict.reason
    return verdict.decision.words, verdict.assessment.detail if reason is None else REASON_TEXTS[reason]


def _report(verdict: "Verdict", name: str, folder: Path) -> Outcome:
    from lipinc.detection.page import write_page

    detail = verdict.assessment.detail.replace(verdict.file, name)
    verdict = replace(verdict, file=name, assessment=replace(verdict.assessment, detail=detail))
    try:
        page = write_page(verdict, folder)
    except UserError as error:
        raise UserError("Its report cannot be written; free some space on the disk of temporary files.") from error
    return Outcome(*in_words(verdict), page)
