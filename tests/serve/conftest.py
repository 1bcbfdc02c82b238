"""Servers whose subprocesses read no videos, and their clients."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lipinc.detection.batch import Settings
from lipinc.serve import jobs
from lipinc.serve.server import Server, serve
from tests.serve import stand_ins
from tests.serve.client import Client, until


@pytest.fixture(scope="module")
def without_videos() -> Iterator[None]:
    """Subprocesses do what `stand_ins` says."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("prepare", "read_video", "reject_video"):
            patch.setattr(jobs, name, getattr(stand_ins, name))
        yield


@pytest.fixture
def start(without_videos) -> Iterator[Callable[..., tuple[Server, Client]]]:
    """start(time_limit=60, max_bytes=10**6, max_jobs=3): a running server, and its client."""
    with ExitStack() as stack:

        def start(time_limit: float = 60, max_bytes: int = 10**6, max_jobs: int = 3) -> tuple[Server, Client]:
            settings = Settings("no checkpoint", time_limit=time_limit)
            server = stack.enter_context(serve(settings, port=0, max_bytes=max_bytes, max_jobs=max_jobs))
            return server, Client(server)

        yield start


@pytest.fixture(scope="module")
def shared_server(without_videos) -> Iterator[Server]:
    with serve(Settings("no checkpoint", time_limit=60), port=0, max_bytes=10**6, max_jobs=3) as server:
        yield server


@pytest.fixture
def running(shared_server) -> Iterator[tuple[Server, Client]]:
    """The server of the module, without videos, and its client."""
    client = Client(shared_server)
    yield shared_server, client
    for video in client.videos():
        client.request("DELETE", f"videos/{video['id']}")
    # A video that is being read is deleted when its process has ended.
    until(lambda: not any(shared_server.folder.glob("*/upload*")))
