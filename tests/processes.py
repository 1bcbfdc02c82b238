"""Processes that are there at once: each is forked from one that has imported everything and computed nothing."""

import atexit
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from lipinc.ddp import process_group

CONTEXT = multiprocessing.get_context("forkserver")
# The last four are imported at their first use: by optimizers and DistributedDataParallel, losses, calibration, plots.
CONTEXT.set_forkserver_preload(
    ["lipinc.experiment", "tests.processes", "torch._dynamo", "lipinc.losses.ssim_cpu", "scipy.optimize"]
    + ["matplotlib.backends.backend_agg"]
)


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


def run_python(words: Sequence[str], folder: Path, timeout: float = 300, **env: str) -> subprocess.CompletedProcess:
    """`python WORDS` in a folder, but for the imports, which take longer than most commands on small data.

    Args:
        words: A script or `-m MODULE`, and its arguments.
        timeout: In s.
        env: Added to the environment.

    Raises:
        subprocess.TimeoutExpired: It was killed.
    """
    with tempfile.TemporaryDirectory() as outputs:
        streams = [os.devnull, *(str(Path(outputs, name)) for name in ("stdout", "stderr"))]
        process = start(_run_python, [str(word) for word in words], str(folder), {**os.environ, **env}, streams)
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(words, timeout)
        texts = [Path(name).read_text() for name in streams[1:]]
    return subprocess.CompletedProcess(words, process.exitcode, *texts)


def _run_python(words: list[str], folder: str, env: dict[str, str], streams: list[str]) -> None:
    for number, name in enumerate(streams):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    sys.path.insert(0, folder)
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # which multiprocessing leaves out


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
