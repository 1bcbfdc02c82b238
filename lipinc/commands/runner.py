"""How a command logs, and how it ends."""

import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from tqdm.contrib.logging import logging_redirect_tqdm

from lipinc.commands import missing_library
from lipinc.errors import UserError, printable

MAX_MESSAGE_HALF = 1000
"""Characters at either end of an error message that are printed."""


def run_command(main: Callable[[], int | None], *, torchrun: bool = False) -> NoReturn:
    """Run the main function of a command and exit with the status it returns, None counting as 0.

    torchrun: whether torchrun may start several processes of it. The log of the package goes to stderr, above the
    progress bars. A UserError is one line and status 2; Ctrl-C is one line and status 130.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("lipinc").setLevel(logging.INFO)
    try:
        if not torchrun and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            # Its processes would all do the same and write the same files.
            raise UserError("torchrun is for train_pipeline.py alone; start this command by itself")
        with logging_redirect_tqdm():
            status = main()
    except UserError as error:
        # A loader process wraps the message into its traceback; the last mention is the message itself.
        message = str(error).rpartition("UserError: ")[2].strip()
        if len(message) > 2 * MAX_MESSAGE_HALF:  # it quotes a cell of a megabyte; what happened and what to do are at its ends
            message = f"{message[:MAX_MESSAGE_HALF]} ... {message[-MAX_MESSAGE_HALF:]}"
        _fail(printable(message))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "lipinc":
            raise
        _fail(missing_library(error))
    except OSError as error:  # a folder that cannot be written, a disk that is full
        if error.filename is None:
            raise
        _fail(f"{printable(str(error.filename))}: {error.strerror}; progress is saved")
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        if isinstance(error.__context__, KeyboardInterrupt):  # a loader process that was just starting got it too
            _end_interrupted()
        _fail(
            f"{str(error).splitlines()[0].rstrip('.')}, usually out of memory; progress is saved. "
            "Lower --train.loader-workers"
        )
    except KeyboardInterrupt:
        _end_interrupted()
    sys.exit(status or 0)


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _end_interrupted() -> NoReturn:
    print("\ninterrupted; the same command continues (training: with --resume auto)", file=sys.stderr)
    sys.exit(130)
