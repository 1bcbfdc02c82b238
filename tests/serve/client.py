"""An HTTP client that sends what a browser would send, or what it would never send."""

import http.client
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from lipinc.serve.server import Server

PATIENCE = 60
"""Seconds that a server gets to become as expected."""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()


class Client:
    """Speaks to a server. Headers that are None are left out."""

    def __init__(self, server: Server) -> None:
        address = urlsplit(server.address)
        self.port = address.port
        self.token = parse_qs(address.query)["token"][0]
        self.host = f"127.0.0.1:{self.port}"
        self.entry = f"/?{address.query}"
        self.home = self.request("GET", self.entry, Cookie=None).headers["location"]

    def headers(self, **changes: str | None) -> dict[str, str]:
        own = {"Host": self.host, "Origin": f"http://{self.host}", "Cookie": f"lipinc-{self.port}={self.token}"}
        return {name: value for name, value in (own | changes).items() if value is not None}

    def request(self, method: str, path: str, body: bytes | None = None, **changes: str | None) -> Answer:
        """path: below the home of the server, unless it begins with a slash."""
        path = path if path.startswith("/") else self.home + path
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers(**changes).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        result = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        connection.close()
        return result

    def get(self, path: str, **changes: str | None) -> Answer:
        return self.request("GET", path, **changes)

    def send(self, content: bytes, name: str = "a.mp4") -> Answer:
        return self.request("POST", f"videos?name={quote(name, errors='surrogatepass')}", content)

    def begin(self, **headers: str) -> socket.socket:
        """Send the head of an upload, and return its connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        lines = [
            f"POST {self.home}videos?name=a.mp4 HTTP/1.1",
            *(f"{k}: {v}" for k, v in self.headers(**headers).items()),
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection

    def videos(self) -> list[dict[str, Any]]:
        return json.loads(self.get("videos").content)["videos"]

    def wait_for(self, *states: str) -> list[dict[str, Any]]:
        """Wait until the videos, the newest first, have these states; return them."""
        return until(lambda: [video["state"] for video in self.videos()] == [*states] and self.videos())


def until(condition: Callable[[], Any]) -> Any:
    """Wait until a condition is true, and return its value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return value


def status_of(connection: socket.socket) -> int:
    """The status of the response that a connection receives."""
    with connection.makefile("rb") as file:
        return int(file.readline().split()[1])
