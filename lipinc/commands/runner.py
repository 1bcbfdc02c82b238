"""Command runner: logging, signals, error messages and exit status of all commands."""

import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from typing import Any, NoReturn

from tqdm.contrib.logging import logging_redirect_tqdm

from lipinc.commands import missing_library
from lipinc.commands.terminal import stdout_failure
from lipinc.errors import UserError, printable

MAX_MESSAGE_HALF = 1000
"""Number of characters printed from each end of a very long error message."""


class Terminated(KeyboardInterrupt):
    """SIGTERM (docker stop, Slurm, systemd) or SIGHUP (a terminal that is closed): ends a command as Ctrl-C does."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def run_command(main: Callable[[], int | None], *, torchrun: bool = False) -> NoReturn:
    """Run the main function of a command and exit with the status that it returns (None: 0).

    Log messages go to stderr, above progress bars. A UserError prints one line and exits with status 2; Ctrl-C, SIGTERM
    and SIGHUP print one line and exit with status 130, 143 and 129.

    Args:
        main: the main function, without arguments.
        torchrun: whether the command supports several processes started by torchrun.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("lipinc").setLevel(logging.INFO)
    with _terminable():
        try:
            status = _run(main, torchrun)
        except KeyboardInterrupt as interrupt:
            status = _report_interruption(interrupt)
    sys.exit(status)


def _run(main: Callable[[], int | None], torchrun: bool) -> int:
    """Run the main function and report its errors. Returns the exit status."""
    try:
        if not torchrun and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            # All processes would do the same work and write the same files.
            raise UserError("only train_pipeline.py supports torchrun; run this command without it")
        with logging_redirect_tqdm():
            status = main() or 0
    except UserError as error:
        # The DataLoader embeds the message of a loader process in a traceback; the message is its last part.
        message = str(error).rpartition("UserError: ")[2].strip()
        if len(message) > 2 * MAX_MESSAGE_HALF:  # for example a huge CSV cell; problem and solution are at the ends
            message = f"{message[:MAX_MESSAGE_HALF]} ... {message[-MAX_MESSAGE_HALF:]}"
        return _report(printable(message))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "lipinc":
            raise
        return _report(missing_library(error))
    except OSError as error:  # for example a read-only folder or a full disk
        if error.filename is None:
            raise
        return _report(f"{printable(str(error.filename))}: {error.strerror}; progress is saved")
    except RuntimeError as error:
        if not str(error).startswith("DataLoader"):
            raise
        _kill_loader_processes()
        if isinstance(error.__context__, KeyboardInterrupt):  # Ctrl-C also hit a loader process that was starting
            return _report_interruption(error.__context__)
        return _report(_loader_message(str(error).splitlines()[0].rstrip(".")))
    failure = stdout_failure()
    if failure is not None and failure.errno != errno.EPIPE:  # behind `| head`, nobody misses the output
        print(f"error: standard output cannot be written ({failure.strerror})", file=sys.stderr)
        return status or 1
    return status


@contextmanager
def _terminable() -> Iterator[None]:
    """Raise Terminated in the block on the first SIGTERM or SIGHUP, unless it is ignored (nohup)."""

    def terminate(number: int, _: Any) -> None:
        for other in before:
            signal.signal(other, signal.SIG_IGN)  # nothing interrupts what is saved now
        raise Terminated(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    before = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
    for number in before:
        signal.signal(number, terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _loader_message(problem: str) -> str:
    """What to do if a loader process fails. problem: the first line of torch's message."""
    if "timed out" in problem:
        return (
            f"{problem}: its processes wait for a disk that does not answer, or for shared memory; progress is saved. "
            "Check the disk of the cache, or load in the training process: --train.loader-workers 0"
        )
    if "Bus error" in problem:
        return (
            f"{problem.partition('. ')[0]}: /dev/shm is full; progress is saved. Make it larger (docker run "
            "--shm-size 1g), or load in the training process: --train.loader-workers 0"
        )
    return f"{problem}, usually out of memory; progress is saved. Lower --train.loader-workers"


def _kill_loader_processes() -> None:
    """They ignore SIGTERM, and Python waits for its child processes before it exits."""
    processes = active_children()
    if processes:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would raise for each of them
    for process in processes:
        process.kill()


def _report(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def _report_interruption(interrupt: BaseException) -> int:
    _kill_loader_processes()
    number = interrupt.number if isinstance(interrupt, Terminated) else signal.SIGINT
    what = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    how = "train: with --resume auto; detect: with --resume; features begins again"
    print(f"\n{what}; the same command continues ({how})", file=sys.stderr)
    return 128 + number
