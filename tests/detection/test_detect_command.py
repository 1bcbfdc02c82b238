"""detect.py as it is called: what it answers, what it writes, and how it ends."""

import csv
import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from lipinc.commands import detect
from lipinc.commands.runner import run_command
from lipinc.config import Config, ModelConfig
from lipinc.detection import overlay, page
from lipinc.detection.batch import classify_video
from lipinc.detection.output import COLUMNS
from lipinc.detection.words import NO_PROOF
from lipinc.models.calibration import Calibration
from lipinc.models.registry import build_model
from tests.processes import heed_interrupts

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = [
    "=1+1.mp4",
    "\t@SUM(1).mp4",
    "a[1].mp4",
    'it\'s "quoted", twice.mp4',
    "line\nbreak.mp4",
    "return\rhere.mp4",
    "<script>alert(1)<x.mp4",
    "口型 é 🎥.mp4",
    "caf\udce9.mp4",
    "esc\x1b[31m.mp4",
]


@pytest.fixture
def run_apart(capsys, checkpoint):
    """run_apart(words) -> (exit status, what it printed, what it printed as errors)."""

    def call(*words: str | Path) -> tuple[int, str, str]:
        named = () if "--checkpoint" in words else ("--checkpoint", checkpoint)
        with pytest.raises(SystemExit) as ended:
            run_command(lambda: detect.main([str(word) for word in (*words, *named)], "python detect.py"))
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return ended.value.code, printed.out, printed.err

    return call


@pytest.fixture
def run(run_apart, monkeypatch):
    """The same, but the videos are judged in this process, which has torch loaded and the patches of the test."""
    monkeypatch.setattr(
        detect, "classify_videos", lambda files, settings, *_: (classify_video(settings, file) for file in files)
    )
    return run_apart


@pytest.fixture
def text(tmp_path) -> Path:
    path = tmp_path / "text.mp4"
    path.write_text("no video")
    return path


@pytest.fixture(scope="module")
def short(tmp_path_factory, write_video, talking) -> Path:
    """Three frames: read in no time and refused for what it shows."""
    return write_video(tmp_path_factory.mktemp("short") / "short.mp4", talking[:3])


# Exit status


def test_a_verdict_is_one_line_and_status_0(run_apart, talk) -> None:
    status, out, err = run_apart(talk)
    answer, errors, worth, total = out.splitlines()
    assert status == 0 and err == ""
    assert answer.startswith(("lip-sync found", "no trace of lip-sync found", "uncertain"))
    assert answer.endswith(str(talk)) and "windows, mouth in 100% of frames" in answer
    assert "called 5.0% of 40 real ones lip-synced, missed 10.0% of 30 lip-synced ones" in errors
    assert worth == NO_PROOF
    assert total.startswith("1 video: ")


def test_an_honest_refusal_is_status_0(run, short) -> None:
    status, out, _ = run(short)
    assert status == 0
    assert out.splitlines() == [
        f"no verdict                  -     too_short: 3 frames, 31 are needed  {short}",
        "1 video: 0 lip-sync found, 0 uncertain, 0 no trace of lip-sync found, 1 no verdict",
    ]


@pytest.mark.parametrize("name", ["text.mp4", "nowhere.mp4"])
def test_a_file_that_cannot_be_read_is_status_1(run, text, name) -> None:
    status, out, _ = run(text.with_name(name))
    assert status == 1 and out.startswith("no verdict")


@pytest.mark.slow
def test_the_whole_script_in_a_process_of_its_own(tmp_path, talk, text, checkpoint) -> None:
    command = [sys.executable, ROOT / "detect.py", talk, text, "--checkpoint", checkpoint, "--workers", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 1, done.stderr
    assert len(done.stdout.splitlines()) == 3 and "unreadable" in done.stdout
    assert "Traceback" not in done.stderr and "INFO" not in done.stderr  # FFmpeg and LiteRT are silent


def test_start_up_loads_nothing_that_only_training_needs() -> None:
    program = "import lipinc.detection.detector, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    ).stdout.split()
    assert "torch" in loaded
    assert not {"torchvision", "scipy.optimize", "matplotlib", "dask", "ai_edge_litert", "mediapipe"} & set(loaded)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--face", "9"], "face must be largest, all or a rank"),
        (["--face", "x"], "face must be largest, all or a rank"),
        (["--checkpoint", "{folder}/nowhere.safetensors"], "no checkpoint"),
        (["--checkpoint", "{folder}/text.mp4"], "not a .safetensors checkpoint"),
        (["--checkpoint", "{folder}/pickle.pt"], "pickled .pt/.pth files are not supported"),
        (["--checkpoint", "{folder}/torch.pt"], "pickled .pt/.pth files are not supported"),
        (["--checkpoint", "{folder}"], "no checkpoint"),
        (["--workers", "-1"], "--workers must be 0 or more"),
        (["--time-limit", "0"], "--time-limit must be more than 0"),
        (["--csv", "{folder}/no/such/folder/v.csv"], "there is no folder"),
        (["--json", "{folder}"], "cannot be written"),
        (["--report", "{folder}/text.mp4"], "cannot be written"),
        (["{folder}/empty folder"], "contains no videos"),
        (["{folder}/*.mkv"], "no file matches the pattern"),
        (["https://example.org/watch?v=1"], "is an address, not a file; download the video"),
        (["RTSP://camera/*.mp4"], "is an address, not a file; download the video"),
        (["--resume"], "--resume needs the outputs of the interrupted batch"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_status_2(run, tmp_path, text, words, message) -> None:
    (tmp_path / "empty folder").mkdir()
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps({"weights": [1.0]}))
    torch.save(build_model(Config(model=ModelConfig("lipinc_v2", hidden=16))).state_dict(), tmp_path / "torch.pt")
    status, out, err = run(text, *(word.format(folder=tmp_path) for word in words))
    assert status == 2 and out == ""
    assert message in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "tpu"], "invalid choice 'tpu' for argument '--device'"),
        (["--no-such-flag"], "there is no flag --no-such-flag: --help lists all flags"),
    ],
)
def test_a_wrong_flag_is_named_and_status_2(run, text, words, message) -> None:
    status, out, err = run(text, *words)
    assert status == 2 and out == ""
    assert message in err


def test_a_cuda_device_that_is_not_there_is_status_2(run, text) -> None:
    if torch.cuda.is_available():
        pytest.skip("has one")
    status, _, err = run(text, "--device", "cuda")
    assert status == 2 and "torch sees no CUDA device" in err


def test_a_wrong_checkpoint_leaves_earlier_verdicts_alone(run, tmp_path, text) -> None:
    kept = tmp_path / "verdicts.json"
    kept.write_text("[1]")
    assert run(text, "--json", kept, "--checkpoint", text)[0] == 2
    assert kept.read_text() == "[1]"


# What it writes


def test_a_batch_of_hostile_names_has_its_lines_rows_and_pages(run, tmp_path, talk, short) -> None:
    folder, report = tmp_path / "videos", tmp_path / "report"
    folder.mkdir()
    for name in HOSTILE:
        (folder / name).write_bytes((talk if name == "a[1].mp4" else short).read_bytes())
    table, values = tmp_path / "v.csv", tmp_path / "v.json"
    status, out, _ = run(folder, "--workers", "1", "--csv", table, "--json", values, "--report", report)
    assert status == 1  # for the name that is not UTF-8
    names = [str(folder / name) for name in sorted(HOSTILE)]

    lines = out.splitlines()
    assert len(lines) == len(HOSTILE) + 2 and all(line.isprintable() for line in lines)
    assert lines[-2] == f"report: {report / 'index.html'}" and lines[-1].startswith("10 videos: ")

    assert [one["file"] for one in json.loads(values.read_text())] == names
    with open(table, newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == names
    assert tuple(rows[0]) == COLUMNS
    judged = {row["file"]: row for row in rows}[str(folder / "a[1].mp4")]
    assert 0 <= float(judged["probability"]) <= 1 and int(judged["windows"]) >= 5 and float(judged["coverage"]) == 1
    assert judged["reason"] == "" and float(judged["threshold"]) == pytest.approx(0.5)
    reasons = [row["reason"] for row in rows if row["probability"] == ""]
    assert sorted(reasons) == ["too_short"] * (len(HOSTILE) - 2) + ["unreadable"]

    pages = [path for path in report.iterdir() if path.name != "index.html"]
    assert len(pages) == len(HOSTILE)
    index = (report / "index.html").read_text(encoding="utf-8")
    assert all(path.name in index for path in pages) and "<script>alert" not in index


def test_a_cell_is_never_a_formula(run, tmp_path, short, monkeypatch) -> None:
    (tmp_path / "=1+1.mp4").write_bytes(short.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert run("=1+1.mp4", "--csv", "v.csv")[0] == 0
    assert (tmp_path / "v.csv").read_text().splitlines()[1].startswith("'=1+1.mp4,")


def test_json_tells_each_window(run, tmp_path, talk) -> None:
    assert run(talk, "--json", tmp_path / "v.json")[0] == 0
    (verdict,) = json.loads((tmp_path / "v.json").read_text())
    (face,) = verdict["faces"]
    assert len(face["scores"]) == verdict["windows"] == face["windows"]
    assert all(len(window["frame_ids"]) == 8 and window["start_s"] < window["end_s"] for window in face["scores"])


def test_literal_names_patterns_and_folders_may_be_mixed(run, tmp_path, short, monkeypatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in (folder / "b.mp4", tmp_path / "a[1].mp4", tmp_path / "a1.mp4", tmp_path / "c.mkv"):
        path.write_bytes(short.read_bytes())
    monkeypatch.chdir(tmp_path)
    status, out, _ = run("a[1].mp4", "*.mkv", "folder", "nowhere.mp4", "--workers", "1")
    assert [line.split("  ")[-1] for line in out.splitlines()[:-1]] == [
        "a[1].mp4",
        "c.mkv",
        "folder/b.mp4",
        "nowhere.mp4",
    ]
    assert status == 1


def test_what_is_no_file_is_waited_for_by_nobody(run, tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    (tmp_path / "itself.mp4").symlink_to(tmp_path / "itself.mp4")
    (tmp_path / "folder").symlink_to(tmp_path)
    status, out, _ = run(tmp_path, "--csv", tmp_path / "v.csv")
    assert status == 1 and "3 videos: 0 lip-sync found, 0 uncertain, 0 no trace of lip-sync found, 3 no verdict" in out
    rows = list(csv.DictReader((tmp_path / "v.csv").read_text().splitlines()))
    assert {Path(row["file"]).name: row["detail"] for row in rows} == {
        "pipe.mp4": "not a regular file",
        "device.mp4": "not a regular file",
        "itself.mp4": "Too many levels of symbolic links",
    }


@pytest.mark.slow
def test_a_file_that_takes_too_long_is_given_up_and_the_others_go_on(run_apart, tmp_path, short) -> None:
    endless = tmp_path / "endless.mp4"
    with endless.open("wb") as file:
        file.truncate(1 << 40)  # bytes of nothing, whose hash takes an hour
    status, out, _ = run_apart(endless, short, "--workers", "1", "--time-limit", "20")
    assert status == 1  # for what took too long: a video that is too short was read
    verdicts = sorted(line.split()[3] for line in out.splitlines()[:-1])
    assert verdicts == ["time_limit:", "too_short:"]
    assert f"time_limit: not finished after 20 s  {endless}" in out


@pytest.mark.slow
def test_rows_are_in_the_order_of_the_input_with_any_number_of_workers(run_apart, tmp_path, talk, text, short) -> None:
    table = tmp_path / "v.csv"
    words = (talk, text, short, tmp_path / "nowhere.mp4")  # the first takes longest
    assert run_apart(*words, "--workers", "2", "--csv", table)[0] == 1
    two = table.read_text()
    assert [row["file"] for row in csv.DictReader(two.splitlines())] == [str(word) for word in words]
    run_apart(*words, "--workers", "1", "--csv", table)
    assert table.read_text() == two


def test_faces_are_listed_below_their_video(run, tmp_path, write_video, talking) -> None:
    path = write_video(tmp_path / "v.mp4", [np.hstack([frame, frame[:, ::-1]]) for frame in talking])
    status, out, _ = run(path, "--face", "all")
    lines = out.splitlines()
    assert status == 0 and len(lines) == 6
    assert lines[1].endswith("face 0") and lines[2].endswith("face 1")


def test_summary_counts_the_decisions(run, tmp_path, talk, make_checkpoint) -> None:
    for score, answer in (
        (2.0, "1 lip-sync found, 0 uncertain, 0 no trace of lip-sync found"),
        (0.0, "0 lip-sync found, 1 uncertain, 0 no trace of lip-sync found"),
        (-1.0, "0 lip-sync found, 0 uncertain, 1 no trace of lip-sync found"),
    ):
        checkpoint = make_checkpoint(Calibration(0.5, 1.0, (-1.0, 1.0)), score=score)
        _, out, _ = run(talk, "--checkpoint", checkpoint)
        assert out.splitlines()[-1] == f"1 video: {answer}, 0 no verdict"


# An interrupted batch


def test_an_interrupted_batch_keeps_its_verdicts_and_is_not_overwritten(
    run_apart, tmp_path, text, short, monkeypatch
) -> None:
    def broken_off(files, settings, *_):
        yield classify_video(settings, files[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(detect, "classify_videos", broken_off)
    table, journal = tmp_path / "v.csv", tmp_path / "v.csv.journal"
    words = (short, text, "--csv", table, "--json", tmp_path / "v.json")
    assert run_apart(*words)[0] == 130
    assert len(table.read_text().splitlines()) == 2
    kept = journal.read_bytes()
    status, _, err = run_apart(*words)
    assert status == 2 and f"{journal} holds 1 verdicts of an interrupted batch" in err
    assert journal.read_bytes() == kept

    monkeypatch.setattr(
        detect, "classify_videos", lambda files, settings, *_: (classify_video(settings, file) for file in files)
    )
    monkeypatch.setattr(detect.IsolatedProcess, "call", lambda _, function, *arguments: function(*arguments))
    status, out, err = run_apart(*words, "--resume")
    assert status == 1 and "1 of 2 verdicts are kept" in err
    assert [line.split()[3] for line in out.splitlines()[:-1]] == ["unreadable:"]
    assert [row["file"] for row in csv.DictReader(table.read_text().splitlines())] == [str(short), str(text)]
    assert len(json.loads((tmp_path / "v.json").read_text())) == 2 and not journal.exists()


@pytest.mark.slow
def test_sigterm_ends_a_batch_and_resume_continues_it(tmp_path, short, checkpoint) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "a.mp4").write_bytes(short.read_bytes())
    with (videos / "b.mp4").open("wb") as endless:
        endless.truncate(1 << 40)  # its hash takes an hour
    command = [sys.executable, ROOT / "detect.py", videos, "--checkpoint", checkpoint, "--workers", "1"]
    command += ["--csv", tmp_path / "v.csv"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "too_short" in running.stdout.readline()
    running.terminate()
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 143 and "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("ended by SIGTERM; the same command continues")
    with (tmp_path / "v.csv.journal").open("a") as journal:
        journal.write('{"stamp": [1, ')  # as if the machine had lost its power

    (videos / "b.mp4").write_text("no video")
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "1 of 2 verdicts are kept" in done.stderr
    rows = list(csv.DictReader((tmp_path / "v.csv").read_text().splitlines()))
    assert [row["reason"] for row in rows] == ["too_short", "unreadable"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.csv", "videos"]


# A disk that is full


def test_a_page_that_cannot_be_written_costs_neither_its_verdict_nor_its_row(run, tmp_path, text, short) -> None:
    report, table = tmp_path / "report", tmp_path / "v.csv"
    (report / page.page_name(str(text))).mkdir(parents=True)  # where its page would be
    status, out, err = run(text, short, "--workers", "1", "--report", report, "--csv", table)
    assert status == 1
    (error,) = [line for line in err.splitlines() if line.startswith("error")]
    assert "text-mp4" in error and "Is a directory" in error
    assert len(list(csv.DictReader(table.read_text().splitlines()))) == 2
    index = (report / "index.html").read_text()
    assert "text.mp4 (its page could not be written)" in index and str(text) not in index
    assert page.page_name(str(text)) not in index and f'href="{page.page_name(str(short))}"' in index


def test_a_file_that_cannot_be_written_costs_neither_the_verdicts_nor_the_other_files(
    run, tmp_path, text, short, monkeypatch
) -> None:
    write = detect.write_atomically

    def full(file, content):
        if file.suffix == ".json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # of a write, Python knows no file name
        write(file, content)

    monkeypatch.setattr(detect, "write_atomically", full)
    table, values = tmp_path / "v.csv", tmp_path / "v.json"
    status, out, err = run(short, "--json", values, "--csv", table)
    assert status == 1
    assert "1 no verdict" in out and table.is_file() and not values.exists()
    assert f"error: {values} cannot be written (No space left on device)" in err


def test_an_index_that_cannot_be_written_costs_no_verdict(run, tmp_path, short, monkeypatch) -> None:
    write = page.write_atomically

    def full(file, content):
        if file.name == "index.html":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, content)

    monkeypatch.setattr(page, "write_atomically", full)
    status, out, err = run(short, "--report", tmp_path / "report")
    assert status == 1 and "1 no verdict" in out
    assert "index.html cannot be written (No space left on device)" in err


# An overlay


@pytest.mark.slow
def test_an_overlay_of_a_video(run_apart, tmp_path, talk) -> None:
    target, table = tmp_path / "o.mp4", tmp_path / "v.csv"
    target.write_text("is replaced")
    status, out, err = run_apart(talk, "--overlay", target, "--csv", table)
    assert status == 0 and f"overlay: {target}" in out.splitlines()
    with av.open(str(target)) as container:
        assert container.streams.video[0].frames == 40
    assert len(table.read_text().splitlines()) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.mp4", "v.csv"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_overlay_leaves_nothing_but_the_verdict(
    tmp_path, write_video, talking, checkpoint, number
) -> None:
    large = [cv2.resize(frame, (640, 640)) for frame in talking]
    video = write_video(tmp_path / "v.mp4", large, preset="ultrafast")
    folder = tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, ROOT / "detect.py", video, "--checkpoint", checkpoint, "--overlay", folder / "o.mp4"]
    command += ["--csv", folder / "v.csv"]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    while not (folder / "o.mp4.tmp").exists():
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(number)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 128 + number and "Traceback" not in errors
    assert [path.name for path in folder.iterdir()] == ["v.csv"]


def test_without_a_verdict_there_is_no_overlay(run, tmp_path, short) -> None:
    target = tmp_path / "o.mp4"
    status, out, _ = run(short, "--overlay", target)
    assert status == 0 and not target.exists()
    assert out.splitlines()[1] == f"overlay: not written, because there is no verdict: {target}"


def test_an_overlay_that_cannot_be_written_is_status_1_and_keeps_the_verdict(run, tmp_path, talk, monkeypatch) -> None:
    def full_disk(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(overlay, "write_overlay", full_disk)
    table = tmp_path / "v.csv"
    status, out, err = run(talk, "--overlay", tmp_path / "o.mp4", "--csv", table)
    assert status == 1 and err == f"error: {tmp_path / 'o.mp4'} cannot be written (No space left on device)\n"
    assert len(table.read_text().splitlines()) == 2


def test_an_overlay_that_makes_no_sense_is_status_2_before_anything_is_read(run_apart, tmp_path, talk, short) -> None:
    target = tmp_path / "o.mp4"
    own = tmp_path / "own.mp4"
    own.write_bytes(talk.read_bytes())
    for words, reason in (
        ((talk, short, "--overlay", target), "for a single video, not for 2"),
        ((own, "--overlay", own), "is read to make the overlay"),
        ((talk, "--overlay", target, "--checkpoint", own, "--overlay", own), "is read to make the overlay"),
        ((talk, "--overlay", tmp_path / "nowhere" / "o.mp4"), "there is no folder"),
        ((talk, "--overlay", target, "--json", target), "two outputs"),
        ((talk, "--overlay", target, "--resume"), "--resume continues a batch"),
    ):
        status, out, err = run_apart(*words)
        assert (status, out, len(err.splitlines())) == (2, "", 1) and reason in err
    assert own.read_bytes() == talk.read_bytes() and not target.exists()
