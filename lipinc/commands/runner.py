"""Command runner: logging, error messages and exit status of all commands."""

import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from tqdm.contrib.logging import logging_redirect_tqdm

from lipinc.commands import missing_library
from lipinc.errors import UserError, printable

MAX_MESSAGE_HALF = 1000
"""Number of characters printed from each end of a very long error message."""


def run_command(main: Callable[[], int | None], *, torchrun: bool = False) -> NoReturn:
    """Run the main function of a command and exit with the status that it returns (None: 0).

    Log messages go to stderr, above progress bars. A UserError prints one line and exits with status 2; Ctrl-C prints
    one line and exits with status 130.

    Args:
        main: the main function, without arguments.
        torchrun: whether the command supports several processes started by torchrun.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("lipinc").setLevel(logging.INFO)
    try:
        if not torchrun and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            # All processes would do the same work and write the same files.
            raise UserError("only train_pipeline.py supports torchrun; run this command without it")
        with logging_redirect_tqdm():
            status = main()
    except UserError as error:
        # The DataLoader embeds the message of a loader process in a traceback; the message is its last part.
        message = str(error).rpartition("UserError: ")[2].strip()
        if len(message) > 2 * MAX_MESSAGE_HALF:  # for example a huge CSV cell; problem and solution are at the ends
            message = f"{message[:MAX_MESSAGE_HALF]} ... {message[-MAX_MESSAGE_HALF:]}"
        _fail(printable(message))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "lipinc":
            raise
        _fail(missing_library(error))
    except OSError as error:  # for example a read-only folder or a full disk
        if error.filename is None:
            raise
        _fail(f"{printable(str(error.filename))}: {error.strerror}; progress is saved")
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        if isinstance(error.__context__, KeyboardInterrupt):  # Ctrl-C also hit a loader process that was starting
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
