"""Run in a subprocess of its own, which imports no more than this."""

import os
import signal

from lipinc.ddp import process_group
from lipinc.errors import UserError


def fail_and_be_terminated() -> str:
    """As if torchrun sent its SIGTERM while the error is on its way to the terminal."""
    try:
        with process_group(single=True):
            raise UserError("x")
    except UserError:
        os.kill(os.getpid(), signal.SIGTERM)
    return "printed"
