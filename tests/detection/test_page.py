import base64
import dataclasses
import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipinc.detection.page import (
    MAX_BARS,
    REASON_TEXTS,
    data_uri,
    face_timeline,
    heat_overlay,
    index_row,
    page_name,
    write_index,
    write_page,
)
from lipinc.detection.verdict import (
    Assessment,
    Decision,
    Evidence,
    FaceVerdict,
    Source,
    Verdict,
    WindowScore,
    decide,
)
from lipinc.errors import UserError
from lipinc.video.rejection import Reason
from lipinc.video.streams import StreamInfo

HOSTILE = "clips/<script>alert(1)</script> \"quotes\" 'x' \n ünï.mp4"
NAMES = (
    HOSTILE,
    "<img src=x onerror=alert(1)>.mp4",
    "\"><script>document.title='hacked'</script>.mp4",
    "'\" onmouseover=alert(1) x='.mp4",
    "</title></style></script><svg onload=alert(1)>.mp4",
    "javascript:alert(1)//.mp4",
    "{{ 7 * 7 }}{% for x in y %}.mp4",
    "&lt;b&gt;&#x202e;.mp4",
    "\u202egpj.exe\u2066.mp4",
    "line\nbreak\r\u2028.mp4",
    "\x00\x1b[31m.mp4",
    "caf\udce9.mp4",
    "\u53e3" * 83 + ".mp4",  # 253 bytes
)
"""Of files."""
SOURCE = Source(
    checkpoint="<b>v2</b>.safetensors",
    checkpoint_sha256="c" * 64,
    model="lipinc_v2",
    threshold=0.5,
    uncertain=(0.3, 0.6),
    settings={
        "sampling": {"local_frames": 5, "global_frames": 3},
        "mouth": {"face": "</code><script>alert(2)</script>"},
    },
    versions={"python": "3.11.2", "torch": "2.14.1"},
    trained_on="{{ 7 * 7 }} & <i>others</i>",
)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def evidence(window, seed=0):
    draw = np.random.default_rng(seed)
    return Evidence(
        window=window,
        frames=draw.integers(0, 256, (8, 64, 144, 3), dtype=np.uint8),
        residues=draw.integers(0, 256, (7, 64, 144, 3), dtype=np.uint8),
        heat=draw.random((8, 64, 144), dtype=np.float32),
    )


def window(start, probability):
    first = round(25 * start)
    return WindowScore(start, start + 0.16, (*range(first, first + 5), 1, 61, 121), probability)


def face(rank, decision, probabilities, exhibits=()):
    windows = tuple(window(0.4 * i, probability) for i, probability in enumerate(probabilities))
    assessment = Assessment(decision, float(np.mean(probabilities)), len(windows), 0.9, None, "")
    return FaceVerdict(rank, picture(96, 96, rank), assessment, windows, tuple(evidence(i, i) for i in exhibits))


def fake(file=HOSTILE):
    faces = (
        face(0, Decision.FAKE, [0.7, 0.995, 0.45, 0.2], exhibits=(1, 3)),
        face(1, Decision.UNCERTAIN, [0.4]),
        face(2, Decision.REAL, [0.1, 0.05]),
    )
    return Verdict(file, "a" * 64, 150, 6.0, faces[0].assessment, faces, SOURCE)


def refused(file="silent.mp4", reason=Reason.MOUTH_CLOSED, detail="longest run 3 of 5 <frames>"):
    assessment = Assessment(Decision.NO_VERDICT, None, 0, 0.25, reason, detail)
    return Verdict(file, "b" * 64, 80, 3.2, assessment, (), SOURCE)


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag, **wanted):
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and all(value in attributes.get(key, "").split() for key, value in wanted.items())
        ]


def read(path):
    return Page(path.read_text(encoding="utf-8"))


def content_security_policy(page):
    (meta,) = [meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    return meta["content"]


def test_page_shows_verdict_faces_timelines_and_evidence(tmp_path):
    page = read(write_page(fake(), tmp_path))
    assert page.all("span", **{"class": "badge"})[0]["class"].split() == ["badge", "fake"]
    assert "0.586" in page.text
    assert len(page.all("svg", **{"class": "timeline"})) == 3
    bars = [bar["class"].split()[1] for bar in page.all("rect", **{"class": "bar"})]
    assert bars == ["fake", "fake", "uncertain", "real", "uncertain", "real", "real"]
    # 3 thumbnails in the overview and 3 with the faces, 2 x (8 mouths, 7 residues, 8 heat maps), the scale of the heat.
    assert len(page.all("img")) == 3 + 3 + 2 * (8 + 7 + 8) + 1
    assert "A: most suspicious window, 0.40 to 0.56 s, fake probability 0.995" in page.text
    assert "B: least suspicious window, 1.20 to 1.36 s, fake probability 0.200" in page.text
    assert "frame 10" in page.text and "frame 121" in page.text
    for said in ("a" * 64, "c" * 64, "lipinc_v2", "torch 2.14.1", "global_frames", "not proof"):
        assert said in page.text


def test_what_comes_from_outside_is_text(tmp_path):
    path = write_page(fake(), tmp_path)
    page = read(path)
    assert not page.all("script") and not page.all("b") and not page.all("i", id="others")
    assert "<script>alert(1)</script> \"quotes\" 'x' \\n ünï.mp4" in page.text
    assert "</code><script>alert(2)" in page.text
    assert "{{ 7 * 7 }} & <i>others</i>" in page.text
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    index = read(write_index([index_row(fake(), path)], tmp_path))
    assert len(index.all("script")) == 1 and "<script>alert(1)</script>" in index.text


@pytest.mark.parametrize("name", ["caf\udce9.mp4", "\u202egpj.mp4", "\x00\x1b[31m.mp4"])
def test_names_that_are_no_plain_text_are_shown_as_escapes(tmp_path, name):
    path = write_page(fake(name), tmp_path)
    html = path.read_text(encoding="utf-8") + write_index([index_row(fake(name), path)], tmp_path).read_text("utf-8")
    assert name not in html
    assert name.encode("unicode_escape").decode() in html


def test_nothing_is_loaded_and_only_the_sorting_may_run(tmp_path):
    video = write_page(fake(), tmp_path)
    index = write_index([index_row(fake(), video)], tmp_path)
    for path in (video, index):
        html, page = path.read_text(encoding="utf-8"), read(path)
        assert not re.search(r"https?://|url\(|@import", html)
        assert not [name for name in ("link", "iframe", "object", "embed", "base", "form") if page.all(name)]
        assert all(image["src"].startswith("data:image/") for image in page.all("img"))
        assert all("style" not in attributes for _, attributes in page.elements)
        policy = content_security_policy(page)
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy
        for tag in re.findall(r"<(style|script)>", html):
            inline = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)[1].encode()
            assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(inline).digest()).decode()}'" in policy
    assert "script-src" not in content_security_policy(read(video))


@pytest.mark.parametrize("reason", Reason)
def test_a_refused_video_says_why(tmp_path, reason):
    page = read(write_page(refused(reason=reason), tmp_path))
    assert page.all("span", **{"class": "badge"})[0]["class"].split() == ["badge", "no-verdict"]
    for said in (REASON_TEXTS[reason], reason.value, "longest run 3 of 5 <frames>"):
        assert said in page.text
    assert not page.all("img")


def test_unread_file_and_face_without_verdict(tmp_path):
    silent = FaceVerdict(1, picture(400, 300), refused().assessment, (), ())
    verdict = dataclasses.replace(fake(), faces=(fake().faces[0], silent), sha256="")
    page = read(write_page(verdict, tmp_path))
    assert "not read" in page.text and REASON_TEXTS[Reason.MOUTH_CLOSED] in page.text
    assert len(page.all("svg", **{"class": "timeline"})) == 1


def test_index_has_a_row_and_a_link_for_each_video(tmp_path):
    verdicts = [fake(), refused("a/silent.mp4"), refused("b/silent.mp4")]
    rows = [index_row(verdict, write_page(verdict, tmp_path)) for verdict in verdicts]
    page = read(write_index(rows, tmp_path))
    links = [link["href"] for link in page.all("a") if not link["href"].startswith("#")]
    assert len(set(links)) == 3 and all((tmp_path / link).is_file() for link in links)
    assert "1 fake, 2 no verdict" in page.text
    assert "mouth_closed longest run 3 of 5 <frames>" in page.text
    assert len(page.all("tr")) == 1 + 3


def test_index_keeps_the_row_of_a_video_without_a_page(tmp_path):
    rows = [index_row(fake("a.mp4"), None), index_row(refused("b.mp4"), write_page(refused("b.mp4"), tmp_path))]
    page = read(write_index(rows, tmp_path))
    assert "a.mp4 (its page could not be written)" in page.text and "1 fake, 1 no verdict" in page.text
    assert [link["href"] for link in page.all("a") if link["href"][0] != "#"] == [page_name("b.mp4")]


def test_index_of_nothing(tmp_path):
    assert "0 videos" in read(write_index([], tmp_path)).text


@pytest.mark.parametrize(
    "file", ["../../etc/passwd", "/", "..", "", "a\\..\\b.mp4", ".hidden", "x" * 5000, "é", HOSTILE]
)
def test_pages_stay_in_the_folder(tmp_path, file):
    folder = tmp_path / "report"
    path = write_page(refused(file), folder)
    assert path.parent == folder and [*tmp_path.rglob("*")] == [folder, path]
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*-[0-9a-f]{8}\.html", path.name) and len(path.name) < 100


def test_page_names_tell_videos_of_one_name_apart():
    assert page_name("a/clip.mp4") != page_name("b/clip.mp4")
    assert page_name("a/clip.mp4") == page_name("a/clip.mp4")


def test_same_verdict_gives_the_same_bytes(tmp_path):
    first, second = (write_page(fake(), tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="silent-mp4.*cannot be written"):
        write_page(refused(), tmp_path / "file")


def test_long_video_keeps_a_light_timeline_that_hides_no_peak(tmp_path):
    probabilities = np.full(18_000, 0.1)
    probabilities[7_000] = 0.97
    long = face(0, Decision.REAL, probabilities)
    timeline = face_timeline(long, 7200.0)
    assert timeline.merged and len(timeline.bars) <= MAX_BARS
    assert sum(bar.windows for bar in timeline.bars) == 18_000
    (peak,) = [bar for bar in timeline.bars if bar.highest > 0.5]
    assert peak.start <= 2800 <= peak.end and peak.highest == 0.97
    assert peak.mean == pytest.approx(0.1 + 0.87 / peak.windows)
    verdict = Verdict("long.mp4", "d" * 64, 180_000, 7200.0, long.assessment, (long,), SOURCE)
    path = write_page(verdict, tmp_path)
    assert path.stat().st_size < 400_000
    assert "The 18000 windows are merged by time into 600 bars" in read(path).text


def test_timeline_of_an_image_or_a_video_without_times_has_a_length():
    still = dataclasses.replace(fake().faces[1], windows=(WindowScore(0.0, 0.0, (0,) * 8, 0.4),))
    timeline = face_timeline(still, 0.0)
    left, top, width, height = timeline.rectangle(timeline.bars[0])
    assert timeline.left <= left and left + width <= timeline.right and width >= 2
    assert timeline.top <= top and top + height == timeline.bottom
    assert 2 <= len(timeline.ticks()) <= 13


def test_window_decisions_follow_threshold_and_band():
    said = [decide(probability, SOURCE.threshold, SOURCE.uncertain).value for probability in (0.3, 0.31, 0.59, 0.6)]
    assert said == ["real", "uncertain", "uncertain", "fake"]
    bare = dataclasses.replace(SOURCE, uncertain=(0.5, 0.5))
    said = [decide(probability, bare.threshold, bare.uncertain).value for probability in (0.49, 0.5)]
    assert said == ["real", "fake"]


def test_pictures_come_back_as_they_were():
    drawn = picture(64, 144)
    kind, content = data_uri(drawn, exact=True).split(",")
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert kind == "data:image/png;base64"
    np.testing.assert_array_equal(decoded, drawn)


def test_more_heat_is_lighter_whatever_the_mouth():
    frames = np.stack([np.full((1, 64, 3), level, np.uint8) for level in (0, 128, 255)])
    heat = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (3, 1, 1))
    for overlay in heat_overlay(frames, heat):
        lightness = cv2.cvtColor(overlay, cv2.COLOR_BGR2LAB)[0, :, 0].astype(int)
        assert (np.diff(lightness) >= -1).all() and lightness[-1] - lightness[0] > 80
    assert heat_overlay(frames, np.full_like(heat, np.nan)).shape == (3, 1, 64, 3)


@pytest.fixture
def chromium(tmp_path):
    """Opens an address in headless Chromium: its DOM when all has run, and its screenshot."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        if os.environ.get("LIPINC_REQUIRE_CHROMIUM"):
            pytest.fail("LIPINC_REQUIRE_CHROMIUM is set and no Chromium is on the PATH")
        pytest.skip("no Chromium on the PATH")
    screenshot = tmp_path / "screenshot.png"

    def show(path: Path, fragment: str = "") -> tuple[Page, np.ndarray]:
        common = [program, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
        common += ["--virtual-time-budget=3000", "--window-size=1280,2600", f"--user-data-dir={tmp_path / 'profile'}"]
        address = path.as_uri() + fragment
        results = [
            subprocess.run([*common, what, address], capture_output=True, encoding="utf-8", timeout=120, check=True)
            for what in ("--dump-dom", f"--screenshot={screenshot}")
        ]
        console = [line for result in results for line in result.stderr.splitlines() if "CONSOLE" in line]
        assert not console, console
        return Page(results[0].stdout), cv2.imread(str(screenshot))

    return show


@pytest.mark.slow
def test_a_browser_shows_the_page_of_a_video(chromium, tmp_path):
    page, screenshot = chromium(write_page(fake(), tmp_path / "report"))
    assert "fake probability" in page.text and "A: most suspicious window" in page.text
    assert len(page.all("svg", **{"class": "timeline"})) == 3 and len(page.all("rect", **{"class": "bar"})) == 7
    assert len(page.all("table", **{"class": "strip"})) == 2
    # The style was applied: the badge's colour is there (BGR of #b48...), and so is the noise of the strips.
    badge = (np.abs(screenshot.astype(int) - (0x0A, 0x48, 0xB8)).max(axis=2) <= 3).sum()
    assert badge > 2000
    assert len(np.unique(screenshot.reshape(-1, 3), axis=0)) > 10_000


@pytest.mark.slow
def test_a_browser_runs_nothing_of_any_name(chromium, tmp_path):
    """In the index and in a page that has all of them where a verdict has texts. Its console stays empty: no alert, no
    error, nothing that the policy had to stop."""
    report = tmp_path / "report"
    rows = [index_row(refused(name, detail=name), write_page(refused(name, detail=name), report)) for name in NAMES]
    index, _ = chromium(write_index(rows, report))
    links = [link["href"] for link in index.all("a") if link["href"][0] != "#"]
    assert links == [page_name(name) for name in NAMES] and all((report / link).is_file() for link in links)

    everywhere = "".join(NAMES)
    source = dataclasses.replace(SOURCE, checkpoint=everywhere, trained_on=everywhere, settings={
        **SOURCE.settings, "mouth": {everywhere: everywhere}}, versions={everywhere: everywhere})  # fmt: skip
    verdict = dataclasses.replace(refused(everywhere, detail=everywhere), source=source)
    video, _ = chromium(write_page(verdict, report))
    for shown, scripts in ((index, 1), (video, 0)):
        assert len(shown.all("script")) == scripts and "49" not in shown.text
        assert not [name for name in ("svg", "img", "b") if shown.all(name)]
        assert not [name for _, attributes in shown.elements for name in attributes if name.startswith("on")]
        assert "<img src=x onerror=alert(1)>.mp4" in shown.text and "\u202e" not in shown.text


@pytest.mark.slow
def test_the_policy_stops_a_script_that_was_slipped_in(chromium, tmp_path):
    """Were a name ever printed as it is, the browser would refuse to run it."""
    path = write_page(refused(), tmp_path / "report")
    slip = "<script>document.body.textContent = 'hacked'</script><img src=x onerror=\"document.title = 'hacked'\">"
    path.write_text(path.read_text(encoding="utf-8").replace("<header>", slip + "<header>", 1), encoding="utf-8")
    with pytest.raises(AssertionError, match="inline script violates"):
        chromium(path)


@pytest.mark.slow
def test_a_browser_sorts_the_index(chromium, tmp_path):
    files = {"b.mp4": 0.2, "a10.mp4": 0.9, "a2.mp4": None, HOSTILE: 0.55}
    rows = []
    for file, probability in files.items():
        row = index_row(refused(file), Path(page_name(file)))
        rows.append(dataclasses.replace(row, probability=probability))
    path = write_index(rows, tmp_path / "report")

    def order(fragment):
        page, screenshot = chromium(path, fragment)
        assert screenshot.std() > 5
        links = [link["href"] for link in page.all("a")]
        shown = [file for link in links for file in files if link == page_name(file)]
        return shown, {link[6:] for link in links if link.startswith("#sort=")}

    shown, headings = order("")
    assert shown == [*files]
    # A heading is a link to the order: following it is clicking it.
    assert {"file", "-probability"} <= headings
    shown, headings = order("#sort=-probability")
    assert shown == ["a10.mp4", HOSTILE, "b.mp4", "a2.mp4"]
    assert "probability" in headings
    assert order("#sort=probability")[0] == ["b.mp4", HOSTILE, "a10.mp4", "a2.mp4"]
    assert order("#sort=file")[0] == ["a2.mp4", "a10.mp4", "b.mp4", HOSTILE]


def test_a_page_says_how_the_video_was_read(tmp_path):
    stream = StreamInfo(
        *("matroska,webm", "av1", "libdav1d", 640, 480, 29.97, 1_200_000, "yuv420p10le"),
        transfer="bt709",
        notes=("<b>stream</b> 2 of 3 was read",),
    )
    page = read(write_page(replace(fake(), stream=stream), tmp_path))
    assert "<b>stream</b> 2 of 3 was read." in page.text and not page.all("b")
    text = " ".join(page.text.split())
    assert "640x480 px, av1 (yuv420p10le) in matroska,webm, 29.97 frames/s, 1200 kbit/s" in text
    assert "transfer bt709, decoded by libdav1d" in text
