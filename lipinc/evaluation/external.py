"""Checkpoints on an external data set, as it is, re-encoded and perturbed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lipinc.cache.build import build_with_progress, count_line
from lipinc.cache.manifest import OK, ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import Config
from lipinc.datasets import Label, load_videos
from lipinc.errors import UserError
from lipinc.evaluation.results import Evaluation, evaluate_checkpoint, evaluate_predictions, pool, report
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import Checkpoint, clip_differences, load_checkpoint
from lipinc.models.device import choose_device


def evaluate_externally(files: Sequence[str | Path], config: Config) -> None:
    """Evaluate checkpoints on the videos of a config, raw and under its conditions, and print and write the results to
    <output>/<name>/evaluate/<checkpoint>/.

    Clips are made as the checkpoints need them, in a cache beside that of the config. People that a checkpoint was
    trained on are left out of its test. Checkpoints that share no test video, such as those of a cross-validation, are
    also pooled. Raises UserError.
    """
    device = choose_device(config.train.device)
    checkpoints = [load_checkpoint(file, device) for file in files]
    config = _config_for(checkpoints, config)
    cache, manifest = Cache.of(config), build_with_progress(config, load_videos(config.data))
    print(count_line(manifest))
    rows = [row for row in manifest if row.status == OK and row.record.forgery is None]
    results = []
    for checkpoint in checkpoints:
        unseen = _unseen_people(checkpoint, rows)
        results.append(evaluate_checkpoint(checkpoint, config, cache, unseen, device))
        people, of_all = (len({row.record.identity for row in some}) for some in (unseen, rows))
        about = {**checkpoint.about, "people": people, "people_left_out": of_all - people}
        subtitle = f"{checkpoint.file}: {people} people, {of_all - people} left out that it was trained on"
        _report(results[-1], config, _folder_name(checkpoint, checkpoints), about, f"{subtitle}; its own threshold")
    pooled = pool(results)
    if len(results) > 1 and len({record.key for record in pooled.records}) == len(pooled):
        about = {"checkpoints_sha256": [checkpoint.sha256 for checkpoint in checkpoints], "people": of_all}
        subtitle = f"{len(results)} folds pooled, the scores of each relative to its own threshold"
        _report(evaluate_predictions(pooled, Calibration(), config.evaluate), config, "pooled", about, subtitle)


def _report(result: Evaluation, config: Config, name: str, about: dict, subtitle: str) -> None:
    folder = Path(config.output, config.name, "evaluate", name)
    report(result, config, folder, title=f"{name} on {config.name}", subtitle=f"{subtitle}; per video", about=about)
    print(f"written to {folder}")


def _config_for(checkpoints: list[Checkpoint], config: Config) -> Config:
    """The config of the evaluation: its own data, with clips as the checkpoints need them."""
    first = checkpoints[0].config
    for other in checkpoints[1:]:
        for name, _, _ in clip_differences(first, other.config):
            raise UserError(f"{checkpoints[0].file} and {other.file} differ in {name}: evaluate them apart")
    data = config.data if config.data.conditions else replace(config.data, conditions=("compression",))
    digest = hashlib.sha256(json.dumps(Cache("", first.mouth, first.sampling).settings).encode()).hexdigest()[:8]
    cache = replace(config.cache, path=f"{config.cache.path}_evaluate_{digest}")
    return replace(config, mouth=first.mouth, sampling=first.sampling, model=first.model, data=data, cache=cache)


def _unseen_people(checkpoint: Checkpoint, rows: list[ManifestRow]) -> list[ManifestRow]:
    """The videos of people that the checkpoint was not trained on. Raises UserError if a class is missing."""
    known = checkpoint.known_people(rows)
    unseen = [row for row in rows if row.record.identity not in known]
    for label in Label:
        if not any(row.record.label is label for row in unseen):
            raise UserError(
                f"{checkpoint.file} can be tested on no {label.name.lower()} video here: it was trained on "
                f"{len(known)} of these people; take other videos, or people of other names"
            )
    return unseen


def _folder_name(checkpoint: Checkpoint, checkpoints: list[Checkpoint]) -> str:
    """The name of the file, and where several have the same, that of its run too."""
    file = checkpoint.file
    same = sum(other.file.stem == file.stem for other in checkpoints)
    return file.stem if same == 1 else f"{file.absolute().parent.parent.name}_{file.stem}"
