"""What a subprocess does in place of reading videos: what the content of the upload says. It loads no checkpoint."""

import os
import signal
import time
from pathlib import Path

from lipinc.detection.batch import Settings
from lipinc.serve.reading import Outcome
from lipinc.video.rejection import Rejection
from lipinc.video.subprocesses import report_progress

REPORT = "<!DOCTYPE html><title>report</title>"


def prepare(settings: Settings, workers: int) -> None:
    pass


def read_video(settings: Settings, file: Path, *, name: str, folder: Path) -> Outcome:
    content = file.read_bytes()
    if content == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    if content == b"hang":
        report_progress((os.getpid(), None))
        time.sleep(3600)
    if content == b"fail":
        raise OSError(28, "No space left on device")
    return _outcome("uncertain", "", name, folder)


def reject_video(settings: Settings, file: Path, rejection: Rejection, *, name: str, folder: Path) -> Outcome:
    return _outcome("no verdict", f"{rejection.reason.value}: {rejection.detail}", name, folder)


def _outcome(verdict: str, detail: str, name: str, folder: Path) -> Outcome:
    report = folder / "report.html"
    report.write_text(REPORT)
    return Outcome(verdict, detail, report)
