"""Cross-validation by identity: each video is tested once, with a detector that was not trained on its person."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lipinc.cache.manifest import read_manifest
from lipinc.cache.selection import ALL, generators, select
from lipinc.cache.store import Cache
from lipinc.config import Config
from lipinc.datasets import Label
from lipinc.errors import UserError
from lipinc.evaluation.metrics import auc
from lipinc.evaluation.results import Evaluation, evaluate_predictions, pool, write_evaluation
from lipinc.evaluation.tables import spread_table
from lipinc.experiment import run_experiment
from lipinc.files.atomic import write_atomically
from lipinc.files.json_values import finite
from lipinc.models.calibration import Calibration, calibrate, count_errors
from lipinc.video.quality import QUALITY_NAMES

log = logging.getLogger(__name__)


def fold_auc(results: list[Evaluation]) -> dict[str, list[float]]:
    """Return condition -> test AUC of each run. Scores of different runs are never compared."""
    found: dict[str, list[float]] = {}
    for result in results:
        for condition in result.conditions:
            part = result.under(condition)
            found.setdefault(condition, []).append(auc(part.label, part.score))
    return found


def calibrate_out_of_fold(
    results: Mapping[int, Evaluation], reference: Mapping[int, Sequence[Evaluation]]
) -> tuple[list[Evaluation], Calibration]:
    """Decide each fold by the scores of the others, and all by all.

    A fold's own validation people are few, and of few sources. The scores of the other folds are out of fold, too: each
    video was scored by a detector that had not seen it.

    Args:
        results: number of the fold -> its result.
        reference: number of the fold -> results that decide the other folds. With generators held out in turn, those of
            all turns: a generator may have been met in one fold alone.

    Returns:
        The folds with these calibrations, and the calibration by all folds, for a detector that is trained on all.

    Raises:
        UserError: the other folds of a fold have no fakes or no reals.
    """

    def fit(without: int | None) -> Calibration:
        chosen = [one.counted for fold, several in reference.items() if fold != without for one in several]
        if {0, 1} - {label for part in chosen for label in part.label.tolist()}:
            raise UserError(
                f"the folds other than {without} test no reals or no fakes, so that they cannot decide; "
                "use --calibration validation"
            )
        names = ("label", "score", "quality")
        label, score, quality = (np.concatenate([getattr(part, name) for part in chosen]) for name in names)
        return calibrate(label, score, np.concatenate([part.column("condition") for part in chosen]), quality)

    decided = [replace(result, calibration=fit(fold)) for fold, result in results.items()]
    tested = [result.counted.decided_by(result.calibration) for result in decided]
    label, decision = (np.concatenate([getattr(part, name) for part in tested]) for name in ("label", "decision"))
    face_height = np.concatenate([part.quality[:, QUALITY_NAMES.index("face_height")] for part in tested])
    return decided, replace(fit(None), rates=count_errors(label, decision, face_height))


def cross_validate(config: Config, leave_out: str, seeds: Sequence[int], calibration: str = "validation") -> None:
    """Run all folds, then print the pooled results and write them to <output>/<name>_folds/.

    Each fold is an ordinary run in <output>/<name>_..._fold<i>/ and is resumed if it was interrupted.

    Args:
        config: the experiment, with `split.folds` set.
        leave_out: generators to hold out in addition to people: `nothing`, `each` in turn, or `all` at once.
        seeds: random seeds of weights and folds; empty: the seeds of the config.
        calibration: `validation`: each fold decides by its own validation videos. `out-of-fold`: by the scores of the
            other folds, of all held-out generators; calibration.json then has the calibration by all, for `lipinc
            release`.

    Raises:
        UserError: the number of folds is not set, or a run failed.
    """
    if not config.split.folds:
        raise UserError("set the number of folds with --split.folds")
    unit = f"identity and {config.split.apart}" if config.split.apart else "identity"
    groups = _groups(config, leave_out)
    announce = _announcer(len(groups) * config.split.folds * max(1, len(seeds)))
    by_seed = [_run_folds(config, seed, groups, announce) for seed in seeds or (None,)]
    folder = Path(config.output, f"{config.name}_folds")
    about = {
        "name": config.name,
        "folds": config.split.folds,
        "seeds": list(seeds) or [config.train.seed],
        "level": "video",
        "note": config.data.note,
    }
    reference: dict[int, list[Evaluation]] = {}
    for folds in by_seed[0].values():
        for fold, result in folds.items():
            reference.setdefault(fold, []).append(result)
    for group, folds in by_seed[0].items():
        # Groups are not pooled: a real video is tested once for every held-out generator.
        results = list(folds.values())
        if calibration == "out-of-fold":
            results, by_all = calibrate_out_of_fold(folds, reference)
            write_atomically(
                folder / group / "calibration.json", json.dumps(by_all.to_values(), indent=2).encode() + b"\n"
            )
        refused = [record for result in results for record in result.refused]
        pooled = evaluate_predictions(pool(results), Calibration(), config.evaluate, config.data.other_kinds, refused)
        details = {**about, "left_out": group, "fold_auc": finite(fold_auc(results))}
        write_evaluation(pooled, folder / group, title=f"{config.name}, {config.split.folds} folds", about=details)
        held_out = f", trained without {'any generator' if group == 'all' else group}" if group else ""
        print(f"\n{config.split.folds} folds by {unit}{held_out}; test predictions pooled, per video\n{pooled}")
        print(f"\npooled: {pooled.headline}")
    spread = _spread(by_seed)
    details = {**about, "mean_fold_auc_of_each_seed": finite(spread)}
    write_atomically(folder / "spread.json", json.dumps(details, indent=2).encode() + b"\n")
    plural = "s" * (len(by_seed) > 1)
    print(f"\nmean of the folds' AUC; over {len(by_seed)} seed{plural}\n{spread_table(spread)}\n")
    if config.data.note:
        print(f"note: {config.data.note}")
    print(f"written to {folder}")


def _groups(config: Config, leave_out: str) -> dict[str, tuple[str, ...]]:
    """Return name -> generators of each held-out group."""
    if leave_out == "nothing":
        return {"": config.split.unseen}
    if leave_out == "all":
        return {"all": ALL}
    names = generators(read_manifest(Cache.of(config).manifest_file))
    for name in names:  # generator names from the index become folder names
        if "/" in name or name in (".", ".."):
            raise UserError(f"the generator {name!r} is not a valid folder name: rename it in the index")
    return {name: (name,) for name in names}


def _announcer(runs: int) -> Callable[[], None]:
    """Return a function that logs the number of the run that starts and the time that all runs will take."""
    numbers, begin = count(), time.monotonic()

    def announce() -> None:
        done = next(numbers)
        left = (time.monotonic() - begin) / max(done, 1) * (runs - done)
        log.info("run %d of %d%s", done + 1, runs, f", about {tqdm.format_interval(left)} left" if done else "")

    return announce


def _run_folds(
    config: Config, seed: int | None, groups: dict[str, tuple[str, ...]], announce: Callable[[], None]
) -> dict[str, dict[int, Evaluation]]:
    """Run all folds of all groups. Returns held-out group -> number of the fold -> its result."""
    found: dict[str, dict[int, Evaluation]] = {}
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
            announce()
            if group and not _has_test_fakes(run):
                log.warning("skipping fold %d: its test split has no fakes by %s", fold, group)
                continue
            found.setdefault(group, {})[fold] = run_experiment(run, resume=True)
    return found


def _has_test_fakes(config: Config) -> bool:
    """Return whether the test split of a fold has fakes by the held-out generator; few generators cover all people."""
    needed = ("train", "validation") if config.split.validation else ("train",)
    rows = select(Cache.of(config), config.data, config.split, needed).rows
    return any(row.record.label is Label.FAKE for row in rows["test"])


def _spread(by_seed: list[dict[str, dict[int, Evaluation]]]) -> dict[str, dict[str, list[float]]]:
    """Return held-out group -> condition -> mean AUC over the folds, for each seed.

    With several groups, "mean" is the mean over those that have an AUC: heads driven from a photo (data.other_kinds)
    have none.
    """
    areas = [{group: fold_auc(list(folds.values())) for group, folds in groups.items()} for groups in by_seed]
    conditions = dict.fromkeys(name for groups in areas for found in groups.values() for name in found)
    spread = {
        group: {name: [_mean(groups.get(group, {}).get(name, [])) for groups in areas] for name in conditions}
        for group in dict.fromkeys(group for groups in areas for group in groups)
    }
    if len(spread) > 1:
        spread["mean"] = {
            name: [_mean(one[name][seed] for one in spread.values()) for seed in range(len(areas))]
            for name in conditions
        }
    return spread


def _mean(values: Iterable[float]) -> float:
    """Mean of the values that are not nan; nan without any."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
