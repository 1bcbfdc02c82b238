"""Cache -> trained detector: trains on the cached clips and prints AUC, AP and accuracy of the test split.

python train_pipeline.py --config config.py
python train_pipeline.py --config config.py --resume auto
torchrun --nproc_per_node=4 train_pipeline.py --config config.py --resume auto
python train_pipeline.py --config config.py --test-only outputs/fakeavceleb_lipinc/checkpoints/best.safetensors
"""

from dataclasses import dataclass
from typing import Literal

from lipinc.commands.runner import run_script
from lipinc.config import Config, experiment, parse_command_line
from lipinc.ddp import main_first, process_group
from lipinc.experiment import run_experiment, test_checkpoint


@dataclass(frozen=True)
class Arguments(Config):
    """A training run."""

    resume: Literal["no", "auto"] = "no"
    """auto: go on with the run of this name if it has begun, else begin it."""
    test_only: str = ""
    """Train nothing: judge this checkpoint on the test split, into <output>/<name>/test_only/."""


def main() -> None:
    with main_first():
        arguments = parse_command_line(Arguments)
    config = experiment(arguments)
    if arguments.test_only:
        test_checkpoint(arguments.test_only, config)
    else:
        run_experiment(config, resume=arguments.resume == "auto")


if __name__ == "__main__":
    run_script(main, within=process_group)
