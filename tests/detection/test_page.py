import base64
import dataclasses
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipinc.detection import words
from lipinc.detection.evidence import MAX_SEGMENTS, MAX_STILLS, choose_windows
from lipinc.detection.page import (
    NARROW,
    WIDE,
    data_uri,
    distinct_names,
    face_timeline,
    heat_overlay,
    index_row,
    page_name,
    unseen_stretches,
    without_paths,
    write_index,
    write_page,
)
from lipinc.detection.segments import Segment
from lipinc.detection.verdict import (
    Assessment,
    Decision,
    Evidence,
    FaceVerdict,
    Source,
    Still,
    Verdict,
    WindowScore,
)
from lipinc.errors import UserError
from lipinc.video.error_rates import ErrorRates
from lipinc.video.quality import Quality
from lipinc.video.rejection import Reason
from lipinc.video.streams import StreamInfo

HOSTILE = "clips/<script>alert(1)<x> \"quotes\" 'x' \n ünï.mp4"
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
JUDGED = "2026-11-26T21:47:23Z"
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
    limits={"face_height": (90.0, 600.0), "sharpness": (-6.0, -1.0)},
    rates=(ErrorRates((100.0, 200.0), reals=300, fakes=200, reals_accused=0.013, fakes_missed=0.031, decided=0.4),),
)
QUALITY = Quality(150.0, -3.2, 0.8, 0.05, 25.0, 0.06, 0.0)
STREAM = StreamInfo("mov,mp4", "h264", "h264", 640, 480, 25.0, 1_200_000, "yuv420p")


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
    shown = tuple(evidence(i, i) for i in exhibits)
    return FaceVerdict(rank, picture(96, 96, rank), assessment, windows, shown, quality=QUALITY)


def fake(file=HOSTILE):
    faces = (
        face(0, Decision.FAKE, [0.7, 0.995, 0.45, 0.2], exhibits=(1, 3)),
        face(1, Decision.UNCERTAIN, [0.4]),
        face(2, Decision.REAL, [0.1, 0.05]),
    )
    return Verdict(file, "a" * 64, 150, 6.0, faces[0].assessment, faces, SOURCE, faces_seen=3, judged_at=JUDGED)


def suspicious(file="clips/speech.mp4"):
    """A fake with a suspicious stretch."""
    found = face(0, Decision.FAKE, [0.2, 0.97, 0.98, 0.3], exhibits=(2, 0))
    stills = tuple(Still(window.start, window.frame_ids[0], picture(64, 144)) for window in found.windows[1:3])
    found = replace(found, segments=(Segment(0.4, 0.96, 0.97),), stills=stills)
    return replace(fake(file), assessment=found.assessment, faces=(found,), faces_seen=1, stream=STREAM)


def unlike(file="clips/chat.mp4"):
    """Uncertain because of its input quality."""
    quality = replace(QUALITY, sharpness=-7.3)
    found = face(0, Decision.UNCERTAIN, [0.7, 0.9], exhibits=(1, 0))
    assessment = replace(found.assessment, detail=words.outside_text(quality, SOURCE.limits))
    found = replace(found, assessment=assessment, quality=quality)
    return replace(fake(file), assessment=assessment, faces=(found,), faces_seen=2, stream=STREAM)


def traceless(file="clips/talk.mp4"):
    found = face(0, Decision.REAL, [0.1, 0.2], exhibits=(1, 0))
    return replace(fake(file), assessment=found.assessment, faces=(found,), faces_seen=1)


def refused(file="silent.mp4", reason=Reason.MOUTH_CLOSED, detail="longest run 3 of 5 <frames>"):
    assessment = Assessment(Decision.NO_VERDICT, None, 0, None, reason, detail)
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


def in_one_line(page):
    return " ".join(page.text.split())


def content_security_policy(page):
    (meta,) = [meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    return meta["content"]


def test_page_shows_verdict_faces_timelines_and_evidence(tmp_path):
    page = read(write_page(fake(), tmp_path))
    assert page.all("section", **{"class": "verdict"})[0]["class"].split() == ["verdict", "found"]
    assert "0.586" in page.text
    for kind in ("wide", "narrow"):
        assert len(page.all("svg", **{"class": kind})) == 3
    bars = [bar["class"].split()[1] for bar in page.all("rect", **{"class": "bar"})]
    assert bars == 2 * ["found", "found", "uncertain", "no-trace"] + 2 * ["uncertain"] + 4 * ["no-trace"]
    # 5 mouths of the most suspicious moment, 3 thumbnails in the overview and 3 with the faces, 2 x (8 mouths, 7
    # residues, 8 heat maps), the scale of the heat.
    assert len(page.all("img")) == 5 + 3 + 3 + 2 * (8 + 7 + 8) + 1
    assert "A: most suspicious window, 0.40 to 0.56 s, probability 0.995" in page.text
    assert "B: least suspicious window, 1.20 to 1.36 s, probability 0.200" in page.text
    assert "frame 10" in page.text and "frame 121" in page.text
    for said in ("a" * 64, "c" * 64, "lipinc_v2", "torch 2.14.1", "global_frames", "not proof", JUDGED):
        assert said in page.text
    # What is folded is for the analyst; the answer and what to do with it come first.
    order = [
        "Lip-sync found",
        "The most suspicious moment",
        "How sure this is",
        "3 faces",
        "Face 0 over",
        "For the analyst",
    ]
    assert [page.text.index(said) for said in order] == sorted(page.text.index(said) for said in order)


@pytest.mark.parametrize("make", [fake, suspicious, unlike, traceless])
def test_beside_the_answer_stand_its_errors_and_what_it_cannot_see(tmp_path, make):
    verdict = make()
    text = in_one_line(read(write_page(verdict, tmp_path)))
    answer = verdict.decision.words
    assert answer[0].upper() + answer[1:] in text
    for said in (
        words.error_text(SOURCE.rates[0]),
        words.CANNOT_SEE,
        words.NO_PROOF,
        *words.CHECK_NEXT[verdict.decision],
    ):
        assert said in text
    assert words.error_text(None) not in text
    assert not re.search(r"\bREAL\b|\b[Rr]eal\b(?! ones)", text)


def test_a_suspicious_stretch_is_said_marked_and_shown(tmp_path):
    page = read(write_page(suspicious(), tmp_path))
    text = in_one_line(page)
    assert "Suspicious from 0.4 to 1.0 s" in text and "The stretch in question" in text
    assert [image["alt"] for image in page.all("img")][:2] == ["mouth at 0.40 s", "mouth at 0.80 s"]
    # Once over the probabilities, once over the comparison with the rest of the scene.
    for mark, drawing in zip(page.all("rect", **{"class": "segment"}), (WIDE, NARROW, WIDE, NARROW), strict=True):
        scale = (drawing.right - drawing.left) / 6.0
        assert float(mark["x"]) == pytest.approx(drawing.left + 0.4 * scale, abs=0.1)
        assert float(mark["width"]) == pytest.approx(0.56 * scale, abs=0.2)
    assert not read(write_page(traceless(), tmp_path)).all("rect", **{"class": "segment"})


def test_the_comparison_shows_differences_within_each_shot():
    windows = [
        replace(window(0.4 * i, 0.5), contrast=level, scene=scene)
        for i, (level, scene) in enumerate(
            [*[(0.0, 0)] * 40, *[(5.0, 0)] * 20, *[(0.0, 0)] * 20, *[(30.0, 1)] * 50, (99.0, -1)]
        )
    ]
    found = replace(face(0, Decision.FAKE, [0.5]), windows=tuple(windows), segments=(Segment(16.0, 24.0, 0.99),))
    timeline = face_timeline(found, 60.0)
    assert len(timeline.differences) == 130
    by_time = {round(time, 2): difference for time, difference, _ in timeline.differences}
    assert [by_time[round(0.4 * i + 0.08, 2)] for i in (10, 50, 70, 100)] == [0, 5, 0, 0]
    assert timeline.difference_path().count("M") == 2
    assert timeline.difference_y(0) == 60 and timeline.difference_y(99) == timeline.difference_y(6) == 10
    assert not face_timeline(replace(found, segments=()), 60.0).differences
    many = tuple(replace(window(0.2 * i, 0.5), contrast=0.0) for i in range(40_000))
    assert len(face_timeline(replace(found, windows=many), 8000.0).differences) < 2 * WIDE.max_bars


def test_stretches_of_a_long_video_are_shown_by_few_mouths():
    windows = [window(0.4 * i, 0.5) for i in range(1000)]
    segments = [Segment(40.0 * i, 40.0 * i + 20, 0.9 + 0.01 * i) for i in range(8)]
    chosen = choose_windows(windows, segments)
    assert len(chosen) == MAX_SEGMENTS * MAX_STILLS
    shown = {next(i for i, one in enumerate(segments) if one.start <= windows[n].start <= one.end) for n in chosen}
    assert shown == {4, 5, 6, 7}
    assert choose_windows(windows, []) == [] and choose_windows(windows, [Segment(0.1, 0.2, 0.9)]) == []


def test_what_the_detector_does_not_know_is_named_and_unfolded(tmp_path):
    page = read(write_page(unlike(), tmp_path))
    text = in_one_line(page)
    assert "Sharpness is -7.3, but the detector was tested on -6.0 to -1.0 octaves." in text
    assert "-7.3 octaves outside" in text and "90 to 600 px" in text and "150 px outside" not in text
    assert "h264, 1200 kbit/s" in text
    assert [folded for folded in page.all("details") if "open" in folded] and len(
        page.all("tr", **{"class": "outside"})
    ) == 1
    assert "2 faces were found; only face 0 was examined" in text
    known = read(write_page(suspicious(), tmp_path))
    assert not [folded for folded in known.all("details") if "open" in folded]


def test_moments_that_were_not_examined_are_named(tmp_path):
    verdict = replace(suspicious(), duration=20.0)
    assert unseen_stretches(verdict) == [(pytest.approx(1.36), 20.0)]
    assert "Nothing was examined from 1.4 to 20.0 s" in in_one_line(read(write_page(verdict, tmp_path)))
    late = replace(verdict.faces[0], windows=(window(8.0, 0.5),))
    assert unseen_stretches(replace(verdict, faces=(late, verdict.faces[0]))) == [
        (pytest.approx(1.36), 8.0),
        (pytest.approx(8.16), 20.0),
    ]
    assert unseen_stretches(refused()) == []


def test_no_local_path_is_on_a_page(tmp_path):
    secret = "/home/ann/secret project"
    detail = f"{secret}/v.mp4 is broken; see '/opt/python/lib/av.py' and /tmp/x/y.bin"
    source = replace(
        SOURCE, trained_on="clips in /data/private/clips", settings={**SOURCE.settings, "plugin": "/srv/p/model.py"}
    )
    verdict = replace(refused(f"{secret}/v.mp4", Reason.CRASHED, detail), source=source)
    page = write_page(verdict, tmp_path)
    index = write_index([index_row(verdict, page)], tmp_path)
    for path in (page, index):
        text = in_one_line(read(path))
        assert "v.mp4 is broken; see 'av.py' and y.bin" in text
        assert not re.search(r"/(home|opt|tmp|data|srv)|secret", path.read_text(encoding="utf-8"))
    assert verdict.to_json()["file"] == f"{secret}/v.mp4"  # for programs, it is there


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["/x/a.mp4", "/x/b/c.mp4"], ["a.mp4", "c.mp4"]),
        (["/x/a/v.mp4", "/x/b/v.mp4", "/x/w.mp4"], ["a/v.mp4", "b/v.mp4", "w.mp4"]),
        (["/x/v.mp4", "/x/b/v.mp4"], ["v.mp4", "b/v.mp4"]),
        (["/x/a/1/v.mp4", "/x/b/1/v.mp4"], ["a/1/v.mp4", "b/1/v.mp4"]),
        (["/home/ann/v.mp4", "v.mp4"], ["ann/v.mp4", "v.mp4"]),
        (["v.mp4", "v.mp4"], ["v.mp4", "v.mp4"]),
        (["/", ""], ["/", ""]),
    ],
)
def test_names_in_the_index_are_as_short_as_they_can_be(files, names):
    assert distinct_names(files) == names


def test_what_is_no_path_is_left_alone():
    for text in (
        "3 frames/s, 1/2 of them",
        "mov,mp4 and/or </title></style>",
        "image/png;base64,AAA/BBB/CCC",
        "https://x",
    ):
        assert without_paths(text, "v.mp4") == text
    assert without_paths("b/v.mp4: v.mp4 is broken", "b/v.mp4") == "v.mp4: v.mp4 is broken"


def test_too_short_is_no_usable_mouth_in_0_percent(tmp_path):
    verdict = refused("short.mp4", Reason.TOO_SHORT, "12 frames, 31 are needed")
    page = write_page(verdict, tmp_path)
    for path in (page, write_index([index_row(verdict, page)], tmp_path)):
        assert not re.search(r"\b0(\.0)? ?%", read(path).text)
    assert verdict.to_json()["coverage"] is None
    assert words.REMEDIES[Reason.TOO_SHORT] in in_one_line(read(page))


def test_what_comes_from_outside_is_text(tmp_path):
    path = write_page(fake(), tmp_path)
    page = read(path)
    assert not page.all("script") and not page.all("b") and not page.all("i", id="others")
    assert "<script>alert(1)<x> \"quotes\" 'x' \\n ünï.mp4" in page.text
    assert "</code><script>alert(2)" in page.text
    assert "{{ 7 * 7 }} & <i>others</i>" in page.text
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    index = read(write_index([index_row(fake(), path)], tmp_path))
    assert len(index.all("script")) == 1 and "<script>alert(1)<x>" in index.text


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
    assert page.all("section", **{"class": "verdict"})[0]["class"].split() == ["verdict", "no-verdict"]
    for said in (words.REASON_TEXTS[reason], words.REMEDIES[reason], reason.value, "longest run 3 of 5 <frames>"):
        assert said in page.text
    assert not page.all("img")


def test_unread_file_and_face_without_verdict(tmp_path):
    silent = FaceVerdict(1, picture(400, 300), refused().assessment, (), ())
    verdict = dataclasses.replace(fake(), faces=(fake().faces[0], silent), sha256="")
    page = read(write_page(verdict, tmp_path))
    assert "not read" in page.text and words.REASON_TEXTS[Reason.MOUTH_CLOSED] in page.text
    assert len(page.all("svg", **{"class": "wide"})) == 1


def test_index_has_a_row_and_a_link_for_each_video(tmp_path):
    verdicts = [fake(), refused("a/silent.mp4"), refused("b/silent.mp4")]
    rows = [index_row(verdict, write_page(verdict, tmp_path)) for verdict in verdicts]
    page = read(write_index(rows, tmp_path))
    links = [link["href"] for link in page.all("a") if not link["href"].startswith("#")]
    assert len(set(links)) == 3 and all((tmp_path / link).is_file() for link in links)
    assert "1 lip-sync found, 2 no verdict" in page.text
    assert "mouth_closed: longest run 3 of 5 <frames>" in page.text
    assert words.REASON_TEXTS[Reason.MOUTH_CLOSED] in page.text
    assert len(page.all("tr")) == 1 + 3


def test_index_has_the_words_reasons_and_stretches_of_the_pages(tmp_path):
    verdicts = [suspicious(), unlike(), traceless()]
    text = in_one_line(read(write_index([index_row(verdict, None) for verdict in verdicts], tmp_path)))
    for verdict in verdicts:
        assert verdict.decision.words in text
    for said in ("0.4 to 1.0 s", "Sharpness is -7.3", words.NO_PROOF, words.CANNOT_SEE):
        assert said in text
    assert not re.search(r"\b(REAL|FAKE|real|fake)\b", text)


def test_index_keeps_the_row_of_a_video_without_a_page(tmp_path):
    rows = [index_row(fake("a.mp4"), None), index_row(refused("b.mp4"), write_page(refused("b.mp4"), tmp_path))]
    page = read(write_index(rows, tmp_path))
    assert "a.mp4 (its page could not be written)" in page.text and "1 lip-sync found, 1 no verdict" in page.text
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
    assert timeline.merged and len(timeline.bars) <= WIDE.max_bars
    assert len(face_timeline(long, 7200.0, NARROW).bars) <= NARROW.max_bars < WIDE.max_bars
    assert sum(bar.windows for bar in timeline.bars) == 18_000
    (peak,) = [bar for bar in timeline.bars if bar.highest > 0.5]
    assert peak.start <= 2800 <= peak.end and peak.highest == 0.97
    assert peak.mean == pytest.approx(0.1 + 0.87 / peak.windows)
    verdict = Verdict("long.mp4", "d" * 64, 180_000, 7200.0, long.assessment, (long,), SOURCE)
    path = write_page(verdict, tmp_path)
    assert path.stat().st_size < 400_000
    text = in_one_line(read(path))
    assert all(f"The 18000 windows are merged by time into {bars} bars" in text for bars in (600, 150))


def test_timeline_of_an_image_or_a_video_without_times_has_a_length():
    still = dataclasses.replace(fake().faces[1], windows=(WindowScore(0.0, 0.0, (0,) * 8, 0.4),))
    timeline = face_timeline(still, 0.0)
    left, top, width, height = timeline.rectangle(timeline.bars[0])
    assert WIDE.left <= left and left + width <= WIDE.right and width >= 2
    assert WIDE.top <= top and top + height == WIDE.bottom
    assert 2 <= len(timeline.ticks()) <= 13


def test_window_decisions_follow_threshold_and_band():
    said = [SOURCE.decide(probability).value for probability in (0.3, 0.31, 0.59, 0.6)]
    assert said == ["real", "uncertain", "uncertain", "fake"]
    bare = dataclasses.replace(SOURCE, uncertain=(0.5, 0.5))
    said = [bare.decide(probability).value for probability in (0.49, 0.5)]
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
def show(browser, tmp_path):
    """show(path, fragment=""): what a browser makes of a page, and its screenshot. It must log nothing."""
    browser.resize(1280, 2600)

    def show(path: Path, fragment: str = "") -> tuple[Page, np.ndarray]:
        browser.call("Page.navigate", url="about:blank")  # another fragment alone would not load the page again
        browser.open(path.as_uri() + fragment)
        browser.screenshot(tmp_path / "screenshot.png")
        console, browser.console = browser.console, []
        assert not console, console
        html = browser.evaluate("document.documentElement.outerHTML")
        return Page(html), cv2.imread(str(tmp_path / "screenshot.png"))

    return show


@pytest.mark.slow
def test_a_browser_shows_the_page_of_a_video(show, tmp_path):
    page, screenshot = show(write_page(fake(), tmp_path / "report"))
    assert "probability of lip-sync" in page.text and "A: most suspicious window" in page.text
    assert len(page.all("svg", **{"class": "wide"})) == 3 and len(page.all("rect", **{"class": "bar"})) == 2 * 7
    assert len(page.all("table", **{"class": "strip"})) == 2
    # The style was applied: the colour of the answer is there (BGR of #b8480a), and so is the noise of the strips.
    badge = (np.abs(screenshot.astype(int) - (0x0A, 0x48, 0xB8)).max(axis=2) <= 3).sum()
    assert badge > 2000
    assert len(np.unique(screenshot.reshape(-1, 3), axis=0)) > 10_000


@pytest.mark.slow
def test_pages_fit_wide_and_narrow_screens_and_paper(browser, tmp_path):
    """Nothing is cut off at 390 px, where rows are cards and the timeline has its own drawing; paper unfolds all."""
    shown = "[...document.querySelectorAll('{}')].map((one) => one.checkVisibility())"
    verdicts = [suspicious(), unlike(), traceless(), fake(), refused("x" * 200 + ".mp4")]
    pages = [write_page(verdict, tmp_path) for verdict in verdicts]
    index = write_index([index_row(verdict, page) for verdict, page in zip(verdicts, pages, strict=True)], tmp_path)
    for path in (*pages, index):
        for width, drawing, other in ((1280, "wide", "narrow"), (390, "narrow", "wide")):
            browser.resize(width)
            browser.open(path.as_uri())
            assert browser.evaluate("document.documentElement.scrollWidth") <= width, path
            assert all(browser.evaluate(shown.format(f"svg.{drawing}")))
            assert not any(browser.evaluate(shown.format(f"svg.{other}")))
            rows = "[...document.querySelectorAll('.batch tbody tr')].map((row) => getComputedStyle(row).display)"
            assert set(browser.evaluate(rows)) <= {"block" if width < 500 else "table-row"}
    browser.open(pages[0].as_uri())
    folded = shown.format("details .rests, details .strip, details .settings")
    assert not any(browser.evaluate(folded))
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert all(browser.evaluate(folded)) and all(browser.evaluate(shown.format("svg.wide")))


@pytest.mark.slow
def test_a_browser_runs_nothing_of_any_name(show, tmp_path):
    """In the index and in a page that has all of them where a verdict has texts. Its console stays empty: no alert, no
    error, nothing that the policy had to stop."""
    report = tmp_path / "report"
    rows = [index_row(refused(name, detail=name), write_page(refused(name, detail=name), report)) for name in NAMES]
    index, _ = show(write_index(rows, report))
    links = [link["href"] for link in index.all("a") if link["href"][0] != "#"]
    assert links == [page_name(name) for name in NAMES] and all((report / link).is_file() for link in links)

    everywhere = "".join(NAMES)
    source = dataclasses.replace(SOURCE, checkpoint=everywhere, trained_on=everywhere, settings={
        **SOURCE.settings, "mouth": {everywhere: everywhere}}, versions={everywhere: everywhere})  # fmt: skip
    verdict = dataclasses.replace(refused(everywhere, detail=everywhere), source=source)
    video, _ = show(write_page(verdict, report))
    for shown, scripts in ((index, 1), (video, 0)):
        assert len(shown.all("script")) == scripts and "49" not in shown.text
        assert not [name for name in ("svg", "img", "b") if shown.all(name)]
        assert not [name for _, attributes in shown.elements for name in attributes if name.startswith("on")]
        assert "<img src=x onerror=alert(1)>.mp4" in shown.text and "\u202e" not in shown.text


@pytest.mark.slow
def test_the_policy_stops_a_script_that_was_slipped_in(show, tmp_path):
    """Were a name ever printed as it is, the browser would refuse to run it."""
    path = write_page(refused(), tmp_path / "report")
    slip = "<script>document.body.textContent = 'hacked'</script><img src=x onerror=\"document.title = 'hacked'\">"
    path.write_text(path.read_text(encoding="utf-8").replace("<header>", slip + "<header>", 1), encoding="utf-8")
    with pytest.raises(AssertionError, match="inline script violates"):
        show(path)


@pytest.mark.slow
def test_a_browser_sorts_the_index(show, tmp_path):
    files = {"b.mp4": 0.2, "a10.mp4": 0.9, "a2.mp4": None, HOSTILE: 0.55}
    rows = []
    for file, probability in files.items():
        row = index_row(refused(file), Path(page_name(file)))
        rows.append(dataclasses.replace(row, probability=probability))
    path = write_index(rows, tmp_path / "report")

    def order(fragment):
        page, screenshot = show(path, fragment)
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
    assert order("#sort=file")[0] == [HOSTILE, "a2.mp4", "a10.mp4", "b.mp4"]


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
