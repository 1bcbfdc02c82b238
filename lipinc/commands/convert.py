"""Convert the authors' Keras weights (HDF5, V1 or V2) to a checkpoint.

Usage:

    lipinc convert WEIGHTS.hdf5 --out NAME.safetensors
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from lipinc.config.command_line import parse_arguments
from lipinc.errors import UserError
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import save_checkpoint
from lipinc.models.keras_weights import convert
from lipinc.video.published_faces import landmarks_caveat

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arguments:
    """Arguments of convert."""

    weights: tyro.conf.Positional[Path]
    """The authors' HDF5 file."""
    out: Path
    """The checkpoint to write, NAME.safetensors."""


def main(argv: Sequence[str], prog: str) -> None:
    """Run the command."""
    arguments = parse_arguments(Arguments, argv, prog=prog, description=__doc__)
    model, config = convert(arguments.weights)
    try:
        save_checkpoint(arguments.out, model, config, epoch=0, calibration=Calibration(), trained_on=())
    except OSError as error:
        raise UserError(f"{arguments.out} cannot be written: {error.strerror}; give another --out") from error
    if caveat := landmarks_caveat(config.mouth, config.sampling):
        log.warning("%s: %s", arguments.out, caveat)
    print(f"{arguments.out}: {config.name}; extract clips for it with --config {config.name}")
