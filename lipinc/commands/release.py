"""Make a checkpoint ready to ship: in half precision, at half the size, without the paths of where it was trained.

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
    """What to release."""

    checkpoint: tyro.conf.Positional[Path]
    """Of a run."""
    out: Path
    """NAME.safetensors."""


def without_paths(config: Config) -> Config:
    """The config without the folders of the machine that trained it; none of them influences a score."""
    kind = type(config.data)
    paths = {name: getattr(kind, name) for name in ("root", "index") if hasattr(kind, name)}
    data = replace(config.data, **paths)
    return replace(config, output=Config.output, data=data, cache=CacheConfig(), split=replace(config.split, file=""))


def main(words: Sequence[str], prog: str) -> None:
    """Release."""
    arguments = parse_arguments(Arguments, words, prog=prog, description=__doc__)
    if arguments.out.suffix != ".safetensors":
        raise UserError(f"{arguments.out}: name it .safetensors")
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
