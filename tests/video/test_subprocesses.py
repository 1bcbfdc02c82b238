"""A call that crashes or hangs does not affect the next one, and no process outlives its owner."""

import ctypes
import importlib
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import lipinc.errors
from lipinc.errors import UserError
from lipinc.video.subprocesses import (
    IsolatedProcess,
    ProcessDied,
    TimeLimitExceeded,
    isolated_thread_pool,
    map_isolated,
    report_progress,
    thread_process,
)


@pytest.fixture
def process():
    with IsolatedProcess() as process:
        yield process


def die():
    os.kill(os.getpid(), signal.SIGSEGV)


def hang():
    ctypes.PyDLL(None).sleep(3600)  # like native code that never releases the GIL


def fail():
    raise UserError("fix this")


def test_calls_share_one_subprocess(process):
    first = process.call(os.getpid)
    assert first == process.call(os.getpid) != os.getpid()
    assert process.call(divmod, 7, 2) == (3, 1)


def test_exceptions_of_a_call_are_raised(process):
    with pytest.raises(UserError, match="fix this"):
        process.call(fail)


@pytest.mark.parametrize(("call", "error", "time_limit"), [(die, ProcessDied, 0), (hang, TimeLimitExceeded, 0.5)])
def test_a_call_that_crashes_or_hangs_does_not_affect_the_next_one(process, call, error, time_limit):
    lost = process.call(os.getpid)
    with pytest.raises(error):
        process.call(call, time_limit=time_limit)
    assert process.call(os.getpid) != lost
    assert not psutil.pid_exists(lost)


def test_temporary_files_of_a_lost_process_are_deleted(process, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = process.call(tempfile.mkdtemp)
    assert tmp_path in Path(place).parents
    with pytest.raises(ProcessDied):
        process.call(die)
    assert not list(tmp_path.iterdir())


def test_a_process_above_its_memory_limit_is_replaced():
    with IsolatedProcess(max_memory_mb=1) as process:
        assert process.call(os.getpid) != process.call(os.getpid)


def die_once(mark: Path) -> str:
    if mark.exists():
        return "done"
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_call_whose_process_is_killed_once_is_retried(process, tmp_path):
    assert process.call(die_once, tmp_path / "mark") == "done"


@pytest.mark.parametrize(("code", "cause"), [(-signal.SIGSEGV, "SIGSEGV"), (3, "exit status 3")])
def test_the_error_names_the_cause_of_death(process, code, cause):
    with pytest.raises(ProcessDied, match=cause):
        process.call(end_with, code)


def end_with(code: int) -> None:
    os.kill(os.getpid(), -code) if code < 0 else os._exit(code)


def test_an_infinite_time_limit_means_no_limit(process):
    assert process.call(divmod, 7, 2, time_limit=math.inf) == (3, 1)


def count(steps: int) -> str:
    for step in range(steps):
        report_progress(step)
    return "done"


def test_temporary_files_lie_where_the_owner_says(tmp_path):
    with IsolatedProcess(scratch_parent=tmp_path) as process:
        assert Path(process.call(tempfile.gettempdir)).parent == tmp_path


def test_progress_reaches_the_caller(process):
    seen = []
    assert process.call(count, 3, on_progress=seen.append) == "done" == process.call(count, 3)
    assert seen == [0, 1, 2]
    report_progress("outside of a subprocess")


def test_an_exception_of_the_callback_leaves_no_answer_behind(process):
    def broken(_) -> None:
        raise OSError("the terminal is gone")

    with pytest.raises(OSError, match="the terminal is gone"):
        process.call(count, 3, on_progress=broken)
    assert process.call(divmod, 7, 2) == (3, 1)


def signal_yourself() -> str:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(os.getpid(), number)
    return "alive"


def test_signals_to_all_processes_of_a_job_blame_no_video(process):
    assert process.call(signal_yourself) == "alive"


def test_a_process_outlives_the_thread_that_started_it(process):
    pids: list[int] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: pids.append(process.call(os.getpid)))
        thread.start()
        thread.join()
        time.sleep(0.2)
    assert pids[0] == pids[1]


def test_a_fork_uses_its_own_process_and_leaves_that_of_its_parent(process):
    before = process.call(os.getpid)
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(BaseException):
            status = 0 if process.call(os.getpid) != before else 2
            process.close()
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert process.call(os.getpid) == before


def where_from(name: str) -> str:
    return str(importlib.import_module(name).__file__)


def test_a_process_imports_what_its_owner_does_whatever_lies_in_the_working_directory(tmp_path, monkeypatch):
    for name in ("token", "random", "psutil", "lipinc/__init__"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text("raise SystemExit('from the working directory')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    with IsolatedProcess() as process:
        for name in ("token", "random", "psutil", "lipinc"):
            assert process.call(where_from, name) == importlib.import_module(name).__file__


def test_the_package_is_that_of_the_owner_even_behind_another_one(tmp_path, monkeypatch):
    (tmp_path / "lipinc").mkdir()
    (tmp_path / "lipinc" / "__init__.py").write_text("raise SystemExit('another clone')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with IsolatedProcess() as process:
        assert process.call(where_from, "lipinc.errors") == lipinc.errors.__file__


def halve(number: int) -> float:
    return die() if number == 1 else number / 2


def test_a_map_keeps_the_order_and_goes_on_after_a_death():
    with map_isolated(halve, range(3), workers=2) as results:
        first, died, last = results
    assert (first, last) == (0.0, 1.0)
    assert isinstance(died, ProcessDied) and str(died) == "SIGSEGV"


# Initializer


def load() -> None:
    time.sleep(1.5)
    os.environ["LOADED"] = "yes"


def test_the_initializer_runs_in_each_process_and_has_no_time_limit():
    with IsolatedProcess(initializer=load) as process:
        for _ in range(2):
            assert process.call(os.getenv, "LOADED", time_limit=1.4) == "yes"
            os.kill(process.call(os.getpid), signal.SIGKILL)


def test_every_call_raises_the_error_of_the_initializer():
    with IsolatedProcess(initializer=fail) as process:
        for _ in range(2):
            with pytest.raises(UserError, match="fix this"):
                process.call(os.getpid)


def test_a_crash_in_the_initializer_is_the_fault_of_the_machine():
    with IsolatedProcess(initializer=die) as process, pytest.raises(UserError, match=r"while they start \(SIGSEGV\)"):
        process.call(os.getpid)


def test_an_interpreter_that_does_not_start_is_the_fault_of_the_machine(process, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="/bin/false die while they start"):
        process.call(os.getpid)


def test_each_thread_has_its_own_process_and_none_survives_the_pool():
    def hang_in_subprocess(_) -> None:
        pids.append(thread_process().call(os.getpid))
        thread_process().call(hang)

    pids: list[int] = []
    started = time.monotonic()
    with isolated_thread_pool(2) as executor:
        executor.map(hang_in_subprocess, range(5))
        while len(pids) < 2 and time.monotonic() < started + 60:
            time.sleep(0.01)
    assert len(set(pids)) == 2
    assert not any(map(psutil.pid_exists, pids))


def test_the_process_dies_when_its_owner_is_killed():
    owner = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import os; from tests.video.test_subprocesses import IsolatedProcess, hang\n"
            "process = IsolatedProcess(); print(process.call(os.getpid), flush=True); process.call(hang)",
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
    """Fail unless a process that is not our child ends within 20 s."""
    deadline = time.monotonic() + 20
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, f"{pid} is still there"
            time.sleep(0.02)
