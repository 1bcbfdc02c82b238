"""The data set of pseudo-fakes can be loaded and continued, and wrong folders are an error."""

import csv
from pathlib import Path

import cv2
import pytest

from lipinc.commands import forge
from lipinc.datasets import FakeAVCeleb
from lipinc.datasets.dataset import load_videos
from lipinc.datasets.records import Label
from lipinc.demo.videos import render_video, talking_frames
from lipinc.errors import UserError
from lipinc.video.reader import read_frames


@pytest.fixture(scope="module")
def reals(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("reals")
    render_video(root / "ann" / "day 1" / "talk.mp4", number=0, frames=12)
    render_video(root / "ann" / "talk.mp4", number=0, frames=12)
    render_video(root / "bob.mp4", number=1, frames=12)
    (root / "text.mp4").write_text("no video")
    return root


def run(root: Path, out: Path, *words: str) -> None:
    forge.main(["--root", str(root), "--out", str(out), "--workers", "1", *words], "lipinc forge")


@pytest.mark.slow
def test_the_catalogue_loads_the_data_set_and_a_second_run_keeps_it(reals, tmp_path, capsys) -> None:
    out = tmp_path / "forged"
    run(reals, out, "--forgeries", "2")
    assert capsys.readouterr().out.splitlines() == [
        "skipped: text.mp4: unreadable: not a video that FFmpeg can open",
        f"3 real videos and 6 pseudo-fakes of them in {out}",
    ]
    records = load_videos(FakeAVCeleb(root=str(out), fake_methods=("pseudo",)))
    assert [(r.identity, r.label) for r in records] == [
        (identity, label) for identity in ("ann", "ann", "bob") for label in (Label.REAL, Label.FAKE, Label.FAKE)
    ]
    assert all((out / record.path).is_file() for record in records)
    assert len({record.path for record in records}) == 9
    for record in records:
        assert len(list(read_frames(out / record.path))) == 12
    with (out / "recipes.csv").open(newline="") as file:
        recipes = list(csv.DictReader(file))
    assert {row["path"] for row in recipes} == {r.path for r in records if r.label is Label.FAKE}
    assert all(row["mask"] in ("half", "mouth", "lower_face", "face", "picture") for row in recipes)

    before = {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (out / "FakeVideo-RealAudio").rglob("*.mp4")
    }
    gone = next(iter(before))
    gone.unlink()
    index = (out / "meta_data.csv").read_bytes(), (out / "recipes.csv").read_bytes()
    run(reals, out, "--forgeries", "2")
    assert index == ((out / "meta_data.csv").read_bytes(), (out / "recipes.csv").read_bytes())
    for path, (changed, content) in before.items():
        assert path.read_bytes() == content
        assert path == gone or path.stat().st_mtime_ns == changed
    assert not list(out.rglob("*.tmp"))


def test_wrong_folders_are_an_error(reals, tmp_path) -> None:
    with pytest.raises(UserError, match="contains no videos"):
        run(tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match="lies in"):
        run(reals, reals / "out")
    with pytest.raises(UserError, match="at least 1"):
        run(reals, tmp_path / "out", "--forgeries", "0")
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/b/c.mp4", "a/b_c.mp4"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match="the same name"):
        run(tmp_path / ".", tmp_path.parent / "out")


@pytest.mark.slow
def test_a_folder_of_frames_is_copied_and_forged(tmp_path) -> None:
    frames = tmp_path / "in" / "ann" / "talk"
    frames.mkdir(parents=True)
    for index, image in enumerate(talking_frames(number=0, frames=10)):
        cv2.imwrite(str(frames / f"{index}.png"), image)
    run(tmp_path / "in", tmp_path / "out", "--forgeries", "1")
    real, fake = load_videos(FakeAVCeleb(root=str(tmp_path / "out"), fake_methods=("pseudo",)))
    assert len(list(read_frames(tmp_path / "out" / fake.path))) == 10
    copied = [path.read_bytes() for path in sorted((tmp_path / "out" / real.path).iterdir())]
    assert copied == [path.read_bytes() for path in sorted(frames.iterdir())]
