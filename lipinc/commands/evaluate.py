"""Evaluate checkpoints on an external data set: raw, re-encoded and perturbed.

    lipinc evaluate --checkpoints mouth_noise --config own_clips

Videos are evaluated raw and under the conditions of --data.conditions: `compression` (H.264 at CRF 23, 28 and 35; the
default), `all` (also the seven perturbations of DeeperForensics at five levels), or any condition in
lipinc/synthesis/perturbations.py. Clips are extracted with the settings of the checkpoints, not of the config, into a
separate cache next to the cache of the config. People that a checkpoint was trained on are excluded from its
evaluation. The checkpoints of a cross-validation are therefore evaluated on their own test folds, and their predictions
are also pooled. Tables, predictions and plots are written to <output>/<name>/evaluate/<checkpoint>/.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lipinc.config import Config, experiment, parse_command_line
from lipinc.evaluation.external import evaluate_externally
from lipinc.models.checkpoint import DEFAULT_CHECKPOINT


@dataclass(frozen=True)
class Arguments(Config):
    """Arguments of evaluate: a config and the checkpoints."""

    checkpoints: tuple[str, ...] = (DEFAULT_CHECKPOINT.stem,)
    """Checkpoints with the same clip settings: files, or names of shipped checkpoints."""


def main(argv: Sequence[str], prog: str) -> None:
    """Run the command."""
    arguments = parse_command_line(Arguments, argv, prog=prog, description=__doc__)
    evaluate_externally(arguments.checkpoints, experiment(arguments))
