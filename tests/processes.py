"""Processes that are there at once: each is forked from one that has imported everything and computed nothing."""

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from lipinc.ddp import process_group

CONTEXT = multiprocessing.get_context("forkserver")
# DistributedDataParallel imports torch._dynamo when the first one is made.
CONTEXT.set_forkserver_preload(["lipinc.experiment", "tests.processes", "torch._dynamo"])


def in_processes(count: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What a function returns in each of some processes that train together, as torchrun would start them."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ends = [CONTEXT.Pipe(duplex=False) for _ in range(count)]
    started = [start(_take_part, rank, count, port, end, function, *arguments) for rank, (_, end) in enumerate(ends)]
    for _, end in ends:
        end.close()  # so that a process which dies is noticed
    results = [mine.recv() for mine, _ in ends]
    for process in started:
        process.join()
    return results


def heed_interrupts() -> None:
    """For a new process: what a shell starts in the background ignores Ctrl-C, and so would all that this starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(function: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """A started process."""
    process = CONTEXT.Process(target=function, args=arguments, daemon=False)
    process.start()
    return process


def _take_part(
    rank: int, count: int, port: int, end: Connection, function: Callable[..., Any], *arguments: Any
) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with process_group():
        end.send(function(*arguments))
