"""Device selection."""

import os

import torch

from lipinc.errors import UserError


def choose_device(name: str) -> torch.device:
    """Select the device of this process. Under torchrun, each process of a machine gets its own CUDA device.

    Args:
        name: `cuda`, `cpu`, or `auto` for CUDA if available.

    Raises:
        UserError: the name is invalid, there is no CUDA device, or there are fewer devices than processes.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device must be auto, cpu or cuda, not {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda, but torch sees no CUDA device; use auto")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    number, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= devices:
        raise UserError(f"there are more processes than CUDA devices; use torchrun --nproc_per_node={devices}")
    device = torch.device("cuda", number)
    torch.cuda.set_device(device)  # otherwise pinned memory opens a context on the first GPU in every process
    return device
