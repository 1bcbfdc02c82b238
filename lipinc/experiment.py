"""The main job on one cache: split, train, judge the test split, write everything into the run folder."""

from collections.abc import Sequence
from pathlib import Path

from lipinc.cache.selection import select
from lipinc.cache.store import Cache, ManifestRow
from lipinc.config import Config, to_json
from lipinc.datasets.splits import SPLITS, summary, write_splits
from lipinc.ddp import is_main, main_first
from lipinc.evaluation import plots
from lipinc.evaluation.results import TestResult, report, test
from lipinc.files.atomic import write_atomically
from lipinc.models.checkpoint import Checkpoint, load_checkpoint
from lipinc.training.loop import best_epoch, choose_device, train
from lipinc.training.run_folder import Run

HEADLINE = (("AUC", "auc"), ("AP", "ap"), ("accuracy", "accuracy"))


def run_experiment(config: Config, *, resume: bool = False) -> TestResult | None:
    """Train, and judge the best checkpoint on the test split; None where `split.test` is 0. Raises UserError."""
    device = choose_device(config.train)
    tested = bool(config.split.test or config.split.folds or config.split.file)
    cache, manifest, splits, rows = _select(config, needed=SPLITS if tested else ("train", "validation"))
    run = Run.open(config, resume=resume)
    if is_main():
        write_splits(run.folder / "splits.csv", [row.record for row in manifest], splits)
    history = train(config, cache, rows, run)
    best = best_epoch(history, config.train.select)
    if is_main():
        (run.folder / "plots").mkdir(exist_ok=True)
        curves = run.folder / "plots" / "learning_curves.png"
        plots.plot_learning_curves(history, best, curves, config.name, config.data.note)
    if not tested:
        print(f"no test split; the checkpoint of epoch {best} is {run.best}")
        return None
    with main_first():  # which has written it
        checkpoint = load_checkpoint(run.best, device)
    return _judge(checkpoint, config, cache, rows["test"], run.folder)


def test_checkpoint(file: str | Path, config: Config) -> TestResult:
    """Judge a checkpoint on the test split of a config's cache, into <output>/<name>/test_only/. Raises UserError.

    Nothing is trained, so the other splits may be empty: shares of 0, 0 and 1 judge a whole data set.
    """
    device = choose_device(config.train)
    checkpoint = load_checkpoint(file, device)
    cache, _, _, rows = _select(config, needed=("test",))
    folder = Path(config.output, config.name, "test_only")
    if is_main():
        write_atomically(folder / "config.json", to_json(config).encode() + b"\n")
    return _judge(checkpoint, config, cache, rows["test"], folder)


def _select(
    config: Config, needed: Sequence[str] = SPLITS
) -> tuple[Cache, list[ManifestRow], dict[str, str], dict[str, list[ManifestRow]]]:
    cache = Cache.of(config)
    manifest, splits, rows = select(cache, config, needed)
    print(summary([row.record for split in SPLITS for row in rows[split]], splits))
    return cache, manifest, splits, rows


def _judge(
    checkpoint: Checkpoint, config: Config, cache: Cache, rows: Sequence[ManifestRow], folder: Path
) -> TestResult:
    checkpoint.check_fits(config, rows)
    result = test(checkpoint, config, cache, rows, choose_device(config.train))
    if is_main():
        condition = "" if len(result.conditions) == 1 else f", {result.condition}"
        told = f"test split, per video{condition}; epoch {checkpoint.epoch}, its threshold chosen on validation"
        about = {**checkpoint.about, "epoch": checkpoint.epoch, "split": "test"}
        report(result, config, folder, title=f"{config.name}, test split", told=told, about=about)
    values = "  ".join(f"{name} {result.metrics[key].value:.4f}" for name, key in HEADLINE)
    print(f"{values}  ({folder})")
    return result
