"""Commands that the GPU check starts: stopped with all that they started, and quoted if they fail."""

import os
import signal
import subprocess
import sys

from lipinc.config import REPOSITORY


class CommandFailed(Exception):
    """Its status and the end of what it said."""


def run_module(module: str, *arguments: str) -> str:
    """`python -m MODULE ARGUMENTS` in the repository; returns what it printed. Raises CommandFailed."""
    command = [sys.executable, "-m", module, *arguments]
    running = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // 2)), **os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # its group can be ended as a whole, and Ctrl-C does not reach it first
    )
    try:
        printed, errors = running.communicate()
    except BaseException:  # also out of time
        running.terminate()  # torchrun ends its processes, which are in groups of their own
        try:
            running.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        raise
    if running.returncode:
        end = " | ".join(line.strip() for line in errors.splitlines() if line.strip())[-400:]
        raise CommandFailed(f"{module} {' '.join(arguments)[:100]} ended with status {running.returncode}: {end}")
    return printed


def torchrun(*arguments: str) -> str:
    """`torchrun --nproc_per_node=1 ARGUMENTS`."""
    return run_module("torch.distributed.run", "--standalone", "--nproc_per_node=1", *arguments)
