"""Commands on terminals, pipes and locales of every kind: no traceback, and file names stay what they are."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PREPARE = "from lipinc.commands import terminal; terminal.prepare(); import os, sys; "


def run(program: str, shell: str = "{}", **environment: str) -> subprocess.CompletedProcess:
    """Run a Python program in bash, in place of the braces."""
    command = shell.format('"$PYTHON" -c "$PROGRAM"')
    environment = {**os.environ, "PYTHON": sys.executable, "PROGRAM": program, **environment}
    return subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, timeout=120)


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_are_not_reused_by_files(tmp_path, closed):
    file = tmp_path / "file"
    program = (
        f"{PREPARE}file = open({str(file)!r}, 'w'); assert file.fileno() > 2; "
        "print('out', flush=True); print('err', file=sys.stderr); os.write(2, b'native log'); file.write('content')"
    )
    done = run(program, f"{{}} {closed}")
    assert done.returncode == 0, done.stderr
    assert file.read_text() == "content"


def test_a_reader_that_ends_is_noticed_and_stops_nothing():
    program = (
        f"{PREPARE}import time\n"
        "while not terminal.is_reader_gone(): print('x' * 1000)\n"
        "print('more'); print('went on', file=sys.stderr)"
    )
    done = run(program, "{} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, b"went on\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_characters_that_a_terminal_lacks_are_escaped(encoding):
    done = run(f"{PREPARE}print('\\u53e3 \\udce9')", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout) == (0, b"\\u53e3 \\udce9\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C"},
        {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ],
)
def test_names_are_utf8_in_every_locale(tmp_path, locale):
    (tmp_path / "é口.mp4").write_text("no video")
    command = [sys.executable, ROOT / "detect.py", tmp_path, "--csv", tmp_path / "v.csv"]
    done = subprocess.run(command, env={**os.environ, **locale}, capture_output=True, timeout=120)
    assert done.returncode == 1 and b"Traceback" not in done.stderr  # it is no video
    with open(tmp_path / "v.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["file"] == str(tmp_path / "é口.mp4")
    assert row["reason"] == "unreadable" and "UTF-8" not in row["detail"]


@pytest.mark.slow
def test_a_full_output_is_one_line(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    command = f'"{sys.executable}" detect.py {tmp_path} --csv {tmp_path}/v.csv > /dev/full'
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == "error: standard output cannot be written (No space left on device)"
    assert (tmp_path / "v.csv").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("outputs", "status", "rows"), [("", 141, None), ("--csv {}/v.csv", 0, 4)])
def test_behind_head_a_batch_ends_or_writes_its_outputs(tmp_path, write_video, outputs, status, rows):
    import numpy as np

    for number in range(4):
        write_video(tmp_path / f"{number}.mp4", np.zeros((3, 64, 64, 3), dtype=np.uint8))
    words = f"{tmp_path} --workers 1 {outputs.format(tmp_path)}"
    command = f'"{sys.executable}" detect.py {words} | true; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == status and "Traceback" not in done.stderr
    assert rows is None or len((tmp_path / "v.csv").read_text().splitlines()) == 1 + rows
