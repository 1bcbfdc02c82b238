"""Uploads: hostile names, sizes and senders, and what is left of them."""

import json
import threading

import pytest

from lipinc.serve import app, jobs
from tests.serve.client import status_of, until

NAMES = {
    "../../etc/passwd": "passwd",
    "/etc/cron.d/x.mp4": "x.mp4",
    "..": "..",
    "": "video",
    "a/": "video",
    "<script>alert(1)</script>.mp4": "script>.mp4",
    "<img src=x onerror=alert(1)>.mp4": "<img src=x onerror=alert(1)>.mp4",
    "\"quotes\" 'x' `y`.mp4": "\"quotes\" 'x' `y`.mp4",
    "line\nbreak\r\u2028.mp4": "line\\nbreak\\r\\u2028.mp4",
    "nul\0.mp4": "nul\\x00.mp4",
    "\u202egpj.exe\u2066.mp4": "\\u202egpj.exe\\u2066.mp4",
    "\udce9.mp4": "\ufffd\ufffd\ufffd.mp4",  # not UTF-8
    "口型 é 🎥.mp4": "口型 é 🎥.mp4",
    "-rf $(touch x) ; | &.mp4": "-rf $(touch x) ; | &.mp4",
    "x" * 5000 + ".mp4": "x" * 99 + "…" + "x" * 96 + ".mp4",
    "a." + "y" * 300: "a." + "y" * 97 + "…" + "y" * 100,
    "a.mp4\0/../b": "b",
}


def test_names_are_text_and_no_paths(start, tmp_path):
    server, client = start(max_jobs=len(NAMES))
    for name in NAMES:
        assert client.send(b"video", name).status == 201
    shown = [video["name"] for video in client.wait_for(*["done"] * len(NAMES))]
    assert shown[::-1] == [*NAMES.values()]
    # One folder each with a report, and nothing else.
    files = [path.relative_to(server.folder).parts for path in server.folder.rglob("*") if path.is_file()]
    identities = {video["id"] for video in client.videos()}
    assert {parts for parts in files if parts[0] != "lock" and not parts[0].startswith("tmp")} == {
        (identity, "report.html") for identity in identities
    }


def test_an_upload_keeps_the_suffix_of_its_name(start):
    server, client = start(max_jobs=9)
    for name in ("a.MP4", "a.m2ts", "a", "a.mp4\n", "a.é", "a.mp4/../b.", "a." + "x" * 20):
        assert client.send(b"hang", name).status == 201
    suffixes = [next((server.folder / video["id"]).glob("upload*")).suffix for video in client.videos()]
    assert suffixes[::-1] == [".mp4", ".m2ts", "", "", "", "", ""]


@pytest.mark.slow
def test_a_video_is_deleted_as_soon_as_it_was_read(running):
    server, client = running
    for content in (b"video", b"die", b"fail"):
        client.send(content)
    failed, crashed, done = client.wait_for("failed", "done", "done")
    assert (done["verdict"], crashed["verdict"]) == ("uncertain", "no verdict")
    assert "No space left on device" in failed["detail"] and "says nothing about the video" in failed["detail"]
    assert not list(server.folder.glob("*/upload*"))


def test_a_promised_size_above_the_limit_is_refused_at_once(running):
    server, client = running
    for size in (10**6 + 1, 10**10, 10**18):
        with client.begin(**{"Content-Length": str(size)}) as connection:
            assert status_of(connection) == 413
    assert client.videos() == []
    assert client.send(b"x" * 10**6).status == 201


@pytest.mark.parametrize("size", ["-1", "1e3", "0x10", "", "1, 2", "9" * 30])
def test_a_size_that_is_none_is_refused(running, size):
    _, client = running
    with client.begin(**{"Content-Length": size}) as connection:
        assert status_of(connection) == 400
    assert client.videos() == []


def test_an_endless_body_ends_at_the_limit(running):
    server, client = running
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with client.begin(**{"Transfer-Encoding": "chunked"}) as connection:
        sent = 0
        try:
            while sent < 100:
                connection.sendall(piece)
                sent += 1
        except OSError:
            pass
        assert sent < 100
        assert status_of(connection) == 413
    assert client.videos() == [] and not list(server.folder.glob("*/upload*"))
    assert client.send(b"video").status == 201


def test_a_silent_sender_is_given_up(running, monkeypatch):
    monkeypatch.setattr(app, "MAX_SILENCE", 0.2)
    server, client = running
    with client.begin(**{"Content-Length": "1000"}) as connection:
        connection.sendall(b"x" * 10)
        assert status_of(connection) == 408
    assert client.videos() == [] and not list(server.folder.glob("*/upload*"))


def test_a_slow_sender_is_given_up(start):
    _, client = start(time_limit=0.3)
    with client.begin(**{"Content-Length": "1000000"}) as connection:
        ended = threading.Event()

        def drip():
            while not ended.wait(0.02):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert status_of(connection) == 408
        finally:
            ended.set()
            thread.join()
    assert client.videos() == []


def test_a_sender_that_disappears_leaves_nothing(running):
    server, client = running
    with client.begin(**{"Content-Length": "1000"}) as connection:
        connection.sendall(b"x" * 10)
        (video,) = until(client.videos)
        assert (video["state"], video["size"]) == ("receiving", 1000)
    until(lambda: client.videos() == [])
    assert not list(server.folder.glob("*/upload*"))


def test_a_full_disk_is_said(running, monkeypatch):
    async def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(app, "_receive", full)
    _, client = running
    answer = client.send(b"video")
    assert answer.status == 507 and "No space left on device" in answer.text and "free some space" in answer.text
    assert client.videos() == []


def test_a_hundred_uploads_at_once(start):
    """As many as there are places are taken, the others are told to come later, and the server stays."""
    _, client = start(max_jobs=3)
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(client.send(b"hang"))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in statuses) == [201] * 3 + [503] * 97
    (sentence,) = {answer.text for answer in statuses if answer.status == 503}
    assert sentence == "3 videos are being read or wait; send this one when one is finished."
    assert json.loads(client.get("videos").content)["free"] == 0
    for video in client.videos():
        assert client.request("DELETE", f"videos/{video['id']}").status == 204
    assert client.send(b"video").status == 201
    client.wait_for("done")


def test_there_is_a_limit_of_reports(running, monkeypatch):
    monkeypatch.setattr(jobs, "MAX_REPORTS", 2)
    _, client = running
    for _ in range(2):
        client.send(b"video")
    client.wait_for("done", "done")
    answer = client.send(b"video")
    assert answer.status == 503 and "delete some of them" in answer.text
