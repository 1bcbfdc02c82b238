"""Calls that die or hang are lost alone, and no process outlives its owner."""

import ctypes
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

from lipinc.data import isolation
from lipinc.data.isolation import Isolated, ProcessDied, TimeLimitExceeded
from lipinc.errors import UserError


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


def test_a_process_that_has_grown_makes_way(process, monkeypatch):
    grown = process.call(os.getpid)
    monkeypatch.setattr(isolation, "MEMORY", 1)
    process.call(os.getpid)
    monkeypatch.undo()
    assert process.call(os.getpid) != grown


def test_an_interpreter_that_does_not_start_is_the_machines_fault(process, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="/bin/false die while they start"):
        process.call(os.getpid)


def test_it_dies_with_an_owner_that_is_killed():
    owner = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import os; from lipinc.data.isolation import Isolated; from tests.data.test_isolation import hang\n"
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
