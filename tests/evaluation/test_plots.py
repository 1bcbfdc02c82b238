import sys
import warnings

import cv2
import numpy as np
import pytest

from lipinc.evaluation.metrics import Interval
from lipinc.evaluation.plots import (
    plot_conditions,
    plot_confusion,
    plot_learning_curves,
    plot_precision_recall,
    plot_roc,
    plot_score_histogram,
)
from lipinc.synthesis.perturbations import expand_conditions
from tests.predicted import predictions

NAN = float("nan")

CURVE_BGR = (0xB2, 0x72, 0x00)


def pixels(image: np.ndarray, bgr: tuple[int, int, int]) -> int:
    return int(np.sum((image == bgr).all(axis=-1)))


PLOTS = {
    "roc": plot_roc,
    "precision_recall": plot_precision_recall,
    "scores": lambda videos, path, *texts: plot_score_histogram(videos, 0.5, path, *texts),
    "confusion": lambda videos, path, *texts: plot_confusion(videos, 0.5, path, *texts),
}


VIDEOS = {
    "many": ([0, 1] * 50, np.linspace(-3, 3, 100)),
    "one a class": ([0, 1], [0.0, 1.0]),
    "equal scores": ([0, 1], [0.5, 0.5]),
    "one class": ([1, 1], [0.0, 1.0]),
    "not a number": ([0, 1, 1], [0.0, NAN, 1.0]),
    "infinite": ([0, 1, 1], [0.0, np.inf, 1.0]),
    "none": ([], []),
}


@pytest.mark.parametrize("videos", VIDEOS)
@pytest.mark.parametrize("plot", PLOTS)
def test_every_plot_is_a_picture_without_warnings(tmp_path, plot, videos):
    path = tmp_path / f"{plot}.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PLOTS[plot](predictions(*VIDEOS[videos]), path, "title with $ and _", "a note " * 30)
    height, width, _ = cv2.imread(str(path)).shape
    assert 450 <= height <= 700
    assert 500 <= width <= 900
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_curve_is_drawn_only_where_there_is_one(tmp_path):
    for plot in (plot_roc, plot_precision_recall):
        plot(predictions([0, 1], [0.0, 1.0]), tmp_path / "some.png", "title")
        plot(predictions([1, 1], [0.0, 1.0]), tmp_path / "none.png", "title")
        some, none = (pixels(cv2.imread(str(tmp_path / name)), CURVE_BGR) for name in ("some.png", "none.png"))
        assert some > none + 500


def test_note_is_printed_at_the_bottom(tmp_path):
    videos = predictions([0, 1], [0.0, 1.0])
    # Anagrams, because the layout follows the size of the note.
    for note in ("one", "eon"):
        plot_roc(videos, tmp_path / f"{note}.png", "title", note)
    one, eon = (cv2.imread(str(tmp_path / f"{note}.png")) for note in ("one", "eon"))
    assert (one[-30:] != eon[-30:]).any()
    np.testing.assert_array_equal(one[:-30], eon[:-30])


ROW = {"epoch": 1, "train_loss": 5.0, "train_classification": 0.7, "train_inconsistency": 0.9, "validation_loss": 5.2, "validation_auc": 0.5}  # fmt: skip # noqa: E501


@pytest.mark.parametrize(
    "rows",
    [
        [ROW | {"epoch": epoch, "validation_auc": 0.5 + epoch / 40} for epoch in range(1, 11)],
        [ROW],
        [ROW | {"train_inconsistency": NAN, "validation_auc": NAN}],
        [],
    ],
)
def test_learning_curves(tmp_path, rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_learning_curves(rows, 1, tmp_path / "curves.png", "title", "note")
    image = cv2.imread(str(tmp_path / "curves.png"))
    assert image.shape[0] > 450
    assert image.shape[1] > 1000
    assert (pixels(image, CURVE_BGR) > 20) == bool(rows)


def test_pyplot_is_left_alone(tmp_path):
    plot_roc(predictions([0, 1], [0.0, 1.0]), tmp_path / "roc.png", "title")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


@pytest.mark.parametrize("conditions", [("crf23", "crf35"), ("blur2",), ("crf0",), expand_conditions(["all"])])
def test_areas_under_conditions_are_one_panel_a_perturbation(tmp_path, conditions):
    areas = {condition: Interval(0.7, 0.6, 0.8) for condition in ("raw", *conditions)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_conditions(areas, tmp_path / "conditions.png", "title", "note")
        plot_conditions({"crf28": Interval(0.7, NAN, NAN)}, tmp_path / "lone.png", "title")
    assert pixels(cv2.imread(str(tmp_path / "conditions.png")), CURVE_BGR) > 50
    assert (tmp_path / "lone.png").exists()
