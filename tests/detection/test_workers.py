"""Processes that work on files: each file has its result or its loss, whatever becomes of a process."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lipinc.detection.workers import Lost, work_apart
from lipinc.errors import UserError


def _load() -> Callable[[Path], str]:
    return _work


def _work(file: Path) -> str:
    """As the name of the file says."""
    if file.name.startswith("hang"):
        time.sleep(1000)
    if file.name.startswith("exit"):
        os._exit(3)
    if file.name.startswith("segv"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return file.name.upper()


def _load_nothing() -> Callable[[Path], str]:
    raise UserError("no checkpoint")


def _load_and_die() -> Callable[[Path], str]:
    os._exit(1)


@pytest.mark.parametrize("workers", [1, 4])
def test_each_file_has_its_result_or_its_loss(workers) -> None:
    names = ["a", "segv", "b", "hang", "c", "exit", "segv2", "d"]
    outcomes = list(work_apart(_load, [Path(name) for name in names], workers, time_limit=2))
    lost = {one.file.name: one.detail for one in outcomes if isinstance(one, Lost)}
    assert sorted(one for one in outcomes if not isinstance(one, Lost)) == ["A", "B", "C", "D"]
    assert lost == {
        "segv": "the process that reads it dies (SIGSEGV)",
        "segv2": "the process that reads it dies (SIGSEGV)",
        "exit": "the process that reads it dies (exit status 3)",
        "hang": "given up after 2 s",
    }


def test_an_hour_without_a_limit_is_no_error() -> None:
    assert list(work_apart(_load, [Path("a")], 1, time_limit=float("inf"))) == ["A"]


@pytest.mark.parametrize(("load", "message"), [(_load_nothing, "no checkpoint"), (_load_and_die, "died as it started")])
def test_a_start_that_fails_is_said_once_and_ends_all(load, message) -> None:
    with pytest.raises(UserError, match=message):
        list(work_apart(load, [Path("a"), Path("b")], 2, time_limit=60))


def test_who_stops_listening_leaves_no_process_behind() -> None:
    answers = work_apart(_pid, [Path(name) for name in "abc"], 2, time_limit=60)
    pid = next(answers)
    answers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def _pid() -> Callable[[Path], int]:
    return lambda file: os.getpid()


def test_no_files_are_no_work() -> None:
    assert list(work_apart(_load_and_die, [], 2, time_limit=60)) == []
