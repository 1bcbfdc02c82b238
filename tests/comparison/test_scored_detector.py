"""What is made of a score file: direction, threshold, repeated and missing rows."""

import numpy as np
import pytest

from lipinc.datasets.records import Label, VideoRecord
from tests.comparison.made_up import detector, records, scores, write_scores

VIDEOS = records()


def made(tmp_path, values, column="score", *, more=None, **options):
    return detector(write_scores(tmp_path / "s.csv", VIDEOS, values, column, **(more or {})), VIDEOS, **options)


def test_the_direction_is_assumed_and_said(tmp_path):
    values = scores(VIDEOS, 2)
    found = made(tmp_path, values)
    assert (found.direction, found.tuned, found.warnings) == ("fake-high", False, ())
    assert "assumed" in found.direction_reason
    np.testing.assert_array_equal(found.conditions["raw"].score, values)


def test_a_direction_found_from_the_labels_is_said_loudly(tmp_path):
    values = scores(VIDEOS, -2)
    found = made(tmp_path, values)
    assert (found.direction, found.tuned) == ("real-high", True)
    assert "tuning on the test data" in found.warnings[0] and "--direction A=real-high" in found.warnings[0]
    np.testing.assert_array_equal(found.conditions["raw"].score, -values)


def test_the_direction_is_that_of_raw_videos_wherever_they_stand(tmp_path):
    file = tmp_path / "s.csv"
    lines = ["path,condition,score"]
    for condition, separation in (("crf28", -3), ("raw", 3)):
        values = scores(VIDEOS, separation)
        lines += [f"{v.path},{condition},{value}" for v, value in zip(VIDEOS, values, strict=True)]
    file.write_text("\n".join(lines) + "\n")
    found = detector(file, VIDEOS)
    assert (found.direction, found.tuned) == ("fake-high", False)


def test_a_detector_that_guesses_is_not_turned(tmp_path):
    seed = next(seed for seed in range(99) if 0.4 < _area(scores(VIDEOS, 0, seed)) < 0.49)
    assert made(tmp_path, scores(VIDEOS, 0, seed)).direction == "fake-high"


def _area(values) -> float:
    from lipinc.evaluation.metrics import auc

    return auc(np.array([video.label for video in VIDEOS]), values)


@pytest.mark.parametrize(
    ("column", "direction"),
    [("prob_real", "real-high"), ("bonafide score", "real-high"), ("P(fake)", "fake-high"), ("pFake", "fake-high")],
)
def test_the_name_of_the_column_states_the_direction(tmp_path, column, direction):
    found = made(tmp_path, scores(VIDEOS, 2 if direction == "fake-high" else -2), column)
    assert (found.direction, found.tuned, found.warnings) == (direction, False, ())


def test_what_is_stated_is_kept_but_a_contradiction_is_said(tmp_path):
    found = made(tmp_path, scores(VIDEOS, -2), direction="fake-high")
    assert (found.direction, found.tuned) == ("fake-high", False)
    assert "its AUC is only" in found.warnings[0]


@pytest.mark.parametrize(
    ("values", "column", "options", "threshold", "words"),
    [
        ([0.2, 0.9] * 24, "score", {}, 0.5, "0..1"),
        ([0.2, 0.9] * 24, "real_prob", {}, -0.5, "0..1"),
        ([20, 90] * 24, "percent fake", {}, 50, "percentages"),
        (["20%", "90%"] * 24, "score", {}, 50, "percentages"),
        ([-2, 3] * 24, "logit", {}, 0, "logits"),
        ([-2, 3] * 24, "score", {}, np.nan, "--threshold"),
        ([-2, 3] * 24, "score", {"threshold": 1.5}, 1.5, "as stated"),
        ([-2, 3] * 24, "score", {"threshold": 1.5, "direction": "real-high"}, -1.5, "as stated"),
    ],
)
def test_thresholds(tmp_path, values, column, options, threshold, words):
    found = made(tmp_path, values, column, **options)
    assert found.threshold == pytest.approx(threshold, nan_ok=True) and words in found.threshold_reason


def test_the_threshold_of_the_file_is_that_of_its_predictions(tmp_path):
    values = np.linspace(-1, 1, len(VIDEOS))
    found = made(tmp_path, values, more={"prediction": (values >= 0.3).astype(int)})
    assert found.threshold == values[values >= 0.3].min()
    contradictory = made(tmp_path, values, more={"prediction": [0, 1] * 24})
    assert np.isnan(contradictory.threshold)


@pytest.mark.parametrize(("lowest", "warns"), [(0.5, True), (0.0, False)])
def test_the_confidence_in_the_predicted_class_is_no_score(tmp_path, lowest, warns):
    values = np.linspace(0, 1, len(VIDEOS))
    confidence = np.maximum(values, 1 - values) if warns else values
    found = made(tmp_path, confidence, "confidence", more={"pred": ["FAKE" if v >= 0.5 else "REAL" for v in values]})
    assert min(confidence) >= lowest and any("write 1 minus it" in line for line in found.warnings) is warns


def test_decisions_of_a_band_are_kept(tmp_path):
    values = np.linspace(0, 1, len(VIDEOS))
    words = ["real" if value < 0.4 else "fake" if value > 0.6 else "uncertain" for value in values]
    found = made(tmp_path, values, more={"decision": words})
    expected = [{"real": -1, "uncertain": 0, "fake": 1}[word] for word in words]
    np.testing.assert_array_equal(found.conditions["raw"].decision, expected)


def test_repeated_rows(tmp_path):
    videos = [VideoRecord("a.mp4", Label.REAL, "ann"), VideoRecord("b.mp4", Label.FAKE, "bob")]
    file = tmp_path / "s.csv"
    videos += [VideoRecord("c.mp4", Label.FAKE, "cyd")]
    file.write_text("path,score\na.mp4,0.1\na.mp4,0.1\nb.mp4,0.4\nb.mp4,0.8\nb.mp4,\nc.mp4,inf\nc.mp4,-inf\n")
    found = detector(file, videos)
    np.testing.assert_allclose(found.conditions["raw"].score, [0.1, 0.6, np.nan])
    assert found.counts["videos without a score"] == ["c.mp4 (row 7)"]
    assert found.counts["repeated rows with the same score, counted once"] == ["a.mp4 (row 2)"]
    assert found.counts["videos with several different scores, whose mean counts"] == ["b.mp4 (row 4)"]


def test_rows_that_are_not_used_are_counted(tmp_path):
    videos = [VideoRecord(f"{label.name.lower()}/1.mp4", label, "ann") for label in Label]
    videos += [VideoRecord("real/2.mp4", Label.REAL, "bob"), VideoRecord("real/3.mp4", Label.REAL, "cyd")]
    file = tmp_path / "s.csv"
    file.write_text("path,score\nreal/1.mp4,1\n1.mp4,2\nelsewhere.mp4,3\nfake/1.mp4,none\nreal/2.mp4,x\nx/3.mp4,4\n")
    found = detector(file, videos)
    np.testing.assert_array_equal(found.conditions["raw"].score, [1, np.nan, np.nan, 4])
    assert {what.partition(",")[0]: len(rows) for what, rows in found.counts.items()} == {
        "left out": 1,
        "matched by the file name alone": 1,
        "scores that are no number": 1,
        "videos without a score": 2,
    }
    assert all("\n" not in line for line in found.lines())


def test_two_names_for_one_video_are_not_averaged(tmp_path):
    """Two folders of another detector may hold two videos of one name, of which the index has one."""
    file = tmp_path / "s.csv"
    file.write_text("path,score\nx/a.mp4,0.1\ny/a.mp4,0.9\nreal/b.mp4,0.5\nold/b.mp4,0.7\n")
    found = detector(file, [VideoRecord("real/a.mp4", Label.REAL, "ann"), VideoRecord("real/b.mp4", Label.REAL, "bob")])
    np.testing.assert_array_equal(found.conditions["raw"].score, [np.nan, 0.5])


def test_the_csv_of_detect_is_a_score_file(tmp_path):
    videos = [VideoRecord("a.mp4", Label.REAL, "ann"), VideoRecord("b.mp4", Label.FAKE, "bob")]
    videos += [VideoRecord("c.mp4", Label.FAKE, "cyd")]
    file = tmp_path / "verdicts.csv"
    file.write_text(
        "file,verdict,probability,threshold,windows,coverage,reason\n/v/a.mp4,uncertain,0.6,0.3,9,1.0,\n"
        "/v/b.mp4,fake,0.9,0.3,9,1.0,\n/v/c.mp4,no_verdict,,,0,,no_face\n"
    )
    found = detector(file, videos)
    np.testing.assert_array_equal(found.conditions["raw"].score, [0.6, 0.9, np.nan])
    assert found.conditions["raw"].decision[:2].tolist() == [0, 1]
    assert (found.direction, found.direction_reason, found.threshold) == ("fake-high", "a file of lipinc", 0.5)
    assert found.counts == {"videos without a score": ["v/c.mp4 (row 4)"]}
