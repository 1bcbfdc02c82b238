"""The page in a real browser, from a dropped video to its deleted report."""

import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import lipinc
from lipinc.demo.videos import talking_frames
from lipinc.detection.batch import Settings
from lipinc.serve.server import Server, serve
from tests.serve.browser import Browser
from tests.serve.client import Client, until

pytestmark = pytest.mark.slow
TEXT = "document.body.innerText"
ROWS = "[...document.querySelectorAll('#videos li')]"
OVERFLOW = "document.documentElement.scrollWidth > innerWidth"
TAB, ENTER = ("Tab", 9), ("Enter", 13, "\r")


@pytest.fixture(scope="module")
def detecting() -> Iterator[Server]:
    """A server that reads videos."""
    with serve(Settings("mouth_noise"), port=0, max_bytes=10**9, max_jobs=3) as server:
        yield server


@pytest.fixture(scope="module")
def talk(tmp_path_factory, write_video) -> Path:
    """Somebody of the demo corpus who talks."""
    return write_video(tmp_path_factory.mktemp("talk") / "Ümläut & <b>talk.mp4", talking_frames(number=0, frames=40))


def states(browser: Browser) -> list[str]:
    """What the rows of the list say below the name of the video."""
    return browser.evaluate(f"{ROWS}.map((row) => row.querySelector('.verdict').textContent)")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("way", ["choose_files", "drop_files"])
def test_a_video_goes_from_the_page_to_its_report_and_away(browser, detecting, talk, width, way):
    browser.resize(width)
    browser.open(detecting.address)
    assert browser.evaluate("location.search") == "" and "Nothing leaves this machine" in browser.evaluate(TEXT)
    assert not browser.evaluate(OVERFLOW)
    getattr(browser, way)("#files" if way == "choose_files" else "#drop", talk)
    browser.wait_for(f"{ROWS}.length == 1 && {ROWS}[0].querySelector('progress').checkVisibility()")
    assert not browser.evaluate(OVERFLOW)
    link = browser.wait_for(
        f"{ROWS}[0]?.querySelector('.report').checkVisibility() && {ROWS}[0].querySelector('.report').href"
    )
    assert states(browser) == [lipinc.detect(talk).decision.words]
    assert talk.name in browser.evaluate(TEXT) and "REAL" not in browser.evaluate(TEXT)
    assert not browser.evaluate(OVERFLOW)
    browser.open(link)
    assert talk.name in browser.evaluate("document.title") and talk.name in browser.evaluate(TEXT)
    page = browser.evaluate("document.documentElement.outerHTML")
    assert str(detecting.folder) not in page and "original upload:" in page and page.count("upload") == 1
    policy = browser.evaluate("document.querySelector('meta[http-equiv=Content-Security-Policy]').content")
    assert policy.startswith("default-src 'none'")
    browser.open(detecting.address)
    browser.wait_for(f"{ROWS}.length == 1")
    browser.evaluate(f"{ROWS}[0].querySelector('.delete').click()")
    browser.wait_for(f"{ROWS}.length == 0")
    assert "None yet" in browser.evaluate(TEXT)
    assert [file.name for file in detecting.folder.iterdir() if not file.name.startswith("tmp")] == ["lock"]


def test_a_real_clip_gets_its_verdict(browser, detecting, clips_root):
    clip = min((clips_root / "real").glob("*.mp4"), key=lambda file: file.stat().st_size)
    browser.open(detecting.address)
    browser.choose_files("#files", clip)
    browser.wait_for(f"/[1-9]\\d* of \\d+ frames/.test({TEXT}) || {TEXT}.includes('Open report')")
    browser.wait_for(f"{TEXT}.includes('Open report')")
    assert states(browser) == [lipinc.detect(clip).decision.words]
    Client(detecting).request("DELETE", f"videos/{Client(detecting).videos()[0]['id']}")


def test_names_are_shown_and_run_nothing(browser, start, tmp_path):
    _, client = start(max_jobs=99)
    names = ["<script>alert(1)<script>.mp4", "<img src=x onerror=alert(1)>.mp4", "\"'><svg onload=alert(1)>.mp4"]
    names += [
        "line\nbreak\r.mp4",
        "\u202egpj.exe.mp4",
        "x" * 250 + ".mp4",
        "口" * 80 + ".mp4",
        "a&lt;%00%2F..mp4",
        "é\u0301.mp4",
    ]
    browser.resize(390)
    browser.open(f"http://{client.host}{client.entry}")
    for number, name in enumerate(names):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / name).write_text("video")
        browser.choose_files("#files", tmp_path / str(number) / name)
    browser.wait_for(f"{ROWS}.filter((row) => row.querySelector('.report').checkVisibility()).length == {len(names)}")
    shown = browser.evaluate(f"{ROWS}.map((row) => row.querySelector('.name').textContent)")
    assert sorted(shown) == sorted(video["name"] for video in client.videos())
    assert {"<img src=x onerror=alert(1)>.mp4", "line\\nbreak\\r.mp4", "\\u202egpj.exe.mp4", "a&lt;%00%2F..mp4"} < {
        *shown
    }
    assert not browser.evaluate("document.querySelector('main img, main svg, main script')") and not browser.evaluate(
        OVERFLOW
    )


def test_more_videos_than_places_wait_on_the_page(browser, start, tmp_path):
    _, client = start(max_jobs=1, max_bytes=1000)
    browser.open(f"http://{client.host}{client.entry}")
    browser.wait_for(f"{TEXT}.includes('Up to 0.0 MB each')")
    files = []
    for name, content in {"a": "hang", "b": "video", "c": "video", "large": "x" * 1001, "empty": ""}.items():
        (tmp_path / name).write_text(content)
        files.append(tmp_path / name)
    browser.choose_files("#files", *files, tmp_path)
    for sentence in ("Larger than 0.0 MB, the limit of this server.", "Waits to be sent."):
        browser.wait_for(f"{TEXT}.includes({sentence!r})")
    (video,) = until(client.videos)
    client.request("DELETE", f"videos/{video['id']}")
    browser.wait_for(f"{TEXT}.includes('The file is empty.')")
    client.wait_for("done", "done")
    assert "Waits to be sent." not in browser.evaluate(TEXT)
    browser.console = [line for line in browser.console if "status of 400" not in line]  # the empty file


def test_an_upload_can_be_deleted(browser, start, tmp_path):
    server, client = start()
    browser.open(f"http://{client.host}{client.entry}")
    browser.call("Network.enable")
    browser.call(
        "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=50_000
    )
    (tmp_path / "long").write_bytes(b"x" * 900_000)
    browser.choose_files("#files", tmp_path / "long")
    browser.wait_for(f"{TEXT}.includes('Receiving: 0.')")
    browser.evaluate(f"{ROWS}[0].querySelector('.delete').click()")
    browser.wait_for(f"{ROWS}.length == 0")
    until(lambda: not list(server.folder.glob("*/upload*")))
    assert client.videos() == [] and browser.evaluate(f"{ROWS}.length") == 0
    browser.console = [line for line in browser.console if "status of 410" not in line and "net::" not in line]


def test_what_the_server_refuses_is_read_by_the_browser(browser, start):
    """It answers before it has received the body."""
    _, client = start(max_jobs=1)
    browser.open(f"http://{client.host}{client.entry}")
    send = "fetch('videos?name=a', {method: 'POST', body: new Uint8Array(%d)}).then((answer) => answer.status)"
    for _ in range(5):
        assert browser.evaluate(send % 50_000_000) == 413
    client.send(b"hang")
    for _ in range(5):
        assert browser.evaluate(send % 1_000_000) == 503
    browser.console = [line for line in browser.console if not re.search("status of (413|503)", line)]


def test_the_keyboard_is_enough(browser, start):
    _, client = start()
    client.send(b"video", "a.mp4")
    client.send(b"video", "b.mp4")
    client.wait_for("done", "done")
    browser.open(f"http://{client.host}{client.entry}")
    browser.wait_for(f"{ROWS}.length == 2")
    visited = []
    for _ in range(5):
        browser.press(*TAB)
        visited.append(browser.evaluate("document.activeElement.ariaLabel ?? document.activeElement.id"))
    assert visited == ["files", "Open report of b.mp4", "Delete b.mp4", "Open report of a.mp4", "Delete a.mp4"]
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert browser.evaluate(outline) == "solid"
    browser.press(*ENTER)
    browser.wait_for(f"{ROWS}.length == 1")
    assert browser.evaluate("document.activeElement.id") == "files"
    assert browser.evaluate("getComputedStyle(document.querySelector('#files + label')).outlineStyle") == "solid"
    assert [video["name"] for video in client.videos()] == ["b.mp4"]


def test_the_page_says_that_the_server_has_stopped(browser, without_videos):
    with serve(Settings(""), port=0, max_bytes=1000, max_jobs=1) as server:
        browser.open(server.address)
        browser.wait_for(f"{TEXT}.includes('None yet')")
    browser.wait_for(f"{TEXT}.includes('The server does not answer')")
    browser.console = [line for line in browser.console if "ERR_CONNECTION_REFUSED" not in line]


def test_another_page_of_this_machine_reaches_nothing(browser, start):
    """Not even one that knows the path to which the cookie is limited."""
    server, client = start()
    browser.open(server.address)
    client.send(b"video")
    (video,) = client.wait_for("done")
    own = f"http://{client.host}{client.home[:-1]}"
    cookies = []

    class Evil(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            cookies.append(self.headers["Cookie"])
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            frames = "".join(f'<iframe src="{own}{path}"></iframe>' for path in ("/", f"/videos/{video['id']}/report"))
            form = f'<form method="post" enctype="text/plain" action="{own}/videos?name=x" target="f"></form>'
            self.wfile.write(
                f'{frames}<iframe name="f"></iframe>{form}<script src="{own}/script.js"></script>'.encode()
            )

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil) as evil:
        threading.Thread(target=evil.serve_forever, daemon=True).start()
        browser.open(f"http://127.0.0.1:{evil.server_port}/")
        tried = []
        for method, path in (("POST", "videos?name=x"), ("DELETE", f"videos/{video['id']}"), ("GET", "videos")):
            for mode in ("cors", "no-cors") if method != "DELETE" else ("cors",):
                options = f"{{method: '{method}', mode: '{mode}', credentials: 'include'}}"
                tried.append(
                    browser.evaluate(f"fetch('{own}/{path}', {options}).then((a) => a.text(), (error) => error.name)")
                )
        assert set(tried) == {"TypeError"}
        browser.evaluate("document.forms[0].submit()")
        browser.evaluate("new Promise((resolve) => setTimeout(resolve, 500))")
        read = "(frame) => { try { return frame.document.body.innerText } catch { return '' }}"
        assert browser.evaluate(f"[0, 1].map((number) => frames[number]).map({read})") == ["", ""]
        assert browser.evaluate("typeof ask") == "undefined"  # its script was not loaded
        evil.shutdown()
    assert [one["id"] for one in client.videos()] == [video["id"]]
    assert {*cookies} == {None}
    assert any("frame" in line for line in browser.console)
    browser.console = []
