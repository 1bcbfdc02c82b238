"""Helpers for distributed (DDP) training.

    torchrun --nproc_per_node=2 train_pipeline.py --config config.py

All processes run the same code, each on its shard of every batch. Gradients and batch-normalisation statistics are
those of the whole batch. Only rank 0 prints and writes files. Without torchrun there is one process, and its shard is
the whole batch.
"""

import inspect
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from lipinc.errors import UserError

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others before it aborts the run. Must exceed the lag of the slowest process."""
PROCESS_LOST = (
    "a process of this run died or was stopped (torchrun names it below); "
    "progress is saved: run the same command with --resume auto to continue"
)

Item = TypeVar("Item")


@contextmanager
def process_group(*, single: bool = False) -> Iterator[None]:
    """Initialise the process group if torchrun started several processes, and destroy it at the end.

    Silences all ranks but 0. A failure in one process ends all of them; only the process that failed first prints its
    error message.

    Args:
        single: initialise a group of one process too, which then runs all that several do (for checks).

    Raises:
        UserError: another process is gone.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not single:
        yield
        return
    store, rank, size = next(dist.rendezvous("env://", timeout=TIMEOUT))
    # Both backends, gloo for CPU tensors and nccl for CUDA tensors: the config that chooses the device is read later.
    dist.init_process_group(store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    before = signal.signal(signal.SIGTERM, _raise_process_lost)
    if rank:
        logging.getLogger("lipinc").setLevel(logging.ERROR)
    try:
        with open(os.devnull, "w") as devnull, redirect_stdout(devnull) if rank else nullcontext():
            yield
    except BaseException as error:
        # As soon as one process is gone, torchrun sends SIGTERM to the others, which must not stop their message.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if not _is_first_to_fail(store):
            sys.exit(1)
        if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            raise UserError(PROCESS_LOST) from error
        raise
    signal.signal(signal.SIGTERM, before)
    dist.destroy_process_group()


@contextmanager
def main_first() -> Iterator[None]:
    """Run the block in rank 0 first, then in the other ranks. If rank 0 fails, the others never start."""
    if not is_main():
        # Serves as a barrier, on the CPU: dist.barrier would claim a CUDA device before one is chosen.
        all_reduce_sum(torch.zeros(1))
    yield
    if is_main():
        all_reduce_sum(torch.zeros(1))


def world_size() -> int:
    """The number of processes; 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The rank of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this process has rank 0, which prints and writes files."""
    return rank() == 0


def shard(items: Sequence[Item]) -> Sequence[Item]:
    """The items of this process: every n-th item, for n processes."""
    return items[rank() :: world_size()]


def all_gather(items: list[Item]) -> list[Item]:
    """Gather the results that every process computed for its `shard`, in the order of the unsharded items.

    Every process waits for all others and gets the whole list.
    """
    if not dist.is_initialized():
        return items
    shards: list[list[Item]] = [[] for _ in range(world_size())]
    dist.all_gather_object(shards, items)
    return [shards[index % len(shards)][index // len(shards)] for index in range(sum(map(len, shards)))]


def all_reduce_sum(values: torch.Tensor) -> torch.Tensor:
    """Sum a tensor of any shape over all processes. Every process gets the sum; gradients flow through it."""
    return _AllReduceSum.apply(values) if dist.is_initialized() else values


def wrap_ddp(model: nn.Module) -> nn.Module:
    """Wrap a network in DistributedDataParallel, with batch normalisation over the whole batch.

    DistributedDataParallel averages gradients over the processes, so scale the loss by `world_size()` times this
    process's fraction of the batch. nn.SyncBatchNorm is not used because it works on CUDA only.

    Returns:
        The wrapped network, or `model` itself if there is one process. It shares the weights of `model`, whose
        parameter names stay as they are.
    """
    if not dist.is_initialized():
        return model
    synchronised = torch.compiler.disable(_sync_batch_norm)  # as a decorator, it would import the compiler (2 s) always
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.forward = partial(synchronised, layer)
    # Buffers need no broadcast: running statistics are the same in every process.
    known = inspect.signature(DistributedDataParallel).parameters
    sync = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # before torch 2.13
    return DistributedDataParallel(model, **{sync: False})


def _sync_batch_norm(layer: _BatchNorm, x: torch.Tensor) -> torch.Tensor:
    """Batch normalisation of x (B, C, ...) with statistics over the clips of all processes."""
    if not layer.training:
        return type(layer).forward(layer, x)
    # float32 under autocast too: the variance is a small difference of large sums.
    values = x if x.dtype == torch.float64 else x.float()
    dims = [dim for dim in range(x.dim()) if dim != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    count = all_reduce_sum(values.new_full((), values[:, 0].numel()))  # new_tensor would wait for the device
    mean = all_reduce_sum(values.sum(dims)) / count
    centred = values - mean.view(shape)
    variance = all_reduce_sum(centred.square().sum(dims)) / count
    with torch.no_grad():
        layer.num_batches_tracked += 1
        layer.running_mean.lerp_(mean, layer.momentum)
        layer.running_var.lerp_(variance * count / (count - 1), layer.momentum)
    normalised = centred * (variance + layer.eps).rsqrt().view(shape)
    if layer.affine:
        normalised = normalised * layer.weight.view(shape) + layer.bias.view(shape)
    return normalised.to(x.dtype)


class _AllReduceSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        values = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _AllReduceSum.forward(ctx, gradient)


def _is_first_to_fail(store: dist.Store) -> bool:
    try:
        return store.add("failed", 1) == 1
    except RuntimeError:  # the process that hosts the store is gone
        return True


def _raise_process_lost(*_: Any) -> None:
    raise UserError(PROCESS_LOST)
