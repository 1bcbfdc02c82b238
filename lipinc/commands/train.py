"""Cache -> trained detector: trains on the cached clips and prints AUC, AP and accuracy of the test split.

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
    """A training run."""

    resume: Literal["no", "auto"] = "no"
    """auto: continue the run of this name if it has begun, else begin it."""
    test_only: str = ""
    """Do not train: evaluate this checkpoint on the test split, into <output>/<name>/test_only/."""


def main(argv: Sequence[str], prog: str) -> None:
    """Train, or evaluate a checkpoint."""
    with process_group():
        with main_first():
            arguments = parse_command_line(Arguments, argv, prog=prog, description=__doc__)
        config = experiment(arguments)
        if arguments.test_only:
            evaluate_on_test_split(arguments.test_only, config)
        else:
            run_experiment(config, resume=arguments.resume == "auto")
