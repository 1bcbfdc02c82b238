"""A checkpoint made ready to ship: in half precision, at half the size.

python -m lipinc.release outputs/own_clips_v2/checkpoints/best.safetensors --out weights/lipinc_v2.safetensors
"""

import argparse
from pathlib import Path

import torch

from lipinc.checkpoint import load_checkpoint, save_checkpoint
from lipinc.errors import UserError
from lipinc.scripts import run_script


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lipinc.release", description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path, help="of a run")
    parser.add_argument("--out", type=Path, required=True, help="NAME.safetensors")
    options = parser.parse_args()
    if options.out.suffix != ".safetensors":
        raise UserError(f"{options.out}: name it .safetensors")
    checkpoint = load_checkpoint(options.checkpoint, torch.device("cpu"))
    save_checkpoint(
        options.out,
        checkpoint.model,
        checkpoint.config,
        epoch=checkpoint.epoch,
        calibration=checkpoint.calibration,
        trained_on=checkpoint.trained_on,
        half=True,
    )
    print(f"{options.out}: {options.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    run_script(main)
