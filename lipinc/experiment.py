"""Experiment recipe: select videos, build the model, train it, load the best weights, evaluate, write results."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from lipinc.cache.selection import Selection, select
from lipinc.cache.store import Cache
from lipinc.config import Config, to_json
from lipinc.datasets.labels import label_line
from lipinc.datasets.splits import SPLITS, summary, write_splits
from lipinc.ddp import is_main, main_first
from lipinc.evaluation.plots import plot_learning_curves
from lipinc.evaluation.results import Evaluation, evaluate_checkpoint, report
from lipinc.files.atomic import write_atomically
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import Checkpoint, load_checkpoint
from lipinc.models.device import choose_device
from lipinc.models.registry import build_model, check_shapes
from lipinc.training.loop import best_epoch, drop_training_state, fit
from lipinc.training.optimization import seed_torch, use_deterministic_kernels
from lipinc.training.run_folder import Run, size_on_disk
from lipinc.training.tensorboard import check_tensorboard
from lipinc.video.published_faces import landmarks_caveat

log = logging.getLogger(__name__)


def run_experiment(config: Config, *, resume: bool = False) -> Evaluation | None:
    """Train a model and evaluate the best checkpoint on the test split.

    Args:
        config: the experiment.
        resume: continue an existing run of the same name.

    Returns:
        The evaluation; None if there is no test split.

    Raises:
        UserError: the cache, the run folder or the settings do not permit the run, or training diverged.
    """
    if config.train.tensorboard:
        check_tensorboard()
    device = choose_device(config.train.device)
    if config.train.deterministic:
        use_deterministic_kernels(device)

    has_test_split = bool(config.split.test or config.split.folds or config.split.file)
    has = {"train": True, "validation": config.split.file or config.split.validation, "test": has_test_split}
    selection = _select(config, needed=[split for split in SPLITS if has[split]])
    run = Run.open(config, resume=resume)
    if is_main():
        write_splits(run.folder / "splits.csv", [row.record for row in selection.manifest], selection.splits)

    seed_torch(config.train, epoch=0)
    model = build_model(config).to(device)
    check_shapes(model, config)

    history = fit(model, config, Cache.of(config), selection.rows, run, device)
    best = best_epoch(history, config.train.select)
    if is_main():
        curves = run.folder / "plots" / "learning_curves.png"
        plot_learning_curves(history, best, curves, config.name, config.data.note)
    with main_first():  # the main process has written the checkpoint
        checkpoint = load_checkpoint(run.best, device)
    result = _evaluate(checkpoint, config, selection, run.folder, device) if has_test_split else None
    if is_main():
        if not config.train.keep_last:
            drop_training_state(run)
        main_line = result.headline if result else f"no test split; the checkpoint of epoch {best} is {run.best}"
        print(f"{main_line}  ({run.folder}, {size_on_disk(run.folder)})")
    return result


def evaluate_on_test_split(file: str | Path, config: Config) -> Evaluation:
    """Evaluate a checkpoint on the test split of a config, without training.

    Results go to <output>/<name>/test_only/. The other splits may be empty: the fractions 0, 0 and 1 evaluate on the
    whole data set. The test split may have a single class: real videos alone give the fraction that is accused.

    Args:
        file: a checkpoint file, or the name of a shipped checkpoint.
        config: the experiment.

    Raises:
        UserError: the checkpoint does not match the config or was trained on people of the test split.
    """
    device = choose_device(config.train.device)
    checkpoint = load_checkpoint(file, device)
    selection = _select(config, needed=("test",), both_classes=False)
    folder = Path(config.output, config.name, "test_only")
    if is_main():
        write_atomically(folder / "config.json", to_json(config).encode() + b"\n")
    result = _evaluate(checkpoint, config, selection, folder, device)
    print(f"{result.headline}  ({folder})")
    return result


def _select(config: Config, needed: Sequence[str], *, both_classes: bool = True) -> Selection:
    if caveat := landmarks_caveat(config.mouth, config.sampling):
        log.warning("%s: %s", config.name, caveat)
    selection = select(Cache.of(config), config.data, config.split, needed, both_classes=both_classes)
    records = [row.record for split in SPLITS for row in selection.rows[split]]
    print(label_line(records))
    print(summary(records, selection.splits))
    return selection


def _evaluate(
    checkpoint: Checkpoint, config: Config, selection: Selection, folder: Path, device: torch.device
) -> Evaluation:
    rows = [*selection.rows["test"], *selection.refused]
    checkpoint.check_fits(config, rows)
    result = evaluate_checkpoint(checkpoint, config, Cache.of(config), rows, device)
    if is_main():
        condition = "" if len(result.conditions) == 1 else f", {result.condition}"
        chosen = "threshold chosen on validation"
        if checkpoint.calibration == Calibration():
            chosen = "without validation videos, the threshold is a score of 0"
        subtitle = f"test split, per video{condition}; epoch {checkpoint.epoch}, {chosen}"
        about = {**checkpoint.provenance, "epoch": checkpoint.epoch, "split": "test"}
        report(result, config, folder, title=f"{config.name}, test split", subtitle=subtitle, about=about)
    return result
