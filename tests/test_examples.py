"""examples/lip_kinematics.py: its features have the right values, and its folds, tables and mean are made."""

import csv
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from lipinc.config.loading import PACKAGE, load_module
from lipinc.demo.videos import talking_frames
from lipinc.errors import UserError

SCRIPT = PACKAGE.parent / "examples" / "lip_kinematics.py"
kinematic = load_module(SCRIPT)
FACE = np.random.default_rng(0).uniform(100, 300, size=(478, 2))
EYES = np.hypot(*(FACE[33] - FACE[263]))


def landmarks(frames: int, lips: np.ndarray | float = 0.0, head: bool = False) -> np.ndarray:
    """(T, 478, 2) px: the lips move down by `lips` (T,) px, and with `head` the head nods, turns and comes nearer."""
    points = np.repeat(FACE[None], frames, axis=0)
    points[:, kinematic.PERIORAL, 1] += np.broadcast_to(lips, frames)[:, None]
    if head:
        time = np.arange(frames)
        similarity = (1 + 0.01 * time) * np.exp(0.1j * np.sin(time))
        moved = (points[..., 0] + 1j * points[..., 1]) * similarity[:, None] + (20 * np.cos(time) + 5j * time)[:, None]
        points = np.stack([moved.real, moved.imag], axis=-1)
    return points.astype(np.float32)


@pytest.mark.parametrize("head", [False, True])
def test_kinematics_are_those_of_the_lips_in_the_face(head):
    """A sine of 2 Hz and 4 px: derivatives of a sine sampled at 25 Hz, whatever the head does."""
    frames, rate, hertz, amplitude = 51, 25.0, 2.0, 4.0
    time = np.arange(frames) / rate
    moved = landmarks(frames, amplitude * np.sin(2 * np.pi * hertz * time), head)
    found = kinematic.kinematics(np.arange(frames), time, moved).reshape(-1, 4, 64)
    assert len(found) == 1 + (51 - 25) // 5
    per_step = 2 * rate * np.sin(np.pi * hertz / rate)  # amplitude of the difference quotient of a sine
    expected = amplitude / EYES / np.sqrt(2) * per_step ** np.arange(4)
    np.testing.assert_allclose(np.exp(found).mean(axis=0), np.repeat(expected[:, None], 64, axis=1), rtol=0.06)


def test_windows_are_adjacent_pictures():
    pictures = np.array([*range(30), *range(40, 60)])
    assert len(kinematic.kinematics(pictures, pictures / 25, landmarks(50))) == 2
    assert kinematic.kinematics(np.arange(24), np.arange(24) / 25, landmarks(24)).shape == (0, 256)


def test_the_network_is_that_of_the_paper():
    assert sum(weight.numel() for weight in kinematic.network().parameters()) == 107_777


def write_csv(file: Path, rows: list[dict]) -> str:
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return str(file)


@pytest.fixture
def index(tmp_path, monkeypatch) -> list[str]:
    """Flags of 24 videos without files, of which 23 have landmarks, as after an interruption; fakes' lips tremble."""
    random, rows = np.random.default_rng(0), []
    for person in range(12):
        for label in ("real", "fake"):
            name = f"{label}{person}.mp4"
            rows.append({"file": name, "label": label, "person": person, "generator": "g" if label == "fake" else ""})
            trembling = np.cumsum(random.normal(0, 1, 60)) + 6 * random.normal(size=60) * (label == "fake")
            file = tmp_path / "outputs" / "lip_kinematics" / "landmarks_75" / f"{name}.npz"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(file, pictures=np.arange(60), times=np.arange(60) / 25, landmarks=landmarks(60, trembling))
    file.unlink()
    # In this process: starting another one takes seconds.
    monkeypatch.setattr(kinematic, "map_isolated", lambda call, items, _: nullcontext(map(call, items)))
    data = ["--data.root", str(tmp_path), "--data.index", write_csv(tmp_path / "clips.csv", rows)]
    return ["--config", "own_clips", *data, "--output", str(tmp_path / "outputs"), "--split.folds", "3"]


def test_it_cross_validates_and_takes_the_mean_with_another_detector(index, tmp_path, monkeypatch, capsys):
    random = np.random.default_rng(0)
    names = [f"{label}{person}.mp4" for person in range(12) for label in ("real", "fake")]
    scores = [{"key": name, "score": random.normal(), "condition": "raw"} for name in names]
    scores += [{"key": "real0.mp4@half", "score": 1e9, "condition": "half"}]
    beside = write_csv(tmp_path / "other.csv", scores)
    monkeypatch.setattr(sys, "argv", ["lip_kinematics.py", *index, "--beside", beside])
    kinematic.main()
    shown = capsys.readouterr().out
    assert "left out: " in shown and "fake11.mp4: " in shown
    mine, theirs, mean = (float(part.split()[0]) for part in shown.split("\nAUC ")[1:])
    assert mine > 0.95 and mine >= mean > theirs
    for name in ("predictions.csv", "mean.csv"):
        table = list(csv.DictReader((tmp_path / "outputs" / "lip_kinematics" / name).open()))
        assert len(table) == 23 and list(table[0]) == ["path", "score"]


def test_landmarks_of_fewer_pictures_are_not_taken_for_those_of_more(index, monkeypatch):
    def read(records, root, folder, pictures):
        assert pictures == 150 and not folder.exists()
        raise UserError("reads anew")

    monkeypatch.setattr(kinematic, "read_windows", read)
    monkeypatch.setattr(sys, "argv", ["lip_kinematics.py", *index, "--pictures", "150"])
    with pytest.raises(UserError, match="reads anew"):
        kinematic.main()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([{"key": "elsewhere.mp4", "score": 1}], "has no video of this data set"),
        ([{"key": "real0.mp4", "score": "high"}], "a score is not a number"),
        ([{"file": "real0.mp4", "score": 1}], "key"),
    ],
)
def test_another_table_is_refused(index, tmp_path, monkeypatch, table, message):
    monkeypatch.setattr(kinematic, "read_windows", lambda *_: pytest.fail("it is read before the work"))
    monkeypatch.setattr(sys, "argv", ["x", *index, "--beside", write_csv(tmp_path / "other.csv", table)])
    with pytest.raises(UserError, match=message):
        kinematic.main()


@pytest.mark.slow
def test_the_script_reads_videos_and_continues(tmp_path, write_video):
    for person in range(4):
        frames = list(talking_frames(number=person % 2, frames=32))
        for label in ("real", "fake"):
            folder = tmp_path / "videos" / label / f"ann{person}"
            folder.mkdir(parents=True)
            write_video(folder / "a.mp4", frames)
    (tmp_path / "videos" / "real" / "ann0" / "b.mp4").write_text("no video")
    words = ["--config", "own_clips", "--data.kind", "folder", "--data.root", "videos", "--split.folds", "4"]
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "left out: videos/real/ann0/b.mp4: " in done.stdout and "kinematics: 8 videos" in done.stdout
    assert "of 1 video" in done.stderr  # the other ones were read by the first run
