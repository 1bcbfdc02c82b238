"""The device of a run, chosen once."""

import os

import torch

from lipinc.errors import UserError


def choose_device(name: str) -> torch.device:
    """The device of this process: `cuda`, `cpu`, or `auto`, CUDA where there is one.

    Under torchrun each process of a machine takes a CUDA device of its own. Raises UserError if there is none to take.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device must be auto, cpu or cuda, not {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda, but torch sees no CUDA device; use auto")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    number, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= devices:
        raise UserError(f"more processes than CUDA devices; use torchrun --nproc_per_node={devices}")
    device = torch.device("cuda", number)
    torch.cuda.set_device(device)  # pinned memory of every process would otherwise open a context on the first GPU
    return device
