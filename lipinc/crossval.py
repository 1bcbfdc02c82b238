"""Cross-validation by identity: every video is tested once, by a detector that never saw its person.

python -m lipinc.crossval --config configs/own_clips.py --split.folds 5

A fold is an ordinary run in <output>/<name>_fold<i>/, continued where it was interrupted; the pooled result is in
<output>/<name>_folds/.
"""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from lipinc.calibration import Calibration
from lipinc.config import Config, parse_command_line
from lipinc.errors import UserError
from lipinc.evaluation import TestResult, judge, write_result
from lipinc.metrics import Predictions, auc
from lipinc.pipeline import run_experiment
from lipinc.scripts import run_script


def pool(results: list[TestResult]) -> Predictions:
    """The test predictions of all folds, each fold's scores as logits of its own calibration."""
    parts = [replace(one.predictions, score=one.calibration.logit(one.predictions.score)) for one in results]
    names = [field.name for field in fields(Predictions)]
    return Predictions(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def fold_auc(results: list[TestResult]) -> dict[str, list[float]]:
    """The test AUC of each fold, under each condition. No fold's scores are compared with another's."""
    found: dict[str, list[float]] = {}
    for result in results:
        for condition in np.unique(result.predictions.condition):
            part = result.predictions.select(result.predictions.condition == condition)
            found.setdefault(str(condition), []).append(auc(part.label, part.score))
    return found


def main() -> None:
    config = parse_command_line(Config)
    if not config.split.folds:
        raise UserError("give the number of folds by --split.folds")
    results = []
    for fold in range(config.split.folds):
        split = replace(config.split, fold=fold)
        results.append(run_experiment(replace(config, name=f"{config.name}_fold{fold}", split=split), resume=True))
    pooled = judge(pool(results), Calibration(), config.evaluate)
    of_folds = fold_auc(results)
    about = {"name": config.name, "folds": config.split.folds, "level": "video", "note": config.data.note}
    folder = Path(config.output, f"{config.name}_folds")
    write_result(pooled, folder, title=f"{config.name}, {len(results)} folds", about={**about, "fold_auc": of_folds})
    print(f"\n{len(results)} folds by identity, test predictions pooled, per video\n{pooled}\n")
    if config.data.note:
        print(f"note: {config.data.note}")
    print(f"written to {folder}")
    for level, values in of_folds.items():
        print(
            f"AUC of the folds, {level}: {', '.join(f'{value:.3f}' for value in values)}; mean {np.mean(values):.3f}, "
            f"standard deviation {np.std(values):.3f}"
        )


if __name__ == "__main__":
    run_script(main)
