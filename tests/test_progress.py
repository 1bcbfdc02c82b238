"""Progress in a log: a line now and then instead of carriage returns."""

import sys

from lipinc import progress
from lipinc.progress import progress_bar


def test_a_log_gets_the_first_and_the_last_line(capsys):
    for _ in progress_bar(range(5000), desc="extract", unit="video"):
        pass
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("extract: 0 of 5000 videos") and last.startswith("extract: 5000 of 5000 videos")


def test_a_log_gets_a_line_at_each_interval(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LOG_INTERVAL", 0)
    with progress_bar(total=3, unit="step", leave=False) as bar:
        for _ in range(3):
            bar.update()
    printed = capsys.readouterr().err
    assert "\r" not in printed and "3 of 3 steps" in printed


def test_what_is_short_and_not_left_prints_nothing(capsys):
    for _ in progress_bar(range(3), leave=False):
        pass
    assert capsys.readouterr().err == ""


def test_without_stderr_there_is_no_progress(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert list(progress_bar(range(3))) == [0, 1, 2]
