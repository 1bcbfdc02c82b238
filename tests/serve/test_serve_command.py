"""lipinc serve as it is called: what it prints, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from lipinc.commands import serve
from lipinc.commands.runner import run_command
from lipinc.demo.videos import talking_frames
from tests.processes import heed_interrupts
from tests.serve.client import Client, until

ROOT = Path(__file__).resolve().parents[2]


def run(capsys, *words: str) -> str:
    """The error that the command prints."""
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: serve.main(words, "lipinc serve"))
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    (line,) = printed.err.splitlines()
    return line


@pytest.mark.parametrize("library", ["starlette", "uvicorn"])
def test_without_its_libraries_it_says_what_to_install(capsys, monkeypatch, library):
    for name in [name for name in sys.modules if name.startswith(("lipinc.serve", library))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    line = run(capsys)
    assert line.startswith(f"error: lipinc serve needs {library}; install ") and "pip install starlette uvicorn" in line


def test_a_port_that_is_taken_is_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run(capsys, "--port", port) == (
            f"error: port {port} cannot be used (Address already in use); give another with --port, or --port 0"
        )
    assert "port 70000 cannot be used" in run(capsys, "--port", "70000")


@pytest.mark.parametrize("flag", ["--time-limit", "--max-size", "--max-jobs"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_limits_must_be_positive(capsys, flag, value):
    assert run(capsys, flag, value) == f"error: {flag} must be more than 0"


@pytest.mark.parametrize("value", ["nan", "inf", "1e300"])
def test_the_size_must_be_a_size(capsys, value):
    assert "--max-size" in run(capsys, "--max-size", value)


@pytest.mark.slow
def test_a_checkpoint_that_is_none_is_one_line(capsys):
    assert "no checkpoint nowhere" in run(capsys, "--port", "0", "--checkpoint", "nowhere")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)]
)
def test_it_ends_in_one_line_and_leaves_nothing(tmp_path, write_video, number, status):
    """In the middle of an upload and while a video is read."""
    video = write_video(tmp_path / "talk.mp4", talking_frames(number=0, frames=120))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    running = subprocess.Popen(
        [sys.executable, "-m", "lipinc", "serve", "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )
    try:
        running.stdout.readline()
        address = running.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", address)
        client = Client(SimpleNamespace(address=address))
        client.send(video.read_bytes())
        until(lambda: client.videos()[0]["frames"])
        connection = client.begin(**{"Content-Length": "1000"})
        client.wait_for("receiving", "reading")
        readers = psutil.Process(running.pid).children(recursive=True)
        assert readers
        os.killpg(running.pid, number)  # as a terminal does
        _, errors = running.communicate(timeout=60)
        connection.close()
    finally:
        running.kill()
    assert running.returncode == status
    until(lambda: not any(reader.is_running() and reader.status() != psutil.STATUS_ZOMBIE for reader in readers))
    if number != signal.SIGKILL:  # what that leaves is deleted by the next server: tests/serve/test_folder.py
        assert errors == "\nstopped; all videos and reports are deleted\n"
        assert [*temporary.iterdir()] == []
