"""Cross-validation by identity: every video is tested once, by a detector that never saw its person.

python -m lipinc.cross_validation --config configs/own_clips.py --split.folds 5
python -m lipinc.cross_validation --config configs/robust.py --split.folds 5 --leave-out each --seeds 0 1 2

With --leave-out, nor has the detector seen the generator that it is tested on: `each` generator in turn, or `all` at
once, where only pseudo-fakes are trained on (data.forgeries). With several seeds, of weights and of the draw of the
folds, everything is done once for each, and the spread is told. A fold is an ordinary run, continued where it was
interrupted: <output>/<name>_..._fold<i>/. The pooled results of the first seed and the spread over all of them are in
<output>/<name>_folds/.
"""

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from lipinc.cache.selection import ALL, generators, select
from lipinc.cache.store import Cache, read_manifest
from lipinc.commands.runner import run_script
from lipinc.config import Config, experiment, parse_command_line
from lipinc.datasets.records import Label
from lipinc.errors import UserError
from lipinc.evaluation.metrics import auc
from lipinc.evaluation.results import TestResult, judge, pool, write_result
from lipinc.evaluation.tables import spread_table
from lipinc.experiment import run_experiment
from lipinc.files.atomic import write_atomically
from lipinc.models.calibration import Calibration

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arguments(Config):
    """A config, and how it is cross-validated."""

    leave_out: Literal["nothing", "each", "all"] = "nothing"
    """Generators that are left out of training beside the people."""
    seeds: tuple[int, ...] = ()
    """Seeds of weights and folds; none: those of the config."""


def fold_auc(results: list[TestResult]) -> dict[str, list[float]]:
    """The test AUC of each run, under each condition. No run's scores are compared with another's."""
    found: dict[str, list[float]] = {}
    for result in results:
        for condition in result.conditions:
            part = result.predictions.select(result.predictions.condition == condition)
            found.setdefault(condition, []).append(auc(part.label, part.score))
    return found


def main() -> None:
    arguments = parse_command_line(Arguments)
    config = experiment(arguments)
    if not config.split.folds:
        raise UserError("give the number of folds by --split.folds")
    seeds = arguments.seeds or (None,)
    groups = _groups(config, arguments.leave_out)
    of_seed = [_cross_validate(config, seed, groups) for seed in seeds]
    folder = Path(config.output, f"{config.name}_folds")
    about = {
        "name": config.name,
        "folds": config.split.folds,
        "seeds": [config.train.seed if seed is None else seed for seed in seeds],
        "level": "video",
        "note": config.data.note,
    }
    for group, results in of_seed[0].items():
        # Apart for each group: a real video is tested once for every generator that is left out.
        pooled = judge(pool(results), Calibration(), config.evaluate)
        told = {**about, "left_out": group, "fold_auc": fold_auc(results)}
        write_result(pooled, folder / group, title=f"{config.name}, {config.split.folds} folds", about=told)
        without = f", trained without {'any generator' if group == 'all' else group}" if group else ""
        print(f"\n{config.split.folds} folds by identity{without}; test predictions pooled, per video\n{pooled}")
    spread = _spread(of_seed)
    told = {**about, "mean_fold_auc_of_each_seed": spread}
    write_atomically(folder / "spread.json", json.dumps(told, indent=2).encode() + b"\n")
    print(f"\nmean of the folds' AUC; over {len(seeds)} seed{'s' * (len(seeds) > 1)}\n{spread_table(spread)}\n")
    if config.data.note:
        print(f"note: {config.data.note}")
    print(f"written to {folder}")


def _groups(config: Config, leave_out: str) -> dict[str, tuple[str, ...]]:
    """What is left out of training, a name for each: one after the other."""
    if leave_out == "nothing":
        return {"": config.split.unseen}
    if leave_out == "all":
        return {"all": ALL}
    names = generators(read_manifest(Cache.of(config).manifest_file))
    for name in names:  # as the index has them, and folders are called by them
        if "/" in name or name in (".", ".."):
            raise UserError(f"the generator {name!r} cannot name a folder: call it otherwise in the index")
    return {name: (name,) for name in names}


def _cross_validate(
    config: Config, seed: int | None, groups: dict[str, tuple[str, ...]]
) -> dict[str, list[TestResult]]:
    """Of each group that is left out, the results of the folds."""
    found: dict[str, list[TestResult]] = {}
    for group, unseen in groups.items():
        for fold in range(config.split.folds):
            name = "_".join(
                part
                for part in (
                    config.name,
                    group and f"without_{group}",
                    "" if seed is None else f"seed{seed}",
                    f"fold{fold}",
                )
                if part
            )
            split, train = replace(config.split, fold=fold, unseen=unseen), config.train
            if seed is not None:
                split, train = replace(split, seed=seed), replace(train, seed=seed)
            run = replace(config, name=name, split=split, train=train)
            if group and not _tests_a_fake(run):
                log.warning("fold %d has no fake by %s to test: left out", fold, group)
                continue
            found.setdefault(group, []).append(run_experiment(run, resume=True))
    return found


def _tests_a_fake(config: Config) -> bool:
    """Whether the test people of a fold have fakes by the generator that is left out: few generators meet everybody."""
    rows = select(Cache.of(config), config, needed=("train", "validation"))[2]
    return any(row.record.label is Label.FAKE for row in rows["test"])


def _spread(of_seed: list[dict[str, list[TestResult]]]) -> dict[str, dict[str, list[float]]]:
    """Group that is left out -> condition -> the mean AUC of the folds for each seed; "mean": that over the groups."""
    found: dict[str, dict[str, list[float]]] = {}
    for of_group in of_seed:
        for group, results in of_group.items():
            for condition, areas in fold_auc(results).items():
                found.setdefault(group, {}).setdefault(condition, []).append(float(np.nanmean(areas)))
    if len(found) > 1:
        conditions = next(iter(found.values()))
        found["mean"] = {
            condition: np.mean([areas[condition] for areas in found.values()], axis=0).tolist()
            for condition in conditions
        }
    return found


if __name__ == "__main__":
    run_script(main)
