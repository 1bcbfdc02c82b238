"""Detectors on a data set they do not know, as it is, re-encoded and perturbed.

python -m lipinc.commands.evaluate --checkpoints weights/robust.safetensors --config configs/own_clips.py

Videos are taken raw and under the conditions of --data.conditions: `compression` (H.264 at CRF 23, 28 and 35, the
default), `all` (also the seven perturbations of DeeperForensics at five levels), or any of lipinc/synthesis/perturbations.py.
Clips are made as the checkpoints ask, whatever the config says of mouths, in a cache beside the config's. People that a
checkpoint was trained on are left out of its test; so the checkpoints of a cross-validation are each tested on their
own fold, and then pooled, too. Tables, predictions and curves go to <output>/<name>/evaluate/<checkpoint>/.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from lipinc.cache.build import build_with_progress, count_line
from lipinc.cache.store import OK, Cache, ManifestRow
from lipinc.commands.runner import run_script
from lipinc.config import DEFAULT_CHECKPOINT, Config, experiment, parse_command_line
from lipinc.datasets.records import Label, load_catalog
from lipinc.errors import UserError
from lipinc.evaluation.results import TestResult, judge, pool, report, test
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import Checkpoint, clip_differences, load_checkpoint
from lipinc.training.loop import choose_device


@dataclass(frozen=True)
class Arguments(Config):
    """A config, and the checkpoints to judge."""

    checkpoints: tuple[Path, ...] = (DEFAULT_CHECKPOINT,)
    """Checkpoints whose clips are made alike."""


def main() -> None:
    arguments = parse_command_line(Arguments)
    device = choose_device(arguments.train)
    checkpoints = [load_checkpoint(file, device) for file in arguments.checkpoints]
    config = _config_for(checkpoints, arguments)
    cache, manifest = Cache.of(config), build_with_progress(config, load_catalog(config.data))
    print(count_line(manifest))
    rows = [row for row in manifest if row.status == OK and row.record.forgery is None]
    results = []
    for checkpoint in checkpoints:
        strangers = _strangers(checkpoint, rows)
        results.append(test(checkpoint, config, cache, strangers, device))
        people, of_all = (len({row.record.identity for row in some}) for some in (strangers, rows))
        about = {**checkpoint.about, "people": people, "people_left_out": of_all - people}
        told = f"{checkpoint.file}: {people} people, {of_all - people} left out that it knows; its own threshold"
        _report(results[-1], config, _name(checkpoint, checkpoints), about, told)
    pooled = pool(results)
    if len(results) > 1 and len(set(pooled.key.tolist())) == len(pooled):
        about = {"checkpoints_sha256": [checkpoint.sha256 for checkpoint in checkpoints], "people": of_all}
        told = f"{len(results)} folds pooled, each one's scores counted from its own threshold"
        _report(judge(pooled, Calibration(), config.evaluate), config, "pooled", about, told)


def _report(result: TestResult, config: Config, name: str, about: dict, told: str) -> None:
    folder = Path(config.output, config.name, "evaluate", name)
    report(result, config, folder, title=f"{name} on {config.name}", told=f"{told}; per video", about=about)
    print(f"written to {folder}")


def _config_for(checkpoints: list[Checkpoint], arguments: Arguments) -> Config:
    """The config of the evaluation: its own data, with clips as the checkpoints ask."""
    first = checkpoints[0].config
    for other in checkpoints[1:]:
        for name, _, _ in clip_differences(first, other.config):
            raise UserError(f"{checkpoints[0].file} and {other.file} differ in {name}: evaluate them apart")
    data = arguments.data if arguments.data.conditions else replace(arguments.data, conditions=("compression",))
    clips = {"mouth": first.mouth, "sampling": first.sampling, "model": first.model}
    digest = hashlib.sha256(json.dumps(Cache("", first.mouth, first.sampling).settings).encode()).hexdigest()[:8]
    cache = replace(arguments.cache, path=f"{arguments.cache.path}_evaluate_{digest}")
    return replace(experiment(arguments), **clips, data=data, cache=cache)


def _strangers(checkpoint: Checkpoint, rows: list[ManifestRow]) -> list[ManifestRow]:
    """The videos of people whom the checkpoint was not trained on. Raises UserError if a class is missing."""
    known = checkpoint.known_people(rows)
    strangers = [row for row in rows if row.record.identity not in known]
    for label in Label:
        if not any(row.record.label is label for row in strangers):
            raise UserError(
                f"{checkpoint.file} can be tested on no {label.name.lower()} video here: it was trained on "
                f"{len(known)} of these people; take other videos, or people of other names"
            )
    return strangers


def _name(checkpoint: Checkpoint, checkpoints: list[Checkpoint]) -> str:
    """A folder's name: the file's, and where several are called alike, that of its run too."""
    same = sum(other.file.stem == checkpoint.file.stem for other in checkpoints)
    return (
        checkpoint.file.stem if same == 1 else f"{checkpoint.file.absolute().parent.parent.name}_{checkpoint.file.stem}"
    )


if __name__ == "__main__":
    run_script(main)
