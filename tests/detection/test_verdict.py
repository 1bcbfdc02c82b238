import csv
import io
import json
from dataclasses import replace

import pytest

from lipinc.detection.batch import Result
from lipinc.detection.output import advice, as_csv, line
from lipinc.detection.segments import Segment
from lipinc.detection.verdict import Decision
from lipinc.detection.words import NO_PROOF, error_text, outside_text
from lipinc.evaluation.predictions import DECISIONS
from lipinc.models.calibration import Calibration
from lipinc.video.quality import Quality
from lipinc.video.rejection import Reason
from lipinc.video.streams import StreamInfo
from tests.detection.test_page import HOSTILE, fake, refused


def test_a_verdict_is_shown_in_one_line():
    verdict = fake("clips/a b.mp4")
    assert repr(verdict) == f"<Verdict fake {verdict.probability:.3f}, {verdict.windows} windows, 'clips/a b.mp4'>"
    assert str(verdict) == f"{verdict}" == repr(verdict)
    assert "\n" not in repr(fake(HOSTILE)) and repr(fake(HOSTILE)).isprintable()


def test_a_verdict_without_an_answer_says_why():
    verdict = fake("a.mp4")
    said = replace(
        verdict.assessment,
        decision=Decision.NO_VERDICT,
        probability=None,
        windows=0,
        reason=Reason.NO_FACE,
        detail="0 faces",
    )
    shown = repr(replace(verdict, assessment=said))
    assert shown == "<Verdict no verdict no_face: 0 faces, 0 windows, 'a.mp4'>"


@pytest.mark.parametrize(
    ("value", "answer"), [(0.2, "real"), (0.3, "real"), (0.31, "uncertain"), (0.59, "uncertain"), (0.6, "fake")]
)
def test_one_rule_decides(value, answer):
    """Of scores and of probabilities: between the bounds it is uncertain, from the threshold on it is fake."""
    assert replace(fake().source, threshold=0.5, uncertain=(0.3, 0.6)).decide(value).value == answer
    assert DECISIONS[int(Calibration(0.5, uncertain=(0.3, 0.6)).decide(value))] == answer  # in the metrics, too


def test_how_the_video_was_read_is_in_every_output():
    stream = StreamInfo("mov", "h264", "h264", 640, 480, 25.0, 0, "yuv420p", notes=("mirrored", "no clock"))
    values = replace(fake("a.mp4"), stream=stream).to_json()
    assert values["stream"]["codec"] == "h264" and values["stream"]["notes"] == ["mirrored", "no clock"]
    result = Result(json.loads(json.dumps(values)), None, "")
    assert [shown.split() for shown in line(result).splitlines()[-2:]] == [
        ["note", "mirrored"],
        ["note", "no", "clock"],
    ]
    (row,) = csv.DictReader(io.StringIO(as_csv([result]).decode()))
    assert row["notes"] == "mirrored; no clock"


def test_a_verdict_on_what_could_not_be_read_has_no_stream():
    result = Result(fake("a.mp4").to_json(), None, "")
    assert result.values["stream"] is None and "note" not in line(result)
    (row,) = csv.DictReader(io.StringIO(as_csv([result]).decode()))
    assert row["notes"] == ""


def test_lines_say_the_decision_the_stretches_and_the_faces_that_were_not_judged():
    found = fake("a.mp4")
    face = replace(found.faces[0], segments=(Segment(0.4, 1.3, 0.97),))
    result = Result(replace(found, faces=(face,), faces_seen=3).to_json(), None, "")
    first, stretch, note = line(result).splitlines()
    assert first.startswith("lip-sync found  ") and stretch.strip() == "suspicious from 0.4 to 1.3 s (0.970)"
    assert note.split(maxsplit=1)[1] == "3 faces were found, 1 judged; --face all judges more"
    (row,) = csv.DictReader(io.StringIO(as_csv([result]).decode()))
    assert (row["verdict"], row["segments"]) == ("fake", "0.4-1.3")


def test_advice_is_that_of_the_page():
    verdict = fake("a.mp4")
    assert advice(Result(verdict.to_json(), None, "")) == f"{error_text(verdict.rates)}\n{NO_PROOF}"
    assert verdict.rates is not None
    unmeasured = replace(verdict, source=replace(verdict.source, rates=()))
    assert advice(Result(unmeasured.to_json(), None, "")).startswith("How often this detector errs on videos like")
    assert advice(Result(refused().to_json(), None, "")) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-7.3, "sharpness is -7.3, but the detector was tested on -6.3 to -1.6 octaves"),
        (-1.632, "sharpness is -1.63, but the detector was tested on -6.28 to -1.64 octaves"),
    ],
)
def test_a_value_just_outside_does_not_read_like_the_limit(value, expected):
    quality = Quality(250.0, value, 0.2, 0.1, 25.0, 0.1, 0.0)
    assert outside_text(quality, {"sharpness": (-6.2806, -1.636)}) == expected
