"""What the scripts in the repository root share: how they log, and how they end."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NoReturn

from tqdm.contrib.logging import logging_redirect_tqdm

from lipinc.errors import UserError, printable

MAX_HALF = 1000
"""Characters at either end of an error message that are printed."""


@contextmanager
def one_process() -> Iterator[None]:
    """Refuses torchrun, whose processes would all do the same and write the same files."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("torchrun is for train_pipeline.py alone; start this by python")
    yield


def run_script(
    main: Callable[[], int | None], within: Callable[[], AbstractContextManager[None]] = one_process
) -> None:
    """Run a script's main function and exit with the status it returns, None counting as 0.

    within: what it runs in; lipinc.ddp.process_group where torchrun may start several. The package's log goes
    to stderr, above the progress bars. A UserError is one line and status 2; Ctrl-C is one line and status 130.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("lipinc").setLevel(logging.INFO)
    try:
        with within(), logging_redirect_tqdm():
            status = main()
    except UserError as error:
        # A loader process wraps the message into its traceback; the last mention is the message itself.
        message = str(error).rpartition("UserError: ")[2].strip()
        if len(message) > 2 * MAX_HALF:  # it quotes a cell of a megabyte; what happened and what to do are at its ends
            message = f"{message[:MAX_HALF]} ... {message[-MAX_HALF:]}"
        print(f"error: {printable(message)}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a folder that cannot be written, a disk that is full
        if error.filename is None:
            raise
        print(f"error: {printable(str(error.filename))}: {error.strerror}; what is done is kept", file=sys.stderr)
        sys.exit(2)
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        if isinstance(error.__context__, KeyboardInterrupt):  # a loader process that was just beginning got it too
            _end_interrupted()
        print(
            f"error: {str(error).splitlines()[0].rstrip('.')}, mostly for want of memory; what is done is kept. "
            "Lower --train.loader-workers",
            file=sys.stderr,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        _end_interrupted()
    sys.exit(status or 0)


def _end_interrupted() -> NoReturn:
    print("\ninterrupted; the same command continues (training: with --resume auto)", file=sys.stderr)
    sys.exit(130)
