"""Prepare a checkpoint for publication: half precision, half the size, without paths of the training machine.

Usage:

    lipinc release outputs/noise_features/checkpoints/best.safetensors --out noise_features.safetensors
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro

from lipinc.config import CacheConfig, Config
from lipinc.config.command_line import parse_arguments
from lipinc.errors import UserError
from lipinc.models.checkpoint import load_checkpoint, save_checkpoint


@dataclass(frozen=True)
class Arguments:
    """Arguments of release."""

    checkpoint: tyro.conf.Positional[Path]
    """Checkpoint of a run."""
    out: Path
    """The checkpoint to write, NAME.safetensors."""


def without_paths(config: Config) -> Config:
    """Return the config without paths of the training machine; they do not influence scores."""
    kind = type(config.data)
    paths = {name: getattr(kind, name) for name in ("root", "index") if hasattr(kind, name)}
    data = replace(config.data, **paths)
    return replace(config, output=Config.output, data=data, cache=CacheConfig(), split=replace(config.split, file=""))


def main(argv: Sequence[str], prog: str) -> None:
    """Run the command."""
    arguments = parse_arguments(Arguments, argv, prog=prog, description=__doc__)
    if arguments.out.suffix != ".safetensors":
        raise UserError(f"{arguments.out}: the file name must end in .safetensors")
    checkpoint = load_checkpoint(arguments.checkpoint, torch.device("cpu"))
    save_checkpoint(
        arguments.out,
        checkpoint.model,
        without_paths(checkpoint.config),
        epoch=checkpoint.epoch,
        calibration=checkpoint.calibration,
        trained_on=checkpoint.trained_on,
        half=True,
    )
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1000:,.0f} kB")
