"""Who may use the server, and what browsers may do with its responses."""

import socket

import pytest

from lipinc.serve import server as server_module
from tests.serve.client import status_of


def test_the_token_of_the_address_becomes_a_cookie(running):
    """Only below a path that other servers on this machine do not know, although browsers would send it to them."""
    server, client = running
    entered = client.get(server.address.partition(client.host)[2], Cookie=None, Origin=None)
    assert (entered.status, entered.headers["location"]) == (303, client.home) and len(client.home) > 20
    cookie = entered.headers["set-cookie"]
    assert cookie.startswith(f"lipinc-{client.port}={client.token};")
    assert {"HttpOnly", f"Path={client.home}", "SameSite=strict"} < {*cookie.split("; ")}
    page = client.get("", Cookie=cookie.partition(";")[0])
    assert page.status == 200 and "Nothing leaves this machine" in page.text
    assert client.token not in page.text


def test_without_the_token_nothing_is_given_or_taken(running):
    _, client = running
    identity = client.send(b"video").text.split('"')[3]
    name, token = f"lipinc-{client.port}", client.token
    inside = [client.home + path for path in ("", "script.js", "videos", f"videos/{identity}/report", "nothing")]
    for cookie in (None, f"{name}=", f"{name}={token[:-1]}", f"{name}={token}x", f"lipinc-1={token}", "é"):
        for path in ("/", "/videos", "/?token=", "/?token=%C3%A9%00", *inside):
            assert client.get(path, Cookie=cookie and cookie.encode()).status == 403
        assert client.request("POST", "videos?name=b.mp4", b"video", Cookie=cookie and cookie.encode()).status == 403
        assert client.request("DELETE", f"videos/{identity}", Cookie=cookie and cookie.encode()).status == 403
    # The token of the address is for opening the page only.
    assert client.request("POST", f"videos?name=b.mp4&token={client.token}", b"video", Cookie=None).status == 403
    assert len(client.videos()) == 1


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", None])
def test_other_hosts_are_refused(running, host):
    """A site whose name is pointed to this machine: the browser takes its pages for pages of that site."""
    _, client = running
    host = host and host.format(port=client.port)
    for method in ("GET", "POST", "DELETE"):
        answer = client.request(method, f"/?token={client.token}", Host=host)
        assert answer.status == (400 if host is None else 421)  # HTTP/1.1 requires the header
        assert client.token not in str(answer.headers)
    assert client.get("", Host=f"LocalHost:{client.port}").status == 200


@pytest.mark.parametrize(
    "origin",
    [None, "null", "", "http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1:{port}", "127.0.0.1:{port}"],
)
def test_changes_from_other_pages_are_refused(running, origin):
    _, client = running
    identity = client.send(b"hang").text.split('"')[3]
    origin = origin and origin.format(port=client.port)
    assert client.request("POST", "videos?name=b.mp4", b"video", Origin=origin).status == 403
    assert client.request("DELETE", f"videos/{identity}", Origin=origin).status == 403
    assert [video["id"] for video in client.videos()] == [identity]


def test_every_response_is_secured(running):
    _, client = running
    client.send(b"video")
    (video,) = client.wait_for("done")
    answers = [
        *(client.get(path) for path in ("", "style.css", "script.js", "videos", "nothing", "videos/x/report")),
        client.get("/videos"),
        client.get("", Cookie=None),
        client.get("", Host="evil.example"),
        client.request("PUT", "videos"),
        client.send(b""),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 404, 404, 404, 403, 421, 405, 400]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    report = client.get(f"videos/{video['id']}/report")
    assert report.status == 200 and "frame-ancestors 'none'" in report.headers["content-security-policy"]
    for answer in (*answers, report):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers and "server" not in answer.headers


def test_it_listens_on_this_machine_only(running):
    _, client = running
    with pytest.raises(ConnectionRefusedError):  # another address of this machine
        socket.create_connection(("127.0.0.2", client.port), timeout=5)


def test_videos_and_tokens_of_another_server_are_unknown(start):
    (_, client), (_, other) = start(), start()
    assert client.token != other.token and len(client.token) >= 43
    client.send(b"video")
    (video,) = client.wait_for("done")
    assert other.get(f"videos/{video['id']}/report").status == 404
    assert other.request("DELETE", f"videos/{video['id']}").status == 404
    assert other.get("videos", Cookie=f"lipinc-{other.port}={client.token}").status == 403
    assert client.get(f"videos/{video['id']}/report").status == 200


PATHS = [
    "/../../etc/passwd",
    "//etc/passwd",
    "/videos/../../lock",
    "/videos/..%2F..%2Flock/report",
    "/%00",
    "/videos/%0d%0a",
]
PATHS += [
    "/style.css/..%2f..%2fapp.py",
    "/app.py",
    "/assets/index.html",
    "/videos/.",
    "/videos/%2e%2e/report",
    "/\\",
    "*",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_to_a_file(running, path):
    _, client = running
    for method in ("GET", "DELETE"):
        assert client.request(method, path).status in (400, 404, 405)
        assert client.request(method, client.home[:-1] + path).status in (400, 404, 405)


@pytest.mark.parametrize(
    "head", [b"", b"GET / HT", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\nHost: x\r\nX: "]
)
def test_a_connection_without_a_request_is_closed(running, monkeypatch, head):
    monkeypatch.setattr(server_module, "REQUEST_TIME", 0.2)
    _, client = running
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        connection.sendall(head)
        received = connection.recv(1000)
        assert received == b"" or received.startswith(b"HTTP/1.1 400")


def test_the_server_is_not_a_proxy(running):
    _, client = running
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        connection.sendall(b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert status_of(connection) == 421


def test_old_clients_without_a_host_are_refused(running):
    _, client = running
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as connection:
        connection.sendall(f"GET /?token={client.token} HTTP/1.0\r\n\r\n".encode())
        assert status_of(connection) == 421
