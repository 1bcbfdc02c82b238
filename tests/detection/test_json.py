"""The JSON of verdicts of every kind is what its schema and docs/json.md say."""

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest

import lipinc.detection
from lipinc.detection.detector import Detector
from lipinc.detection.output import COLUMNS
from lipinc.detection.verdict import Decision, Verdict
from lipinc.models.calibration import Calibration
from lipinc.video.error_rates import ErrorRates
from lipinc.video.rejection import Reason, Rejection
from tests.detection.test_page import fake, refused, suspicious, traceless, unlike

SCHEMA = json.loads(Path(lipinc.detection.__file__).with_name("verdict.schema.json").read_text())
DOCUMENTATION = (Path(__file__).resolve().parents[2] / "docs/json.md").read_text()


def check(verdict: Verdict) -> dict:
    """Validate what a program reads of a verdict."""
    values = json.loads(json.dumps([verdict.to_json()], allow_nan=False))
    jsonschema.Draft202012Validator(SCHEMA).validate(values)
    return values[0]


def valid(verdict: Verdict) -> Verdict:
    """A hand-made verdict has the hashes and the settings that the detector would give it."""
    settings = {"mouth": {}, "sampling": {}, "model": {}}
    return replace(verdict, source=replace(verdict.source, settings=settings, versions={"lipinc": "1", "python": "3"}))


def test_the_schema_is_one_and_allows_nothing_else():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    values = valid(suspicious()).to_json()
    for part in (values, values["faces"][0], values["faces"][0]["quality"], values["stream"], values["error_rates"]):
        part["more"] = 1
        with pytest.raises(jsonschema.ValidationError, match="'more' was unexpected"):
            jsonschema.validate(json.loads(json.dumps([values])), SCHEMA)
        del part["more"]


@pytest.mark.parametrize("make", [fake, suspicious, unlike, traceless])
def test_verdicts_of_every_kind_fit(make):
    values = check(valid(make()))
    assert values["verdict"] == make().decision.value and values["judged_at"] == make().judged_at


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_fits(reason):
    values = check(valid(refused(reason=reason)))
    assert (values["reason"], values["probability"], values["coverage"]) == (reason.value, None, None)


def test_unknown_measures_and_open_bounds_are_null():
    verdict = valid(suspicious())
    quality = replace(verdict.quality, noise=float("nan"))
    rates = (ErrorRates((0.0, float("inf")), 1, 1, 0.0, 0.0, 1.0),)
    verdict = replace(verdict, faces=(replace(verdict.faces[0], quality=quality),))
    values = check(replace(verdict, source=replace(verdict.source, rates=rates)))
    assert values["faces"][0]["quality"]["noise"] is None and values["error_rates"]["face_height"] == [0, None]


@pytest.mark.parametrize(
    ("score", "limits", "decision"),
    [
        (3.0, {}, Decision.FAKE),
        (-3.0, {}, Decision.REAL),
        (0.0, {}, Decision.UNCERTAIN),
        (3.0, {"face_height": (1000.0, 2000.0)}, Decision.UNCERTAIN),
    ],
)
def test_verdicts_of_a_detector_fit(talk, make_checkpoint, score, limits, decision):
    rates = (ErrorRates((0.0, float("inf")), 40, 30, 0.05, 0.1, 0.5),)
    checkpoint = make_checkpoint(Calibration(uncertain=(-1.0, 1.0), limits=limits, rates=rates), score=score)
    verdict = Detector(checkpoint)(talk)
    values = check(verdict)
    assert verdict.decision is decision and values["error_rates"]["reals"] == 40
    assert ("size of the face is" in values["detail"]) == bool(limits)


def test_several_faces_a_folder_of_frames_and_what_cannot_be_read_fit(tmp_path, write_video, talking, checkpoint):
    judge = Detector(checkpoint)
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, image in enumerate(talking):
        cv2.imwrite(str(frames / f"{number}.png"), image)
    assert check(judge(frames))["stream"]["container"] == "pictures"
    pair = write_video(tmp_path / "pair.mp4", [np.hstack([frame, frame[:, ::-1]]) for frame in talking])
    assert [face["rank"] for face in check(judge(pair))["faces"]] == [0, 1]
    assert check(judge(tmp_path / "nowhere.mp4"))["stream"] is None
    assert check(judge.reject("v.mp4", Rejection(Reason.TIME_LIMIT, "")))["reason"] == "time_limit"


def test_every_field_and_column_is_documented_with_its_meaning():
    for name, definition in SCHEMA["$defs"].items():
        for field, values in definition["properties"].items():
            assert re.search(rf"^\| `{field}` \|.*\| {re.escape(values['description'])} \|$", DOCUMENTATION, re.M), (
                f"{name}.{field}"
            )
    columns = DOCUMENTATION.partition("## CSV")[2]
    assert all(f"`{column}`" in columns for column in COLUMNS)
    assert all(f"| `{reason.value}` |" in DOCUMENTATION for reason in Reason)
