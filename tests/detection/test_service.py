"""lipinc.detect in programs of every kind: threads, forks, closed streams, damaged and relative files."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lipinc
from lipinc.detection import service
from lipinc.errors import UserError
from lipinc.video.rejection import Reason

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_threads_forks_and_closed_streams(tmp_path, talk, checkpoint):
    """One program that does all that a web service may do; it loads no torch, and its streams stay its own."""
    program = tmp_path / "program.py"
    program.write_text(
        "import lipinc, multiprocessing, os, sys, threading\n"
        f"def judge(_): return lipinc.detect({str(talk)!r}, checkpoint={str(checkpoint)!r}).probability\n"
        "found = [judge(0)]\n"
        "threads = [threading.Thread(target=lambda: found.append(judge(0))) for _ in range(3)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    judge(0)\n"
        "    sys.exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "with multiprocessing.get_context('fork').Pool(1) as pool: found += pool.map(judge, [0])\n"  # a daemon process
        "found.append(judge(0))\n"
        "assert not {'torch', 'ai_edge_litert', 'mediapipe'} & set(sys.modules)\n"
        "print('still here', file=sys.stderr)\n"
        f"open({str(tmp_path / 'found')!r}, 'w').write(repr(found))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for closed, errors in (("", "still here\n"), ("<&- >&- 2>&-", "")):
        done = subprocess.run(
            ["bash", "-c", f'"{sys.executable}" {program} {closed}'],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert (done.returncode, done.stderr) == (0, errors)
        found = eval((tmp_path / "found").read_text())
        assert len(found) == 6 and len(set(found)) == 1 and found[0] is not None


@pytest.fixture(scope="module", autouse=True)
def end_processes():
    yield
    for process in service._pool._idle:
        process.close()
    service._pool = service._Pool()


def test_paths_are_those_of_the_moment_and_come_back_as_given(tmp_path, checkpoint, monkeypatch):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.mp4").write_text("no video")
        monkeypatch.chdir(tmp_path / folder)
        verdict = lipinc.detect(f"{folder}.mp4", checkpoint=checkpoint)
        assert (verdict.file, verdict.reason) == (f"{folder}.mp4", Reason.UNREADABLE)
    assert len(service._pool._idle) == 1  # one subprocess for both


def test_a_video_that_takes_too_long_gets_no_verdict(tmp_path, checkpoint):
    with (tmp_path / "endless.mp4").open("wb") as file:
        file.truncate(1 << 40)  # its hash takes an hour
    verdict = lipinc.detect(tmp_path / "endless.mp4", checkpoint=checkpoint, time_limit=1)
    assert verdict.reason is Reason.TIME_LIMIT and verdict.file == str(tmp_path / "endless.mp4")


def test_a_wrong_checkpoint_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no checkpoint nowhere"):
        lipinc.detect(tmp_path / "a.mp4", checkpoint="nowhere")


def test_a_face_may_be_a_number_and_must_be_one(talk, checkpoint):
    by_number = lipinc.detect(talk, checkpoint=checkpoint, face=0)
    assert by_number.probability is not None and [face.rank for face in by_number.faces] == [0]
    with pytest.raises(UserError, match="face must be largest, all or a rank"):
        lipinc.detect(talk, checkpoint=checkpoint, face=9)


def test_boxes_of_the_mouth_are_included_on_request(talk, checkpoint):
    assert lipinc.detect(talk, checkpoint=checkpoint).faces[0].track is None
    track = lipinc.detect(talk, checkpoint=checkpoint, track=True).faces[0].track
    assert track.turned == 0 and track.frame_ids.tolist() == list(range(40))
    assert track.times == pytest.approx(track.frame_ids / 25)
    left, top, right, bottom = track.boxes.T
    assert ((left >= 0) & (left < right) & (right <= 224) & (top > 112) & (top < bottom) & (bottom <= 224)).all()


@pytest.mark.parametrize(("path", "file"), [(None, "a.safetensors"), ("a.mp4", None), (7, "a.safetensors")])
def test_paths_must_be_paths(path, file):
    with pytest.raises(UserError, match="must be paths"):
        lipinc.detect(path, file)


@pytest.mark.slow
def test_the_example_of_the_guide_runs(tmp_path, talk, checkpoint, monkeypatch, capsys):
    guide = (ROOT / "docs" / "guide.md").read_text()
    (example,) = re.findall(r"```python\n(import lipinc\n.*?)```", guide, re.DOTALL)
    (tmp_path / "video.mp4").write_bytes(talk.read_bytes())
    monkeypatch.chdir(tmp_path)
    detect = service.detect
    monkeypatch.setattr(lipinc, "detect", lambda path, **options: detect(path, checkpoint, **options), raising=False)
    exec(example, {})
    printed = capsys.readouterr().out
    assert "0 " in printed and "Quality(face_height=" in printed and "called 5.0% of 40 real videos" in printed
