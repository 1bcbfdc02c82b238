"""What native libraries write to stderr is discarded, and nothing else."""

import os
import sys

import pytest

from lipinc.video.native_logs import quiet_native_logs


def test_native_logs_are_discarded_in_the_block_only(capfd) -> None:
    with pytest.raises(KeyError), quiet_native_logs():
        os.write(2, b"native noise\n")
        raise KeyError
    os.write(2, b"a message to the user\n")
    assert capfd.readouterr().err == "a message to the user\n"


def test_threads_that_silence_stderr_at_once_give_it_back(capfd):
    """In turn, the first one leaves before the second one does: it must not restore what the other one has saved."""
    first, second = quiet_native_logs(), quiet_native_logs()
    first.__enter__()
    second.__enter__()
    os.write(2, b"noise")
    first.__exit__(None, None, None)
    os.write(2, b"noise")
    second.__exit__(None, None, None)
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


def test_a_closed_stderr_needs_no_silence(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    saved = os.dup(2)
    os.close(2)
    try:
        with quiet_native_logs():
            pass
        with pytest.raises(OSError):
            os.fstat(2)
    finally:
        os.dup2(saved, 2)
        os.close(saved)
