"""Train a detector on a cache, then print AUC, AP and accuracy on the test split.

Usage:

    python train_pipeline.py --config config.py
    python train_pipeline.py --config config.py --resume auto
    torchrun --nproc_per_node=4 train_pipeline.py --config config.py --resume auto
    python train_pipeline.py --config config.py --test-only outputs/fakeavceleb_lipinc/checkpoints/best.safetensors
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lipinc.config import Config, experiment, parse_command_line
from lipinc.ddp import main_first, process_group
from lipinc.experiment import evaluate_on_test_split, run_experiment


@dataclass(frozen=True)
class Arguments(Config):
    """Arguments of train: a config and the mode."""

    resume: Literal["no", "auto"] = "no"
    """auto: resume the run of this name if it exists, else start it."""
    test_only: str = ""
    """Do not train; evaluate this checkpoint on the test split and write results to <output>/<name>/test_only/."""


def main(argv: Sequence[str], prog: str) -> None:
    """Run the command."""
    with process_group():
        with main_first():
            arguments = parse_command_line(Arguments, argv, prog=prog, description=__doc__)
        config = experiment(arguments)
        if arguments.test_only:
            evaluate_on_test_split(arguments.test_only, config)
        else:
            run_experiment(config, resume=arguments.resume == "auto")
