"""External evaluation: checkpoints on a data set they were not trained on, raw, re-encoded and perturbed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lipinc.cache.build import build_with_progress, count_line
from lipinc.cache.manifest import OK, ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import Config
from lipinc.datasets import VideoRecord, load_videos
from lipinc.datasets.labels import label_line
from lipinc.errors import UserError
from lipinc.evaluation.results import Evaluation, evaluate_checkpoint, evaluate_predictions, pool, report
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import Checkpoint, clip_differences, load_checkpoint
from lipinc.models.device import choose_device


def evaluate_externally(files: Sequence[str | Path], config: Config) -> None:
    """Evaluate checkpoints on the videos of a config, raw and under its conditions.

    Results are printed and written to <output>/<name>/evaluate/<checkpoint>/. Clips are extracted with the settings of
    the checkpoints, into a separate cache next to the cache of the config. People that a checkpoint was trained on are
    excluded from its evaluation. The predictions of checkpoints without common test videos, such as the folds of a
    cross-validation, are also pooled. Real videos alone give the fraction of them that is classified as fake, no AUC.

    Args:
        files: checkpoint files, or names of shipped checkpoints.
        config: the experiment with the data set to evaluate on.

    Raises:
        UserError: the checkpoints need different clips, or no video of a class in the data set can be used.
    """
    device = choose_device(config.train.device)
    checkpoints = [load_checkpoint(file, device) for file in files]
    config = _config_for(checkpoints, config)
    records = load_videos(config.data)
    print(label_line(records))
    cache, manifest = Cache.of(config), build_with_progress(config, records)
    print(count_line(manifest))
    originals = [row for row in manifest if row.record.forgery is None]
    rows = [row for row in originals if row.status == OK]
    _check_classes(records, rows, cache)
    results = []
    for checkpoint in checkpoints:
        unseen = _unseen_people(checkpoint, rows)
        known = checkpoint.known_people(originals)
        refused = [row for row in originals if row.refused and row.record.identity not in known]
        results.append(evaluate_checkpoint(checkpoint, config, cache, [*unseen, *refused], device))
        people, all_people = (len({row.record.identity for row in some}) for some in (unseen, rows))
        about = {**checkpoint.provenance, "people": people, "people_left_out": all_people - people}
        subtitle = f"{checkpoint.file}: {people} people, without {all_people - people} that it was trained on"
        _report(results[-1], config, _folder_name(checkpoint, checkpoints), about, f"{subtitle}; own threshold")
    pooled = pool(results)
    if len(results) > 1 and len({record.key for record in pooled.records}) == len(pooled):
        about = {"checkpoints_sha256": [checkpoint.sha256 for checkpoint in checkpoints], "people": all_people}
        subtitle = f"{len(results)} folds pooled, scores relative to the threshold of each fold"
        # Whoever has refused videos only was trained on by no checkpoint, and is refused by all.
        refused = list({record.key: record for one in results for record in one.refused}.values())
        result = evaluate_predictions(pooled, Calibration(), config.evaluate, config.data.other_kinds, refused)
        _report(result, config, "pooled", about, subtitle)


def _report(result: Evaluation, config: Config, name: str, about: dict, subtitle: str) -> None:
    folder = Path(config.output, config.name, "evaluate", name)
    report(result, config, folder, title=f"{name} on {config.name}", subtitle=f"{subtitle}; per video", about=about)
    print(f"{name}: {result.headline}")
    print(f"written to {folder}")


def _config_for(checkpoints: list[Checkpoint], config: Config) -> Config:
    """Return the config of the evaluation: the data of `config`, with the clip settings of the checkpoints."""
    first = checkpoints[0].config
    for other in checkpoints[1:]:
        for name, _, _ in clip_differences(first, other.config):
            raise UserError(f"{checkpoints[0].file} and {other.file} differ in {name}: evaluate them separately")
    data = config.data if config.data.conditions else replace(config.data, conditions=("compression",))
    digest = hashlib.sha256(json.dumps(Cache("", first.mouth, first.sampling).settings).encode()).hexdigest()[:8]
    cache = replace(config.cache, path=f"{config.cache.path}_evaluate_{digest}")
    return replace(config, mouth=first.mouth, sampling=first.sampling, model=first.model, data=data, cache=cache)


def _unseen_people(checkpoint: Checkpoint, rows: list[ManifestRow]) -> list[ManifestRow]:
    """Return the videos of people that the checkpoint was not trained on. Raises UserError if a class is lost."""
    known = checkpoint.known_people(rows)
    unseen = [row for row in rows if row.record.identity not in known]
    for label in {row.record.label for row in rows}:
        if not any(row.record.label is label for row in unseen):
            raise UserError(
                f"{checkpoint.file}: the data set has no {label.name.lower()} video of unseen people, because the "
                f"checkpoint was trained on {len(known)} of these people; use other videos, or rename people who differ"
            )
    return unseen


def _check_classes(records: list[VideoRecord], rows: list[ManifestRow], cache: Cache) -> None:
    """Raise UserError if all videos of a class were rejected."""
    for label in {record.label for record in records if record.forgery is None}:
        if not any(row.record.label is label for row in rows):
            raise UserError(
                f"no {label.name.lower()} video has clips: see the rejection reasons in {cache.manifest_file}"
            )


def _folder_name(checkpoint: Checkpoint, checkpoints: list[Checkpoint]) -> str:
    """Return the stem of the checkpoint file, preceded by its run name if several checkpoints share the stem."""
    file = checkpoint.file
    same = sum(other.file.stem == file.stem for other in checkpoints)
    return file.stem if same == 1 else f"{file.absolute().parent.parent.name}_{file.stem}"
