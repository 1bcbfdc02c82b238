"""The commands of the README, as it prints them, on a small demo corpus that stands where the README's data would."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lipinc.commands.runner import run_command
from lipinc.demo.corpus import render
from lipinc.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
FAST = {
    "train_pipeline.py": "--train.epochs 1 --train.clips-per-epoch 16 --model.hidden 16 --train.loader-workers 0",
    "lipinc.cross_validation": "--train.epochs 1 --train.clips-per-epoch 16 --model.hidden 16 --seeds 0 1 --split.folds 3",
    "preprocess_extract_lips.py": "--data.max-missing 0.5",
    "lipinc.demo": "--identities 8",
    "configs/robust": "--data.forgeries 1",
    "lipinc.commands.evaluate": "--data.conditions crf35",
}


def readme_commands() -> list[str]:
    """Every python command of the README, from code blocks and from inline code, once."""
    found = re.findall(r"^(?:\.venv/bin/)?python3? (.+?)(?:  #.*)?$", README, re.M)
    found += re.findall(r"`python ([^`]+)`", README)
    return list(dict.fromkeys(" ".join(command.split()) for command in found))


def run(command: str, folder: Path) -> subprocess.CompletedProcess:
    extra = " ".join(flags for name, flags in FAST.items() if name in command)
    return subprocess.run(
        [sys.executable, *command.split(), *extra.split()],
        cwd=folder,
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """The repository's files in a folder of their own, with a small demo corpus as FakeAVCeleb and as own clips."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in (
        "lipinc",
        "configs",
        "config.py",
        "weights",
        "benchmarks",
        "preprocess_extract_lips.py",
        "train_pipeline.py",
    ):
        (folder / name).symlink_to(ROOT / name)
    render(folder / "data" / "FakeAVCeleb_v1.2", identities=8)
    clips = folder / "data" / "clips"
    clips.mkdir()
    rows = ["file,label,person"]
    for path in sorted((folder / "data" / "FakeAVCeleb_v1.2").rglob("*.mp4")):
        if "RealVideo-RealAudio" in path.parts or "wavtolip" in path.name:
            shutil.copy(path, clips / path.name)
            rows.append(f"{path.name},{'fake' if 'wavtolip' in path.name else 'real'},{path.parent.name}")
    (clips / "clips.csv").write_text("\n".join(rows) + "\n")
    (folder / "my_split.csv").write_text(
        "identity,split\n"
        + "".join(
            f"id9000{n},{split}\n"
            for n, split in zip(range(1, 9), ["train"] * 4 + ["val"] * 2 + ["test"] * 2, strict=True)
        )
    )
    return folder


def test_the_readme_prints_the_commands_that_are_tested_here():
    """A command that is added to the README must be given a place in one of the tests below."""
    assert set(readme_commands()) == set(IN_ORDER) | set(ELSEWHERE)


ELSEWHERE = (
    "-m venv .venv",
    "-m pip install -r requirements.txt",
    "-m pytest",
    "-m lipinc.demo --out data/demo",  # these three: make demo
    "preprocess_extract_lips.py --config configs/demo.py",
    "train_pipeline.py --config configs/demo.py",
    "preprocess_extract_lips.py --config config.py --scheduler tcp://host:8786",  # needs a cluster: tests/data
    "preprocess_extract_lips.py --config configs/own_clips.py --data.kind folder --data.root FOLDER",  # tests/data
    "train_pipeline.py --config configs/own_clips.py --data.kind folder",
    "detect.py VIDEO",  # tests/test_detect_script.py
    "-m benchmarks.detection --video VIDEO",
    "detect.py FOLDER --report report/ --csv verdicts.csv --json verdicts.json",
    "-m lipinc.commands.evaluate --config configs/own_clips.py --data.conditions all",  # tests/evaluation/test_evaluate.py
    "-m lipinc.commands.forge --root FOLDER --out data/forged",  # tests/commands/test_forge.py
    "-m lipinc.models.keras_weights WEIGHTS.hdf5 --out NAME.safetensors",  # tests/models
    # Eight people drive each other, so that nothing would be left: tests/data has it on the real index.
    "train_pipeline.py --config config.py --split.target-disjoint True --name target_disjoint",
)
IN_ORDER = (
    "preprocess_extract_lips.py --config config.py",
    "train_pipeline.py --config config.py",
    "train_pipeline.py --config config.py --resume auto",
    "train_pipeline.py --config config.py --test-only outputs/fakeavceleb_lipinc/checkpoints/best.safetensors",
    "train_pipeline.py --config configs/lipinc_v2.py",
    "train_pipeline.py --config config.py --split.file my_split.csv --name my_split",
    "preprocess_extract_lips.py --config config.py --data.fake-methods wav2lip fsgan-wav2lip faceswap-wav2lip",
    "preprocess_extract_lips.py --config configs/own_clips.py --data.root data/clips --data.index data/clips/clips.csv",
    "train_pipeline.py --config configs/own_clips.py --resume auto",
    "train_pipeline.py --config configs/own_clips_v2.py --resume auto",
    "preprocess_extract_lips.py --config configs/robust.py --data.root data/clips --data.index data/clips/clips.csv",
    "-m lipinc.cross_validation --config configs/robust.py --split.folds 5 --leave-out each --seeds 0 1 2",
    "train_pipeline.py --config configs/robust.py",
    "-m lipinc.commands.evaluate --config configs/own_clips.py --checkpoints weights/robust.safetensors",
    "-m lipinc.commands.reencode --root data/clips --out data/clips_crf28 --crf 28",
    "-m benchmarks.shortcuts --config configs/own_clips.py",
    "preprocess_extract_lips.py --config config.py --verify",
)


@pytest.mark.slow
def test_the_commands_of_the_readme_run_in_order(checkout):
    last_line = {}
    for command in IN_ORDER:
        done = run(command, checkout)
        assert done.returncode == 0, f"{command}\n{done.stderr[-3000:]}"
        assert "Traceback" not in done.stderr
        last_line[command] = done.stdout.strip().splitlines()[-1]
    assert re.match(r"\d+ videos: \d+ ok, 1 missing, ", last_line[IN_ORDER[0]])
    for command in IN_ORDER[1:6]:
        assert re.match(r"AUC [\d.]+  AP [\d.]+  accuracy [\d.]+  \(outputs/", last_line[command]), command
    assert (
        last_line[IN_ORDER[1]].split("(")[0]
        == last_line[IN_ORDER[2]].split("(")[0]
        == last_line[IN_ORDER[3]].split("(")[0]
    )
    assert last_line[IN_ORDER[11]] == "written to outputs/robust_folds"
    assert last_line[IN_ORDER[13]] == "written to outputs/own_clips/evaluate/robust"
    assert last_line[IN_ORDER[14]].endswith("videos at CRF 28 in data/clips_crf28")
    assert re.match(r"logistic +[\d.]+ +[\d.]+$", last_line[IN_ORDER[15]])
    assert re.match(r"verified \d+ clip files: all checksums match", last_line[IN_ORDER[16]])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("preprocess_extract_lips.py --data.root nowhere", "nowhere/meta_data.csv"),
        ("preprocess_extract_lips.py --config nowhere.py", "no config file nowhere.py"),
        ("train_pipeline.py --cache.path nowhere", "no cache in nowhere"),
        ("train_pipeline.py --train.epochs 0", "train.epochs must be at least 1"),
        ("train_pipeline.py --train.epoch 3", "--train.epochs"),
    ],
)
def test_bad_input_is_one_clear_message_and_status_2(checkout, command, message):
    done = subprocess.run([sys.executable, *command.split()], cwd=checkout, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_scripts_end_as_promised(capsys):
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
