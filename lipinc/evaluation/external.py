"""External evaluation: checkpoints on a data set they were not trained on, raw, re-encoded and perturbed."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class ExternalResult:
    """A checkpoint on a data set."""

    checkpoint: str
    """Its name: the folder of the results."""
    evaluation: Evaluation
    rows: list[ManifestRow]
    """All videos of people that it was not trained on, rejected ones included."""


def evaluate_externally(files: Sequence[str | Path], config: Config) -> list[ExternalResult]:
    """Evaluate checkpoints on the videos of a config, raw and under its conditions.

    Results are printed and written to <output>/<name>/evaluate/<checkpoint>/. Clips are extracted with the settings of
    the checkpoints, into separate caches next to the cache of the config. People that a checkpoint was trained on are
    excluded from its evaluation. The predictions of checkpoints without common test videos, such as the folds of a
    cross-validation, are also pooled. Real videos alone give the fraction of them that is classified as fake, no AUC.

    Args:
        files: checkpoint files, or names of shipped checkpoints.
        config: the experiment with the data set to evaluate on.

    Raises:
        UserError: no video of a class in the data set can be used.
    """
    device = choose_device(config.train.device)
    checkpoints = [load_checkpoint(file, device) for file in files]
    config = _compressed(config)
    records = load_videos(config.data)
    print(label_line(records))
    results = []
    for alike in _with_equal_clips(checkpoints):
        settings = _config_for(alike[0], config)
        cache, manifest = Cache.of(settings), build_with_progress(settings, records)
        print(count_line(manifest))
        rows = [row for row in manifest if row.record.forgery is None]
        _check_classes(records, rows, cache)
        for checkpoint in alike:
            unseen = _unseen_people(checkpoint, rows)
            result = evaluate_checkpoint(checkpoint, settings, cache, unseen, device)
            people, all_people = (
                len({row.record.identity for row in some if row.status == OK}) for some in (unseen, rows)
            )
            about = {**checkpoint.provenance, "people": people, "people_left_out": all_people - people}
            subtitle = f"{checkpoint.file}: {people} people, without {all_people - people} that it was trained on"
            name = _folder_name(checkpoint, checkpoints)
            _report(result, settings, name, about, f"{subtitle}; own threshold")
            results.append(ExternalResult(name, result, unseen))
    pooled = pool([result.evaluation for result in results])
    if len(results) > 1 and len({record.key for record in pooled.records}) == len(pooled):
        about = {"checkpoints_sha256": [checkpoint.sha256 for checkpoint in checkpoints], "people": all_people}
        subtitle = f"{len(results)} folds pooled, scores relative to the threshold of each fold"
        # Whoever has refused videos only was trained on by no checkpoint, and is refused by all.
        refused = list({record.key: record for one in results for record in one.evaluation.refused}.values())
        result = evaluate_predictions(pooled, Calibration(), config.evaluate, config.data.other_kinds, refused)
        _report(result, config, "pooled", about, subtitle)
    return results


def _report(result: Evaluation, config: Config, name: str, about: dict, subtitle: str) -> None:
    folder = Path(config.output, config.name, "evaluate", name)
    report(result, config, folder, title=f"{name} on {config.name}", subtitle=f"{subtitle}; per video", about=about)
    print(f"{name}: {result.headline}")
    print(f"written to {folder}")


def _with_equal_clips(checkpoints: list[Checkpoint]) -> list[list[Checkpoint]]:
    """Group checkpoints whose clips are made with the same settings, so that one cache serves them."""
    groups: list[list[Checkpoint]] = []
    for checkpoint in checkpoints:
        for group in groups:
            if not list(clip_differences(group[0].config, checkpoint.config)):
                group.append(checkpoint)
                break
        else:
            groups.append([checkpoint])
    return groups


def _compressed(config: Config) -> Config:
    """Return the config with the default conditions, if it names none."""
    if config.data.conditions:
        return config
    return replace(config, data=replace(config.data, conditions=("compression",)))


def _config_for(checkpoint: Checkpoint, config: Config) -> Config:
    """Return the config of the evaluation: the data of `config`, with the clip settings of a checkpoint."""
    own = checkpoint.config
    digest = hashlib.sha256(json.dumps(Cache("", own.mouth, own.sampling).settings).encode()).hexdigest()[:8]
    cache = replace(config.cache, path=f"{config.cache.path}_evaluate_{digest}")
    return replace(config, mouth=own.mouth, sampling=own.sampling, model=own.model, cache=cache)


def _unseen_people(checkpoint: Checkpoint, rows: list[ManifestRow]) -> list[ManifestRow]:
    """Return the videos of people that the checkpoint was not trained on. Raises UserError if a class is lost."""
    known = checkpoint.known_people(rows)
    unseen = [row for row in rows if row.record.identity not in known]
    for label in {row.record.label for row in rows}:
        if not any(row.record.label is label and row.status == OK for row in unseen):
            raise UserError(
                f"{checkpoint.file}: the data set has no {label.name.lower()} video of unseen people, because the "
                f"checkpoint was trained on {len(known)} of these people; use other videos, or rename people who differ"
            )
    return unseen


def _check_classes(records: list[VideoRecord], rows: list[ManifestRow], cache: Cache) -> None:
    """Raise UserError if all videos of a class were rejected."""
    for label in {record.label for record in records if record.forgery is None}:
        if not any(row.record.label is label and row.status == OK for row in rows):
            raise UserError(
                f"no {label.name.lower()} video has clips: see the rejection reasons in {cache.manifest_file}"
            )


def _folder_name(checkpoint: Checkpoint, checkpoints: list[Checkpoint]) -> str:
    """Return the stem of the checkpoint file, preceded by its run name if several checkpoints share the stem."""
    file = checkpoint.file
    same = sum(other.file.stem == file.stem for other in checkpoints)
    return file.stem if same == 1 else f"{file.absolute().parent.parent.name}_{file.stem}"
