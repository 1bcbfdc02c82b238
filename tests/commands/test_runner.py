"""How commands end: their exit status and their last line."""

import os
import signal

import pytest

from lipinc.commands import runner
from lipinc.commands.runner import run_command
from lipinc.errors import UserError


def test_commands_end_as_promised(capsys):
    def fails():
        raise UserError(
            "Caught UserError in DataLoader worker process 0.\n  ...\nlipinc.errors.UserError: x.mp4 is bad"
        )

    def interrupted():
        raise KeyboardInterrupt

    for main, status in ((fails, 2), (interrupted, 130), (lambda: None, 0)):
        with pytest.raises(SystemExit) as caught:
            run_command(main)
        assert caught.value.code == status
    errors = capsys.readouterr().err.splitlines()
    assert "error: x.mp4 is bad" in errors
    assert any(line.startswith("interrupted") for line in errors)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, os.strerror(28), "/full/file"), "error: /full/file: No space left on device; progress is saved"),
        (ModuleNotFoundError("No module named 'torch'", name="torch.nn"), "error: torch cannot be imported by "),
        (UserError("a\nb\x1b[31m"), "error: a\\nb\\x1b[31m"),
        (UserError("x" * 5000 + " end"), f"error: {'x' * 1000} ... "),
    ],
)
def test_errors_of_the_users_machine_are_one_line(capsys, error, line):
    def fails():
        raise error

    with pytest.raises(SystemExit) as caught:
        run_command(fails)
    assert caught.value.code == 2
    (printed,) = capsys.readouterr().err.splitlines()
    assert printed.startswith(line) and len(printed) < 2100


def test_a_bug_is_a_traceback(capsys):
    """Nobody could mend it without."""
    for error in (ZeroDivisionError(), OSError("no file name"), ModuleNotFoundError("x", name="lipinc.x")):

        def fails(error=error):
            raise error

        with pytest.raises(type(error)):
            run_command(fails)


def test_the_status_of_a_command_is_that_of_the_process():
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: 1)
    assert caught.value.code == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_command_as_ctrl_c_does(capsys, number, status):
    saved = []

    def works():
        try:
            os.kill(os.getpid(), number)
            pytest.fail("it went on")
        finally:
            os.kill(os.getpid(), number)  # a second one does not interrupt what is saved
            saved.append("everything")

    of_the_tests = signal.signal(number, signal.SIG_DFL)  # they may run under nohup
    try:
        with pytest.raises(SystemExit) as caught:
            run_command(works)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, of_the_tests)
    assert (caught.value.code, saved) == (status, ["everything"])
    assert f"ended by {signal.Signals(number).name}; the same command continues" in capsys.readouterr().err


def test_a_signal_while_an_error_is_printed_is_no_traceback(capsys, monkeypatch):
    monkeypatch.setattr(runner, "printable", lambda _: os.kill(os.getpid(), signal.SIGTERM))

    def fails():
        raise UserError("x")

    with pytest.raises(SystemExit) as caught:
        run_command(fails)
    assert caught.value.code == 143


def test_nohup_is_respected():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as caught:
            run_command(lambda: os.kill(os.getpid(), signal.SIGHUP))
        assert caught.value.code == 0
    finally:
        signal.signal(signal.SIGHUP, before)
