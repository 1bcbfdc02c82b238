import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from lipinc.datasets.records import Label, paired_reals
from lipinc.evaluation.metrics import (
    auc,
    break_down,
    compute_metrics,
    count_people,
    decided,
    decided_wrongly,
    fakes_missed,
    reals_accused,
    roc_counts,
    too_few,
)
from lipinc.models.calibration import Calibration
from tests.predicted import predictions


@st.composite
def judged_videos(draw):
    """Labels of both classes, scores with many ties, and how often each video counts (0 too, as in a resample)."""
    count = draw(st.integers(2, 40))
    labels = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    scores = draw(st.lists(st.integers(-4, 4), min_size=count, max_size=count))
    weights = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    labels[:2], weights[:2] = [0, 1], [max(weights[0], 1), max(weights[1], 1)]
    return np.array(labels), np.array(scores) / 2, np.array(weights)


@given(judged_videos(), st.sampled_from([-9.0, -1.0, 0.25, 1.0, 9.0]))
@settings(max_examples=60, deadline=None)
def test_agrees_with_scikit_learn_on_ties_and_multiplicities(videos, threshold):
    labels, scores, weights = videos
    judged = scores >= threshold
    for weight in (None, weights):
        counts = roc_counts(labels, scores, weight)
        value = sklearn_metrics.roc_auc_score(labels, scores, sample_weight=weight)
        assert auc(labels, scores, weight) == counts.auc() == pytest.approx(value, abs=1e-12)
        value = sklearn_metrics.average_precision_score(labels, scores, sample_weight=weight)
        assert counts.average_precision() == pytest.approx(value, abs=1e-12)
        value = sklearn_metrics.accuracy_score(labels, judged, sample_weight=weight)
        assert counts.accuracy(threshold) == pytest.approx(value, abs=1e-12)
        value = sklearn_metrics.balanced_accuracy_score(labels, judged, sample_weight=weight)
        assert counts.balanced_accuracy(threshold) == pytest.approx(value, abs=1e-12)
        decisions = np.where(judged, 1, -1)
        value = 1 - sklearn_metrics.recall_score(labels, judged, sample_weight=weight, pos_label=0)
        assert reals_accused(labels, decisions, weight) == pytest.approx(value, abs=1e-12)
        value = 1 - sklearn_metrics.recall_score(labels, judged, sample_weight=weight, pos_label=1)
        assert fakes_missed(labels, decisions, weight) == pytest.approx(value, abs=1e-12)
        value = 1 - sklearn_metrics.accuracy_score(labels, judged, sample_weight=weight)
        assert decided_wrongly(labels, decisions, weight) == pytest.approx(value, abs=1e-12)
        assert decided(labels, decisions, weight) == 1


@given(judged_videos())
@settings(max_examples=100, deadline=None)
def test_eer_lies_on_the_interpolated_roc(videos):
    labels, scores, _ = videos
    rate = roc_counts(labels, scores).eer()
    false_alarms, hits, _ = sklearn_metrics.roc_curve(labels, scores, drop_intermediate=False)
    # The ROC may rise straight up there, so that a range of hit rates belongs to one false alarm rate.
    left = np.interp(rate - 1e-9, false_alarms, hits)
    right = np.interp(rate + 1e-9, false_alarms, hits)
    assert left - 1e-6 <= 1 - rate <= right + 1e-6


def test_eer_by_hand():
    # ROC (0, 0) (0, 1/2) (1/2, 1/2) (1/2, 1) (1, 1): misses equal false alarms at the point (1/2, 1/2).
    assert roc_counts([1, 0, 1, 0], [4.0, 3.0, 2.0, 1.0]).eer() == pytest.approx(0.5)
    # One tie of all: the chance line, crossed halfway.
    assert roc_counts([1, 0, 1], [1.0, 1.0, 1.0]).eer() == pytest.approx(0.5)
    # Points (0, 2/3) (1/2, 2/3) (1/2, 1): misses 1/3 equal false alarms 1/3 between the first two.
    assert roc_counts([1, 1, 0, 1, 0], [5.0, 4.0, 3.0, 2.0, 1.0]).eer() == pytest.approx(1 / 3)
    assert roc_counts([1, 0], [1.0, 0.0]).eer() == 0.0
    assert roc_counts([1, 0], [0.0, 1.0]).eer() == 1.0


@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
def test_metrics_are_nan_where_a_class_is_absent(labels):
    scores = np.linspace(0, 1, len(labels))
    counts = roc_counts(labels, scores)
    assert np.isnan([counts.auc(), counts.average_precision(), counts.eer(), counts.balanced_accuracy(0.5)]).all()


def test_accuracy_needs_one_class_and_some_video():
    assert roc_counts([1, 1], [0.0, 1.0]).accuracy(0.5) == 0.5
    assert np.isnan(roc_counts([], []).accuracy(0.5))


def test_decisions_are_counted_among_the_videos_that_they_concern():
    labels, decisions = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([1, 0, -1, -1, 1, 0, -1])
    weights = np.array([2, 1, 1, 1, 1, 1, 1])
    assert reals_accused(labels, decisions) == 1 / 4
    assert reals_accused(labels, decisions, weights) == 2 / 5
    assert fakes_missed(labels, decisions) == pytest.approx(1 / 3)
    assert decided(labels, decisions) == pytest.approx(5 / 7)
    assert decided_wrongly(labels, decisions) == 2 / 5
    nothing = np.zeros(7)
    assert decided(labels, nothing) == 0 and np.isnan(decided_wrongly(labels, nothing))
    assert np.isnan(reals_accused(labels[4:], decisions[4:]))
    assert np.isnan(fakes_missed(labels[:4], decisions[:4]))


def test_decisions_come_from_the_threshold_or_with_the_videos():
    videos = predictions([0, 0, 1], [0.0, 1.0, 2.0])
    metric = compute_metrics(videos, 0.5, bootstrap=100)["reals_accused"]
    assert (metric.value, metric.low, metric.high) == (0.5, 0.0, 1.0)
    careful = videos.decided_by(Calibration(0.5, 1.0, (0.0, 1.5)))
    assert careful.decision.tolist() == [-1, 0, 1]
    metrics = compute_metrics(careful, 0.5, bootstrap=10)
    assert metrics["reals_accused"].value == 0 and metrics["decided"].value == pytest.approx(2 / 3)
    assert careful.select(np.array([1, 2])).decision.tolist() == [0, 1]


def test_metrics_are_nan_where_a_score_is_no_number():
    labels, scores = [0, 1, 1], [0.0, 1.0, float("nan")]
    counts = roc_counts(labels, scores)
    assert np.isnan([counts.auc(), counts.average_precision(), counts.eer()]).all()
    assert np.isnan([counts.accuracy(0.5), counts.balanced_accuracy(0.5)]).all()


def test_infinite_scores_tie_with_each_other():
    assert auc([0, 1, 0, 1], [-np.inf, np.inf, np.inf, -np.inf]) == 0.5


def test_separable_videos_have_the_interval_one_to_one():
    label = [0, 1] * 10
    metrics = compute_metrics(predictions(label, [10.0 * each for each in label]), threshold=5.0, bootstrap=100)
    for name in ("auc", "ap", "accuracy", "balanced_accuracy"):
        assert (metrics[name].value, metrics[name].low, metrics[name].high) == (1.0, 1.0, 1.0)
    assert (metrics["eer"].value, metrics["eer"].low, metrics["eer"].high) == (0.0, 0.0, 0.0)


def test_bootstrap_takes_all_videos_of_an_identity_together():
    # Within each person one real and one fake, judged right for a and wrong for b. A resample is one of aa, ab, bb, so
    # accuracy is 1, 1/2 or 0 and balanced accuracy the same. Videos drawn singly would give 1/4 and 3/4 too.
    two = predictions([0, 1, 0, 1], [0.0, 1.0, 1.0, 0.0], identity=["a", "a", "b", "b"])
    seen = {compute_metrics(two, 0.5, bootstrap=1, seed=seed)["accuracy"].low for seed in range(40)}
    assert seen == {0.0, 0.5, 1.0}


def test_bootstrap_equals_copying_the_videos_of_each_drawn_identity():
    rng = np.random.default_rng(2)
    label = np.arange(30) % 2
    score = label + rng.normal(size=30)
    person = np.arange(30) // 5
    got = compute_metrics(predictions(label, score, identity=person.astype(str)), 0.5, bootstrap=40, seed=7)["auc"]
    rng = np.random.default_rng(7)
    areas = []
    for _ in range(40):
        rows = np.concatenate([np.flatnonzero(person == drawn) for drawn in rng.integers(6, size=6)])
        areas.append(sklearn_metrics.roc_auc_score(label[rows], score[rows]))
    assert (got.low, got.high) == pytest.approx(tuple(np.percentile(areas, (2.5, 97.5))))


def test_interval_is_as_wide_as_there_are_few_identities():
    rng = np.random.default_rng(0)
    # All videos of a person share a label and a large offset, so that 10 people say less than 400 videos.
    person = np.arange(400) // 40
    label = person % 2
    score = label + rng.normal(size=10)[person] * 2 + rng.normal(size=400)
    by_person = compute_metrics(predictions(label, score, identity=person.astype(str)), 0.5, bootstrap=200)["accuracy"]
    by_video = compute_metrics(predictions(label, score, identity=[""] * 400), 0.5, bootstrap=200)["accuracy"]
    assert by_person.value == by_video.value
    assert by_person.low < by_person.value < by_person.high
    assert by_person.high - by_person.low > 1.5 * (by_video.high - by_video.low)


def test_interval_is_absent_with_one_identity_or_one_class():
    one = compute_metrics(predictions([0, 1], [0.0, 1.0], identity=["a", "a"]), 0.5, bootstrap=20)["auc"]
    assert one.value == 1.0
    assert np.isnan([one.low, one.high]).all()
    fakes = compute_metrics(predictions([1, 1], [0.0, 1.0]), 0.5, bootstrap=20)
    assert fakes["accuracy"].value == 0.5
    assert np.isnan([fakes["auc"].value, fakes["auc"].low, fakes["auc"].high]).all()


def test_reals_alone_have_an_interval_of_those_accused():
    accused = compute_metrics(predictions([0] * 40, np.arange(40.0)), 30.0, bootstrap=200)["reals_accused"]
    assert accused.value == 0.25
    assert 0.05 < accused.low < 0.25 < accused.high < 0.45


def test_people_are_counted_once_for_each_class():
    videos = predictions([0, 0, 1, 1, 1], [0.0] * 5, identity=["a", "a", "a", "b", ""])
    assert count_people(videos) == {Label.REAL: 1, Label.FAKE: 3}
    people = [f"id{i}" for i in range(10)]
    many = predictions([0] * 10 + [1] * 10, np.arange(20.0), identity=people * 2, generator=["x"] * 10 + ["y"] * 10)
    assert not too_few(count_people(many)) and not too_few({Label.REAL: 10, Label.FAKE: 0})
    assert too_few({Label.REAL: 10, Label.FAKE: 9}) and too_few({Label.REAL: 9, Label.FAKE: 0})
    (row,) = break_down(many, 0.5, "generator", bootstrap=0)
    assert (row["real_people"], row["fake_people"], row["too_few_people"]) == (10, 10, False)
    (row,) = break_down(many.select(np.arange(20) < 19), 0.5, "generator", bootstrap=0)
    assert (row["real_people"], row["fake_people"], row["too_few_people"]) == (10, 9, True)


def test_resamples_without_a_class_are_skipped():
    # The single real is drawn in about two resamples of three; without the skip AUC would be nan.
    metric = compute_metrics(predictions([0, 1, 1], [0.0, 1.0, 2.0]), 0.5, bootstrap=100)["auc"]
    assert (metric.low, metric.high) == (1.0, 1.0)


def test_same_seed_same_interval_whatever_the_order():
    rng = np.random.default_rng(1)
    label = np.arange(60) % 2
    videos = predictions(label, label + rng.normal(size=60), identity=[f"id{i // 4}" for i in range(60)])
    first = compute_metrics(videos, 0.5, bootstrap=50, seed=3)
    assert compute_metrics(videos, 0.5, bootstrap=50, seed=3) == first
    assert compute_metrics(videos, 0.5, bootstrap=50, seed=4) != first
    shuffled = compute_metrics(videos.select(rng.permutation(60)), 0.5, bootstrap=50, seed=3)
    assert shuffled["auc"].low == pytest.approx(first["auc"].low, abs=1e-12)


def test_a_thousand_resamples_of_2500_videos_take_seconds():
    rng = np.random.default_rng(0)
    label = (rng.random(2500) < 0.8).astype(int)
    videos = predictions(label, label + rng.normal(size=2500), identity=[f"id{i % 120}" for i in range(2500)])
    start = time.process_time()
    compute_metrics(videos, 0.5, bootstrap=1000)
    assert time.process_time() - start < 10


def test_generators_are_set_against_all_reals():
    videos = predictions(
        [0, 0, 1, 1, 1, 1],
        [0.0, 2.0, 1.0, 3.0, 4.0, -1.0],
        generator=["", "", "wav2lip", "wav2lip", "diff2lip", ""],
    )
    rows = break_down(videos, 1.5, "generator", bootstrap=20)
    assert [(row["group"], row["real"], row["fake"]) for row in rows] == [
        ("diff2lip", 2, 1),
        ("unknown", 2, 1),
        ("wav2lip", 2, 2),
    ]
    assert [row["auc"] for row in rows] == [1.0, 0.0, 0.75]
    assert [row["accuracy"] for row in rows] == pytest.approx([2 / 3, 1 / 3, 1 / 2])
    assert [row["balanced_accuracy"] for row in rows] == pytest.approx([3 / 4, 1 / 4, 1 / 2])
    assert rows[0]["ap"] == 1.0
    assert rows[0]["auc_low"] == rows[0]["auc_high"] == 1.0


def test_a_generator_named_at_reals_is_no_group():
    videos = predictions([0, 1], [0.0, 1.0], generator=["real", "wav2lip"])
    assert [row["group"] for row in break_down(videos, 0.5, "generator", bootstrap=0)] == ["wav2lip"]


def test_races_and_genders_are_judged_within_the_group():
    videos = predictions(
        [0, 1, 0, 1, 1],
        [0.0, 1.0, 3.0, 2.0, 5.0],
        race=["African", "African", "Asian (East)", "Asian (East)", ""],
        gender=["women", "women", "women", "women", "women"],
    )
    rows = break_down(videos, 0.5, "race", bootstrap=10)
    assert [row["group"] for row in rows] == ["African", "Asian (East)", "unknown"]
    assert [row["auc"] for row in rows[:2]] == [1.0, 0.0]
    assert (rows[2]["real"], rows[2]["fake"], rows[2]["accuracy"]) == (0, 1, 1.0)
    assert np.isnan([rows[2]["auc"], rows[2]["ap"], rows[2]["balanced_accuracy"]]).all()
    assert [(row["group"], row["real"], row["fake"]) for row in break_down(videos, 0.5, "gender")] == [("women", 2, 3)]


def test_no_rows_where_nothing_is_known():
    videos = predictions([0, 1], [0.0, 1.0], generator=["real", ""])
    assert break_down(videos, 0.5, "generator") == []
    assert break_down(videos, 0.5, "race") == []


def test_a_fake_is_compared_with_the_real_that_it_was_made_from():
    videos = predictions(
        [0, 1, 1, 0, 1, 1, 1],
        [0.0, 0.5, -0.5, 9.0, 9.0, 1.0, 7.0],
        key=["a.mp4", "fa.mp4", "fb.mp4", "a.mp4@crf28", "fa.mp4@crf28", "lone.mp4", "odd.mp4"],
        pair=["", "a.mp4", "a.mp4", "", "a.mp4", "", "gone.mp4"],
        condition=["raw", "raw", "raw", "crf28", "crf28", "raw", "raw"],
        identity=["p"] * 3 + ["q"] * 4,
    )
    np.testing.assert_array_equal(paired_reals(videos.records), [-1, 0, 0, -1, 3, -1, -1])
    found = compute_metrics(videos, threshold=0.0, bootstrap=200)["within_pairs"]
    assert found.value == pytest.approx((1 + 0 + 0.5) / 3)  # above, below, the same
    assert found.low == pytest.approx(0.5) and found.high == pytest.approx(0.5)  # each person's own share
    assert "within_pairs" not in compute_metrics(predictions([0, 1], [0.0, 1.0]), threshold=0.0, bootstrap=0)


def test_fakes_are_grouped_by_audio_against_all_reals():
    videos = predictions([0, 0, 1, 1], [0.0, 1.0, 2.0, 0.5], audio=["own", "none", "same", "dubbed"])
    assert [(row["group"], row["real"], row["auc"]) for row in break_down(videos, threshold=0.0, by="audio")] == [
        ("dubbed", 2, 0.5),
        ("same", 2, 1.0),
    ]


# Refused videos, frames


def test_refused_videos_count_at_the_threshold_in_an_auc_of_their_own():
    scored = predictions([0, 0, 1, 1], [-1.0, 3.0, 2.0, 4.0], identity=["a", "b", "a", "b"])
    refused = predictions([0, 1], [0.0, 0.0], key=["r.mp4", "f.mp4"], identity=["a", "c"]).records
    plain = compute_metrics(scored, threshold=1.0, bootstrap=50)
    found = compute_metrics(scored, threshold=1.0, bootstrap=50, refused=refused)
    assert found.items() >= plain.items() and set(found) - set(plain) == {"auc_with_refused"}
    # Scores -1, 3 and 1 of reals, 2, 4 and 1 of fakes: 3 + 1 + 2.5 of 9 pairs are in order.
    assert found["auc_with_refused"].value == pytest.approx(6.5 / 9)
    assert found["auc_with_refused"].low < 6.5 / 9 < found["auc_with_refused"].high


def test_refused_videos_count_in_their_groups_even_if_nothing_else_is_left_of_one():
    scored = predictions([0, 0, 1], [0.0, 2.0, 3.0], generator=["", "", "alpha"], gender=["men", "women", "women"])
    refused = predictions(
        [0, 1, 1],
        [0.0] * 3,
        key=["r.mp4", "f.mp4", "g.mp4"],
        generator=["", "alpha", "beta"],
        gender=["women", "women", "men"],
    ).records
    rows = break_down(scored, 1.0, "generator", refused=refused, bootstrap=0)
    assert [(row["group"], row["real"], row["fake"], row["refused"]) for row in rows] == [
        ("alpha", 2, 1, 2),
        ("beta", 2, 0, 2),
    ]
    assert (rows[0]["auc"], rows[0]["auc_with_refused"]) == (1.0, pytest.approx(4.5 / 6))
    assert np.isnan(rows[1]["auc"]) and rows[1]["auc_with_refused"] == pytest.approx(1.5 / 3)
    rows = break_down(scored, 1.0, "gender", refused=refused, bootstrap=0)
    assert [(row["group"], row["real"] + row["fake"], row["refused"]) for row in rows] == [
        ("men", 1, 1),
        ("women", 2, 2),
    ]


def test_frames_have_the_score_of_their_window_and_videos_count_once_for_each():
    windows = [np.array([0.0, 3.0]), np.array([2.0]), np.array([1.0, 4.0, 4.0])]
    generator = ["", "alpha", "beta"]
    videos = replace(predictions([0, 1, 1], [1.5, 2.0, 3.0], generator=generator), window_scores=windows)
    assert "frame_auc" not in compute_metrics(videos, 0.5, bootstrap=0)
    found = compute_metrics(videos, 0.5, bootstrap=20, frame_level=True)
    eight = [np.repeat(one, 8) for one in windows]  # frames in a window
    by_frame = sklearn_metrics.roc_auc_score(np.repeat([0, 1, 1], [len(one) for one in eight]), np.concatenate(eight))
    assert found["frame_auc"].value == pytest.approx(by_frame) == pytest.approx(6 / 8)
    assert found["auc"].value == 1.0
    rows = break_down(videos, 0.5, "generator", frame_level=True, bootstrap=0)
    assert [row["frame_auc"] for row in rows] == [0.5, pytest.approx(5 / 6)]
