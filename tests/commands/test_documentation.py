"""The commands of the README, of the guide and of the page on comparing, as they stand there.

They run on a small demo corpus in place of the data.
"""

import re
import shutil
from pathlib import Path

import pytest

from lipinc.demo import corpus
from tests.processes import run_python

ROOT = Path(__file__).resolve().parents[2]
PAGES = "\n".join(
    (ROOT / name).read_text() for name in ("README.md", "docs/guide.md", "docs/datasets.md", "docs/compare.md")
)
QUICK = {
    r"^python train_pipeline": "--train.epochs 1 --train.clips-per-epoch 16 --train.loader-workers 0",
    r"^python train_pipeline(?!.*mouth_noise)": "--model.hidden 16",
    r"^lipinc crossval": "--split.folds 3",
    r"^lipinc crossval.* --seeds": "--seeds 0 1",
    r"^python preprocess": "--data.max-missing 0.5",
    r"--config (configs/)?mouth_noise": "--data.conditions half crf28 --data.forgeries 1",
    r"^lipinc evaluate(?!.*conditions)": "--data.conditions crf35",
}
"""Flags that are added to the commands that a pattern fits, so that they take seconds."""


def documented_commands() -> list[str]:
    """Every command of the pages, from code blocks and from inline code, once."""
    found = re.findall(r"^(?:\.venv/bin/)?((?:python3?|lipinc|torchrun) .+?)(?: +#.*)?$", PAGES, re.M)
    found += re.findall(r"`((?:python|lipinc|torchrun) [^`]+)`", PAGES)
    return list(dict.fromkeys(" ".join(command.split()) for command in found))


def words_of(command: str) -> list[str]:
    """The words after `python`, with the additional flags."""
    extra = " ".join(flags for pattern, flags in QUICK.items() if re.search(pattern, command))
    words = command.replace("lipinc ", "python -m lipinc ", 1) if command.startswith("lipinc") else command
    return [*words.split()[1:], *extra.split()]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """The repository's files in a folder of their own, with a small demo corpus as FakeAVCeleb and as own clips."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in (
        *("lipinc", "configs", "config.py", "benchmarks"),
        *("preprocess_extract_lips.py", "train_pipeline.py", "detect.py"),
    ):
        (folder / name).symlink_to(ROOT / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "FRAME_RANGE", (36, 40))  # a few windows each
        corpus.render(folder / "data" / "FakeAVCeleb_v1.2", identities=8)
    clips = folder / "data" / "clips"
    clips.mkdir()
    rows = ["file,label,person,source_repo"]
    for path in sorted((folder / "data" / "FakeAVCeleb_v1.2").rglob("*.mp4")):
        if "RealVideo-RealAudio" in path.parts or ("FakeVideo-FakeAudio" in path.parts and "wavtolip" in path.name):
            shutil.copy(path, clips / path.name)
            rows.append(
                f"{path.name},{'fake' if 'wavtolip' in path.name else 'real'},{path.parent.name},{path.parent.name}"
            )
    shutil.copy(path, folder / "VIDEO")
    (clips / "clips.csv").write_text("\n".join(rows) + "\n")
    (folder / "my_split.csv").write_text(
        "identity,split\n"
        + "".join(
            f"id9000{n},{split}\n"
            for n, split in zip(range(1, 9), ["train"] * 4 + ["val"] * 2 + ["test"] * 2, strict=True)
        )
    )
    return folder


def test_the_pages_print_the_commands_that_are_tested_here():
    """A command that is added to one of the pages must be given a place in one of the tests below."""
    assert set(documented_commands()) == set(IN_ORDER) | set(ELSEWHERE)


ELSEWHERE = (
    "python3 -m venv .venv",
    "python -m pip install .",
    "python -m pip install '.[serve]'",
    "python -m pip install '.[official]'",
    "lipinc serve",  # tests/serve/test_serve_command.py
    "python -m benchmarks.segments --clips data/clips --folds outputs/mouth_noise_folds",  # tests/benchmarks
    "lipinc compare outputs/mouth_noise Other=other_detector.csv --index data/clips/clips.csv --out outputs/compare",
    "python -m pip install '.[tensorboard]'",
    "python train_pipeline.py --config config.py --train.tensorboard True",  # tests/training/test_tensorboard.py
    "lipinc compare",  # tests/comparison
    "lipinc extract",  # names of commands, without their words
    "lipinc train",
    "lipinc detect",
    "lipinc evaluate",
    "lipinc crossval",
    "lipinc features VIDEO --out features.safetensors",  # tests/detection/test_features.py
    "lipinc splits",  # tests/datasets/test_split_list.py
    "lipinc release",
    "lipinc --help",  # tests/commands/test_command_line_entry.py
    "python preprocess_extract_lips.py --config config.py --scheduler tcp://host:8786",  # needs a cluster: tests/cache
    "python preprocess_extract_lips.py --config configs/own_clips.py --data.kind folder --data.root FOLDER "
    "--cache.path cache/folder",
    "python train_pipeline.py --config configs/own_clips.py --data.kind folder --cache.path cache/folder --name folder",
    "python detect.py VIDEO",  # tests/detection/test_detect_command.py
    "python detect.py FOLDER --report report/ --csv verdicts.csv --json verdicts.json",
    "torchrun --nproc_per_node=4 train_pipeline.py --config config.py --resume auto",  # tests/training/test_ddp.py
    "torchrun --nproc_per_node=2 train_pipeline.py --config config.py",
    "lipinc evaluate --config own_clips --data.conditions all",  # tests/evaluation/test_external.py
    # tests/evaluation/test_external.py, on two data sets of its own
    "lipinc evaluate --checkpoints mouth_noise lipinc_v2 --config avlips celebdf lavdf --data.conditions raw",
    "lipinc forge --root FOLDER --out data/forged",  # tests/commands/test_forge.py
    "lipinc convert WEIGHTS.hdf5 --out NAME.safetensors",  # tests/models/test_keras_weights.py
    "lipinc demo --out data/demo",  # tests/demo/test_corpus.py
    # Eight people drive each other, so that nothing would be left: tests/datasets has it on the real index.
    "python train_pipeline.py --config config.py --split.target-disjoint True --name target_disjoint",
)
EXTRACT = "python preprocess_extract_lips.py --config config.py"
TRAIN = "python train_pipeline.py --config config.py"
RESUME = f"{TRAIN} --resume auto"
TEST_ONLY = f"{TRAIN} --test-only outputs/fakeavceleb_lipinc/checkpoints/best.safetensors"
TRAIN_V2 = "python train_pipeline.py --config configs/lipinc_v2.py"
OWN_SPLIT = f"{TRAIN} --split.file my_split.csv --name my_split"
CROSSVAL = "lipinc crossval --config mouth_noise --split.folds 5 --leave-out each --seeds 0 1 2"
SOURCES_APART = "lipinc crossval --config mouth_noise --split.folds 8 --split.apart family --calibration out-of-fold"
EVALUATE = "lipinc evaluate --config own_clips --checkpoints mouth_noise"
REENCODE = "lipinc reencode --root data/clips --out data/clips_crf28 --crf 28"
RELEASE = "lipinc release outputs/mouth_noise/checkpoints/best.safetensors --out NAME.safetensors"
SHORTCUTS = "python -m benchmarks.shortcuts --config configs/own_clips.py"
VERIFY = f"{EXTRACT} --verify"
COMPARE = "lipinc compare outputs/fakeavceleb_lipinc outputs/fakeavceleb_lipinc_v2"
RUNS = "lipinc runs outputs"
RUNS_CSV = "lipinc runs outputs --sort auc --descending True --csv runs.csv"
DETECT = (
    "lipinc detect VIDEO",
    "python detect.py VIDEO --checkpoint outputs/fakeavceleb_lipinc/checkpoints/best.safetensors",
    "python detect.py VIDEO --overlay marked.mp4",
)
OWN_DATA = "--data.root data/clips --data.index data/clips/clips.csv"
IN_ORDER = (
    EXTRACT,
    TRAIN,
    RESUME,
    TEST_ONLY,
    TRAIN_V2,
    OWN_SPLIT,
    *DETECT,
    f"{EXTRACT} --data.fake-methods wav2lip fsgan-wav2lip faceswap-wav2lip",
    f"python preprocess_extract_lips.py --config configs/own_clips.py {OWN_DATA}",
    "python train_pipeline.py --config configs/own_clips.py --resume auto",
    "python train_pipeline.py --config configs/own_clips_v2.py --resume auto",
    f"python preprocess_extract_lips.py --config configs/mouth_noise.py {OWN_DATA}",
    CROSSVAL,
    SOURCES_APART,
    "python train_pipeline.py --config configs/mouth_noise.py",
    RELEASE,
    EVALUATE,
    REENCODE,
    SHORTCUTS,
    VERIFY,
    COMPARE,
    RUNS,
    RUNS_CSV,
)


@pytest.mark.slow
def test_the_documented_commands_run_in_order(checkout):
    last_line = {}
    for command in IN_ORDER:
        done = run_python(words_of(command), checkout, timeout=600, COLUMNS="120")
        assert done.returncode == 0, f"{command}\n{done.stderr[-3000:]}"
        assert "Traceback" not in done.stderr
        last_line[command] = done.stdout.strip().splitlines()[-1]
    assert re.match(r"\d+ videos: \d+ ok, 1 missing, ", last_line[EXTRACT])
    headline = re.compile(r"\(means nothing: .+\) (AUC [\d.]+  AP [\d.]+  accuracy [\d.]+)  \(outputs/")
    for command in (TRAIN, RESUME, TEST_ONLY, TRAIN_V2, OWN_SPLIT):
        assert headline.match(last_line[command]), command
    assert len({headline.match(last_line[command])[1] for command in (TRAIN, RESUME, TEST_ONLY)}) == 1
    for command in DETECT:
        assert last_line[command].startswith("1 video: ")
    assert last_line[CROSSVAL] == last_line[SOURCES_APART] == "written to outputs/mouth_noise_folds"
    assert last_line[EVALUATE] == "written to outputs/own_clips/evaluate/mouth_noise"
    assert re.fullmatch(r"NAME.safetensors: [\d,]+ kB", last_line[RELEASE])
    assert last_line[REENCODE].endswith("videos at CRF 28 in data/clips_crf28")
    assert re.match(r"logistic +[\d.]+ +[\d.]+$", last_line[SHORTCUTS])
    assert re.match(r"\(means nothing: .+fakeavceleb_lipinc AUC .+; written to outputs/compare", last_line[COMPARE])
    assert re.match(r"\d+ runs, \d+ settings that differ", last_line[RUNS])
    assert last_line[RUNS_CSV].endswith("; written to runs.csv")
    assert re.match(r"verified \d+ clip files: all checksums match", last_line[VERIFY])


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
    done = run_python(command.split(), checkout)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
