"""Prepare a checkpoint for publication: half precision, half the size, without paths of the training machine.

Usage:

    lipinc release outputs/mouth_noise/checkpoints/best.safetensors --out mouth_noise.safetensors
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro

from lipinc.config import CacheConfig, Config
from lipinc.config.command_line import parse_arguments
from lipinc.errors import UserError
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import load_checkpoint, save_checkpoint


@dataclass(frozen=True)
class Arguments:
    """Arguments of release."""

    checkpoint: tyro.conf.Positional[Path]
    """Checkpoint of a run."""
    out: Path
    """The checkpoint to write, NAME.safetensors."""
    calibration: Path | None = None
    """calibration.json of a cross-validation with the same settings (lipinc crossval --calibration out-of-fold), which
    replaces the calibration by the validation videos of the run. None: keep that one."""


def without_paths(config: Config) -> Config:
    """Return the config without paths of the training machine; they do not influence scores."""
    kind = type(config.data)
    paths = {name: getattr(kind, name) for name in ("root", "index") if hasattr(kind, name)}
    data = replace(config.data, **paths)
    return replace(config, output=Config.output, data=data, cache=CacheConfig(), split=replace(config.split, file=""))


def read_calibration(file: Path) -> Calibration:
    """Read calibration.json of a cross-validation.

    Raises:
        UserError: it is anything else.
    """
    try:
        return Calibration.from_values(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} is no calibration.json of lipinc crossval --calibration out-of-fold: {error}"
        ) from error


def main(argv: Sequence[str], prog: str) -> None:
    """Run the command."""
    arguments = parse_arguments(Arguments, argv, prog=prog, description=__doc__)
    if arguments.out.suffix != ".safetensors":
        raise UserError(f"{arguments.out}: the file name must end in .safetensors")
    checkpoint = load_checkpoint(arguments.checkpoint, torch.device("cpu"))
    calibration = read_calibration(arguments.calibration) if arguments.calibration else checkpoint.calibration
    save_checkpoint(
        arguments.out,
        checkpoint.model,
        without_paths(checkpoint.config),
        epoch=checkpoint.epoch,
        calibration=calibration,
        trained_on=checkpoint.trained_on,
        half=True,
    )
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1000:,.0f} kB")
