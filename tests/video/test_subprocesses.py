"""Calls that die or hang are lost alone, and no process outlives its owner."""

import ctypes
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lipinc.errors import UserError
from lipinc.video.subprocesses import Isolated, ProcessDied, TimeLimitExceeded, isolating_threads, process_of_thread


@pytest.fixture
def process():
    with Isolated() as process:
        yield process


def die():
    os.kill(os.getpid(), signal.SIGSEGV)


def hang():
    ctypes.PyDLL(None).sleep(3600)  # as native code that never gives the interpreter back


def fail():
    raise UserError("mend this")


def test_calls_share_a_process_that_is_not_this_one(process):
    first = process.call(os.getpid)
    assert first == process.call(os.getpid) != os.getpid()
    assert process.call(divmod, 7, 2) == (3, 1)


def test_what_a_call_raises_is_raised(process):
    with pytest.raises(UserError, match="mend this"):
        process.call(fail)


@pytest.mark.parametrize(("call", "loss"), [(die, ProcessDied), (hang, TimeLimitExceeded)])
def test_a_call_that_dies_or_hangs_is_lost_and_the_next_one_is_not(process, call, loss):
    lost = process.call(os.getpid)
    with pytest.raises(loss):
        process.call(call, time_limit=2)
    assert process.call(os.getpid) != lost
    assert not psutil.pid_exists(lost)


def test_temporary_files_of_a_lost_process_go(process, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = process.call(tempfile.mkdtemp)
    assert tmp_path in Path(place).parents
    with pytest.raises(ProcessDied):
        process.call(die)
    assert not list(tmp_path.iterdir())


def test_a_process_that_has_grown_makes_way():
    with Isolated(memory=1) as process:
        assert process.call(os.getpid) != process.call(os.getpid)


def die_once(mark: Path) -> str:
    if mark.exists():
        return "done"
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_call_whose_process_is_killed_once_is_made_again(process, tmp_path):
    assert process.call(die_once, tmp_path / "mark") == "done"


@pytest.mark.parametrize(("code", "cause"), [(-signal.SIGSEGV, "SIGSEGV"), (3, "exit status 3")])
def test_a_death_tells_its_cause(process, code, cause):
    with pytest.raises(ProcessDied, match=cause):
        process.call(end_with, code)


def end_with(code: int) -> None:
    os.kill(os.getpid(), -code) if code < 0 else os._exit(code)


def test_a_limit_of_infinity_is_none(process):
    assert process.call(divmod, 7, 2, time_limit=math.inf) == (3, 1)


# Preparation


def load() -> None:
    time.sleep(1.5)
    os.environ["LOADED"] = "yes"


def test_each_process_is_prepared_before_the_clock_runs():
    with Isolated(prepare=load) as process:
        for _ in range(2):
            assert process.call(os.getenv, "LOADED", time_limit=1.4) == "yes"
            os.kill(process.call(os.getpid), signal.SIGKILL)


def test_a_preparation_that_fails_is_raised_by_every_call():
    with Isolated(prepare=fail) as process:
        for _ in range(2):
            with pytest.raises(UserError, match="mend this"):
                process.call(os.getpid)


def test_a_preparation_that_dies_is_the_machines_fault():
    with Isolated(prepare=die) as process, pytest.raises(UserError, match=r"die while they start \(SIGSEGV\)"):
        process.call(os.getpid)


def test_an_interpreter_that_does_not_start_is_the_machines_fault(process, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="/bin/false die while they start"):
        process.call(os.getpid)


def test_threads_have_a_process_each_and_none_is_left_when_they_are_dropped_at_work():
    def hang_apart(_) -> None:
        pids.append(process_of_thread().call(os.getpid))
        process_of_thread().call(hang)

    pids: list[int] = []
    started = time.monotonic()
    with isolating_threads(2) as executor:
        executor.map(hang_apart, range(5))
        while len(pids) < 2 and time.monotonic() < started + 60:
            time.sleep(0.01)
    assert len(set(pids)) == 2
    assert not any(map(psutil.pid_exists, pids))


def test_it_dies_with_an_owner_that_is_killed():
    owner = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import os; from lipinc.video.subprocesses import Isolated; from tests.video.test_subprocesses import hang\n"
            "process = Isolated(); print(process.call(os.getpid), flush=True); process.call(hang)",
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    orphan = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    wait_until_gone(orphan)


def wait_until_gone(pid: int) -> None:
    """Fail unless a process that is nobody's child here ends soon."""
    deadline = time.monotonic() + 20
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, f"{pid} is still there"
            time.sleep(0.02)
