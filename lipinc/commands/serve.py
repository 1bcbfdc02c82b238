"""Look for lip-sync in videos, in a page on this machine, for people who use no terminal.

    lipinc serve
    lipinc serve --port 0 --browser

It prints an address with a secret token: open it in a browser on this machine, drop videos on the page, read their
reports, delete them. The server listens on 127.0.0.1 only, and nothing leaves this machine. Each video is deleted as
soon as it has been read; reports are deleted on request, and all of them when the server stops.

Exit status: 2 for invalid usage; 130 after Ctrl-C and 143 after SIGTERM, the usual ways to stop it.
"""

import signal
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from lipinc.config.command_line import parse_arguments
from lipinc.detection.batch import DEFAULT_CHECKPOINT, Settings
from lipinc.errors import UserError

LIBRARIES = ("starlette", "uvicorn", "anyio", "h11", "click")


@dataclass(frozen=True)
class Arguments:
    """Arguments of serve."""

    port: int = 8765
    """Port on 127.0.0.1; 0: any free one. To use another machine's server, forward the port under the same number: ssh
    -L 8765:127.0.0.1:8765 MACHINE."""
    browser: tyro.conf.UseCounterAction[int] = 0
    """Open the page in a browser. Its command line shows the token to other users of this machine."""
    checkpoint: str = DEFAULT_CHECKPOINT
    """A checkpoint file, or the name of a shipped checkpoint: mouth_noise, lipinc_v2."""
    plugin: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE ...")] = ()
    """Python files that define the model of the checkpoint, if it is a plug-in."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    face: str = "all"
    """Faces to judge: all (up to four), largest (by area over the video), or the rank of one face by area, from 0."""
    time_limit: float = Settings.time_limit
    """Maximum time in s to receive a video, and again to read it."""
    max_size: float = 2.0
    """Maximum size of a video in GB (10^9 bytes)."""
    max_jobs: int = 8
    """Maximum number of videos that are received, wait or are read at a time; others are asked to come later."""


def main(argv: Sequence[str], prog: str) -> int:
    """Run the command."""
    arguments = parse_arguments(Arguments, argv, prog=prog, description=__doc__)
    for name in ("time_limit", "max_size", "max_jobs"):
        if not getattr(arguments, name) > 0:
            raise UserError(f"--{name.replace('_', '-')} must be more than 0")
    if arguments.max_size > 1e6:
        raise UserError("--max-size is in GB and must be at most 1000000")
    try:
        from lipinc.serve.server import serve
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in LIBRARIES:
            raise
        raise UserError(
            f"lipinc serve needs {library}; install the optional libraries: pip install '.[serve]' in the repository, "
            "or pip install starlette uvicorn"
        ) from None
    settings = Settings(
        arguments.checkpoint,
        arguments.device,
        arguments.face,
        time_limit=arguments.time_limit,
        plugins=tuple(file.absolute() for file in arguments.plugin),
    )
    size = int(arguments.max_size * 1e9)
    try:
        with serve(settings, port=arguments.port, max_bytes=size, max_jobs=arguments.max_jobs) as server:
            print(
                f"Open this address in a browser on this machine; Ctrl-C stops the server:\n{server.address}",
                flush=True,
            )
            if arguments.browser:
                webbrowser.open(server.address)
            try:
                server.wait()
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing interrupts the deletion
    except KeyboardInterrupt as interrupt:
        print("\nstopped; all videos and reports are deleted", file=sys.stderr)
        return 128 + getattr(interrupt, "number", signal.SIGINT)
    raise UserError("the server ended by itself; see its output above")
