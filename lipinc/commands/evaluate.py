"""Evaluate checkpoints on an external data set, as it is, re-encoded and perturbed.

    lipinc evaluate --checkpoints noise_features --config own_clips

Videos are taken raw and under the conditions of --data.conditions: `compression` (H.264 at CRF 23, 28 and 35, the
default), `all` (also the seven perturbations of DeeperForensics at five levels), or any of
lipinc/synthesis/perturbations.py. Clips are made as the checkpoints need them, whatever the config says of mouths, in a
cache beside that of the config. People that a checkpoint was trained on are left out of its test; so the checkpoints of
a cross-validation are each tested on their own fold, and then pooled, too. Tables, predictions and curves go to
<output>/<name>/evaluate/<checkpoint>/.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lipinc.config import Config, experiment, parse_command_line
from lipinc.evaluation.external import evaluate_externally
from lipinc.models.checkpoint import DEFAULT_CHECKPOINT


@dataclass(frozen=True)
class Arguments(Config):
    """A config, and the checkpoints to evaluate."""

    checkpoints: tuple[str, ...] = (DEFAULT_CHECKPOINT.stem,)
    """Checkpoints whose clips are made alike: files, or names of shipped ones."""


def main(argv: Sequence[str], prog: str) -> None:
    """Evaluate."""
    arguments = parse_command_line(Arguments, argv, prog=prog, description=__doc__)
    evaluate_externally(arguments.checkpoints, experiment(arguments))
