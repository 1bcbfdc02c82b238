"""A checkpoint made ready to ship: in half precision, at half the size, without the paths of where it was trained.

python -m lipinc.commands.release outputs/robust/checkpoints/best.safetensors --out weights/robust.safetensors
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from lipinc.commands.runner import run_script
from lipinc.config import CacheConfig, Config, DataConfig
from lipinc.errors import UserError
from lipinc.models.checkpoint import load_checkpoint, save_checkpoint


def without_paths(config: Config) -> Config:
    """The config without the folders of the machine that trained it; nothing that decides a score is among them."""
    data = replace(config.data, root=DataConfig.root, index=DataConfig.index)
    return replace(config, output=Config.output, data=data, cache=CacheConfig(), split=replace(config.split, file=""))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lipinc.commands.release", description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path, help="of a run")
    parser.add_argument("--out", type=Path, required=True, help="NAME.safetensors")
    options = parser.parse_args()
    if options.out.suffix != ".safetensors":
        raise UserError(f"{options.out}: name it .safetensors")
    checkpoint = load_checkpoint(options.checkpoint, torch.device("cpu"))
    save_checkpoint(
        options.out,
        checkpoint.model,
        without_paths(checkpoint.config),
        epoch=checkpoint.epoch,
        calibration=checkpoint.calibration,
        trained_on=checkpoint.trained_on,
        half=True,
    )
    print(f"{options.out}: {options.out.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    run_script(main)
