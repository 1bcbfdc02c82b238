"""Training in several processes, which torchrun starts: all that differs from training in one.

    torchrun --nproc_per_node=2 train_pipeline.py --config config.py

All processes run the same code, each on its share of every batch; gradients and the statistics of batch normalisation
are those of the whole batch. The first process alone prints and writes. Without torchrun there is one process, whose
share is everything.
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
"""How long a process waits for the others before it gives the run up: more than the slowest of them lags behind."""
ENDED = (
    "a process of this run died or was stopped (torchrun says below which one); "
    "what is done is kept: the same command continues, with --resume auto"
)

Item = TypeVar("Item")


@contextmanager
def process_group(*, alone: bool = False) -> Iterator[None]:
    """Joins the processes that torchrun started, silences all but the first, and parts them at the end.

    Whatever fails in one of them ends all, with the message of the one that failed first. Raises UserError where
    another one is gone.

    alone: join a group where torchrun started one process, too, which then runs all that several do (for checks).
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not alone:
        yield
        return
    store, rank, size = next(dist.rendezvous("env://", timeout=TIMEOUT))
    # Of both kinds, gloo for what is on the CPU and nccl for what is on CUDA: the config that chooses comes later.
    dist.init_process_group(store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    signal.signal(signal.SIGTERM, _end)
    if rank:
        logging.getLogger("lipinc").setLevel(logging.ERROR)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere) if rank else nullcontext():
            yield
    except BaseException as error:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if not _is_first_to_fail(store):
            sys.exit(1)
        if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            raise UserError(ENDED) from error
        raise
    dist.destroy_process_group()


@contextmanager
def main_first() -> Iterator[None]:
    """The first process does what follows before the others: if it fails, they never begin."""
    if not is_main():
        total(torch.zeros(1))  # on the CPU: a barrier would take a CUDA device before one is chosen
    yield
    if is_main():
        total(torch.zeros(1))


def processes() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this one, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this is the one that prints and writes."""
    return rank() == 0


def share(items: Sequence[Item]) -> Sequence[Item]:
    """What of the items falls to this process: every n-th, of n processes."""
    return items[rank() :: processes()]


def gather(mine: list[Item]) -> list[Item]:
    """What all made of their `share`, in the order of the whole: every process gets it, and waits for it."""
    if not dist.is_initialized():
        return mine
    shares: list[list[Item]] = [[] for _ in range(processes())]
    dist.all_gather_object(shares, mine)
    return [shares[place % len(shares)][place // len(shares)] for place in range(sum(map(len, shares)))]


def total(values: torch.Tensor) -> torch.Tensor:
    """The sum over all processes, on each of them: values of any shape. Gradients flow through it."""
    return _Total.apply(values) if dist.is_initialized() else values


def parallelise(model: nn.Module) -> nn.Module:
    """The network as it is trained in several processes. It shares the weights of `model`, which keeps its names.

    DistributedDataParallel averages gradients over processes: scale a loss by `processes()` times this process's part
    of the batch. Batch normalisation is over the whole batch; nn.SyncBatchNorm would do that on CUDA alone.
    """
    if not dist.is_initialized():
        return model
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.forward = partial(_normalise_over_all, layer)
    # Running statistics are the same everywhere.
    known = inspect.signature(DistributedDataParallel).parameters
    sync = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # before torch 2.13
    return DistributedDataParallel(model, **{sync: False})


@torch.compiler.disable
def _normalise_over_all(layer: _BatchNorm, x: torch.Tensor) -> torch.Tensor:
    """Batch normalisation of x (B, C, ...) by the statistics of all processes' clips."""
    if not layer.training:
        return type(layer).forward(layer, x)
    values = x if x.dtype == torch.float64 else x.float()  # under autocast too: small differences of large sums
    dims = [dim for dim in range(x.dim()) if dim != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    count = total(values.new_full((), values[:, 0].numel()))  # new_tensor would wait for the device
    mean = total(values.sum(dims)) / count
    centred = values - mean.view(shape)
    variance = total(centred.square().sum(dims)) / count
    with torch.no_grad():
        layer.num_batches_tracked += 1
        layer.running_mean.lerp_(mean, layer.momentum)
        layer.running_var.lerp_(variance * count / (count - 1), layer.momentum)
    normal = centred * (variance + layer.eps).rsqrt().view(shape)
    if layer.affine:
        normal = normal * layer.weight.view(shape) + layer.bias.view(shape)
    return normal.to(x.dtype)


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        values = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _Total.forward(ctx, gradient)


def _is_first_to_fail(store: dist.Store) -> bool:
    try:
        return store.add("failed", 1) == 1
    except RuntimeError:  # the process that kept the store is gone
        return True


def _end(*_: Any) -> None:
    raise UserError(ENDED)
