import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from lipinc.serve.folder import LOCK, PREFIX, private_folder

ROOT = Path(__file__).resolve().parents[2]
HOLD = """\
import sys, time
from lipinc.serve.folder import private_folder
with private_folder() as folder:
    (folder / "upload.mp4").write_text("video")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_server_leaves_is_deleted_by_the_next_one(tmp_path, monkeypatch):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    holder = subprocess.Popen([sys.executable, "-c", HOLD], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        folder = Path(holder.stdout.readline().strip())
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with private_folder():
            assert (folder / "upload.mp4").exists()  # its server runs
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert (folder / "upload.mp4").exists()
        with private_folder() as own:
            assert [*tmp_path.iterdir()] == [own]
    finally:
        holder.kill()
        holder.communicate()
    assert [*tmp_path.iterdir()] == []


def test_what_only_looks_like_such_a_folder_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"{PREFIX}file").write_text("a file")
    (tmp_path / f"{PREFIX}folder").mkdir()  # without a lock: it may be that of a server that is starting
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / LOCK).write_text("")
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "other")
    before = sorted(tmp_path.rglob("*"))
    with private_folder():
        pass
    assert sorted(tmp_path.rglob("*")) == before
