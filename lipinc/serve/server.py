"""The server: a socket of this machine, the application behind its guard, and the thread that answers."""

import asyncio
import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lipinc.detection.batch import Settings
from lipinc.errors import UserError
from lipinc.serve.app import create_app
from lipinc.serve.folder import private_folder
from lipinc.serve.jobs import Jobs
from lipinc.serve.security import Guard

REQUEST_TIME = 10
"""Seconds in which the head of a request must arrive."""
GRACE = 1
"""Seconds that requests in progress get at the end."""


class Server:
    """A server that is running. `address` contains the token."""

    def __init__(self, address: str, folder: Path, jobs: Jobs, thread: threading.Thread) -> None:
        self.address, self.folder, self.jobs = address, folder, jobs
        self._thread = thread

    def wait(self) -> None:
        """Wait until the server ends, which it does for a bug only."""
        self._thread.join()


@contextmanager
def serve(settings: Settings, *, port: int, max_bytes: int, max_jobs: int) -> Iterator[Server]:
    """Yield a running server. When the block ends, it stops, and all videos and reports are deleted.

    Args:
        settings: the checkpoint and its options; the time limit holds for an upload and for reading it.
        port: the port on 127.0.0.1; 0: any free one.
        max_bytes: maximum size of a video, in bytes.
        max_jobs: maximum number of unfinished videos.

    Raises:
        UserError: the port or the checkpoint cannot be used.
    """
    token = secrets.token_urlsafe(32)
    with _listen(port) as listener, private_folder() as folder:
        port = listener.getsockname()[1]
        jobs = Jobs(settings, folder, max_jobs)
        try:
            app = create_app(jobs, max_bytes=max_bytes, upload_time=settings.time_limit)
            with _answering(Guard(app, token, port), listener) as thread:
                yield Server(f"http://127.0.0.1:{port}/?token={token}", folder, jobs, thread)
        finally:
            jobs.close()


@contextmanager
def _answering(app: Guard, listener: socket.socket) -> Iterator[threading.Thread]:
    """Answer requests in another thread, so that signals stay with the main thread and its owner."""
    server = _Uvicorn(
        uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.ERROR,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE,
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="lipinc-http", daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        server.should_exit = True
        thread.join()


class _Uvicorn(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # uploads that the end cuts off are no error
        await super().shutdown(sockets)


class _Protocol(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.loop.call_later(REQUEST_TIME, self._close_without_request)

    def _close_without_request(self) -> None:
        """uvicorn waits for ever for the head of the first request; connections have no second one."""
        if self.cycle is None:
            self.transport.close()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) else "there is no such port"
        raise UserError(f"port {port} cannot be used ({reason}); give another with --port, or --port 0") from None
