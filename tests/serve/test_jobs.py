"""Videos that crash, hang or are deleted, and the others after them."""

from contextlib import suppress

import psutil
import pytest

from lipinc.detection.batch import Settings
from lipinc.serve.server import serve
from tests.serve.client import Client, until


def readers() -> list[psutil.Process]:
    """The subprocesses that read videos."""
    found = []
    for process in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # it has just ended, or has ended and waits for its parent
            if "lipinc.video.subprocesses" in " ".join(process.cmdline()):
                found.append(process)
    return found


@pytest.mark.slow
def test_a_video_that_kills_its_process_gets_no_verdict_and_the_next_one_is_read(start):
    _, client = start()
    client.send(b"die")
    client.send(b"video")
    after, killed = client.wait_for("done", "done")
    assert (killed["verdict"], killed["detail"]) == ("no verdict", "crashed: its subprocess died (SIGKILL)")
    assert after["verdict"] == "uncertain"


@pytest.mark.slow
def test_a_process_that_is_killed_from_outside_is_started_again(start):
    _, client = start()
    client.send(b"hang")
    for _ in range(2):
        (reader,) = until(lambda: [one for one in readers() if one.pid == client.videos()[0]["frames"]])
        reader.kill()
        until(lambda reader=reader: reader not in readers())
    (video,) = client.wait_for("done")
    assert video["detail"] == "crashed: its subprocess died (SIGKILL)"


@pytest.mark.slow
def test_a_video_that_hangs_is_stopped_at_the_limit(start):
    _, client = start(time_limit=0.5)
    client.send(b"hang")
    client.send(b"video")
    after, stopped = client.wait_for("done", "done")
    assert stopped["detail"] == "time_limit: not finished after 0.5 s" and after["verdict"] == "uncertain"


def test_videos_can_be_deleted_in_every_state(start):
    server, client = start(max_jobs=4)
    client.send(b"video")
    client.wait_for("done")
    client.send(b"hang")
    until(lambda: client.videos()[0]["frames"])
    client.send(b"video")
    with client.begin(**{"Content-Length": "1000"}) as connection:
        connection.sendall(b"x")
        videos = client.wait_for("receiving", "waiting", "reading", "done")
        assert len(list(server.folder.glob("*/upload*"))) == 3
        for video in videos:
            assert client.request("DELETE", f"videos/{video['id']}").status == 204
            assert client.request("DELETE", f"videos/{video['id']}").status == 404
            assert client.get(f"videos/{video['id']}/report").status == 404
        assert client.videos() == []
    # All folders are gone, that of the video that was being read as soon as its process is.
    until(lambda: not [file for file in server.folder.iterdir() if file.name in {video["id"] for video in videos}])
    client.send(b"video")
    client.wait_for("done")


def test_the_end_leaves_no_file_and_no_process(without_videos):
    with serve(Settings("no checkpoint"), port=0, max_bytes=1000, max_jobs=4) as server:
        client = Client(server)
        for content in (b"video", b"hang", b"video"):
            client.send(content)
        connection = client.begin(**{"Content-Length": "1000"})
        client.wait_for("receiving", "waiting", "reading", "done")
        assert server.folder.stat().st_mode & 0o777 == 0o700
    connection.close()
    assert not server.folder.exists() and not readers()
