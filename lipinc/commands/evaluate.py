"""Evaluate checkpoints on external data sets: raw, re-encoded and perturbed.

    lipinc evaluate --checkpoints mouth_noise --config own_clips
    lipinc evaluate --checkpoints mouth_noise lipinc_v2 --config avlips celebdf lavdf --data.conditions raw

Videos are evaluated raw and under the conditions of --data.conditions: `compression` (H.264 at CRF 23, 28 and 35; the
default), `all` (also the seven perturbations of DeeperForensics at five levels), any condition in
lipinc/synthesis/perturbations.py, or `raw` for none. Clips are extracted with the settings of the checkpoints, not of
the config, into separate caches next to the cache of the config. People that a checkpoint was trained on are excluded
from its evaluation. The checkpoints of a cross-validation are therefore evaluated on their own test folds, and their
predictions are also pooled. Tables, predictions and plots are written to <output>/<name>/evaluate/<checkpoint>/.

With several configs, each is evaluated in turn, and all other flags apply to each. One table over all data sets, with
their mean and their pooled videos, is written to <output>/<names joined by +>/summary.csv and summary.png. If one of
them cannot be evaluated, the others still are, and the exit status is 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lipinc.config import Config, experiment, one_per_config, parse_command_line
from lipinc.evaluation.cross_dataset import evaluate_across
from lipinc.evaluation.external import evaluate_externally
from lipinc.models.checkpoint import DEFAULT_CHECKPOINT


@dataclass(frozen=True)
class Arguments(Config):
    """Arguments of evaluate: a config and the checkpoints."""

    checkpoints: tuple[str, ...] = (DEFAULT_CHECKPOINT.stem,)
    """Checkpoint files, or names of shipped checkpoints."""


def main(argv: Sequence[str], prog: str) -> int:
    """Run the command."""
    each = [parse_command_line(Arguments, line, prog=prog, description=__doc__) for line in one_per_config(argv)]
    checkpoints, configs = each[0].checkpoints, [experiment(arguments) for arguments in each]
    if len(configs) > 1:
        return 0 if evaluate_across(checkpoints, configs) else 1
    evaluate_externally(checkpoints, configs[0])
    return 0
