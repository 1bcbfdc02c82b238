import sys
import warnings

import cv2
import numpy as np
import pytest

from lipinc.cache.contact_sheet import SEAM, SEPARATOR, contact_sheet, mouth_strip
from lipinc.evaluation.metrics import Interval
from lipinc.evaluation.plots import (
    plot_conditions,
    plot_confusion,
    plot_growth,
    plot_learning_curves,
    plot_precision_recall,
    plot_roc,
    plot_score_histogram,
    plot_steady_state,
)
from lipinc.evaluation.predictions import Predictions
from lipinc.synthesis.perturbations import expand_conditions

NAN = float("nan")
CURVE_BGR = (0xB2, 0x72, 0x00)
SECOND_CURVE_BGR = (0x00, 0x9F, 0xE6)
REAL_BGR = (0x73, 0x9E, 0x00)
FAKE_BGR = (0x00, 0x5E, 0xD5)


def predictions(label, score) -> Predictions:
    names = [str(i) for i in range(len(label))]
    blank = [""] * len(label)
    return Predictions(names, label, score, [1] * len(label), names, *[blank] * 7)


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


@pytest.mark.parametrize("videos", [[100, 1000, 10000], [100]])
def test_growth_has_a_curve_a_step_of_the_work(tmp_path, videos):
    fewer = videos[:-1]
    seconds = {
        "one": (videos, [0.02 * count for count in videos]),
        "other": (fewer, [0.001 * count for count in fewer]),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_growth(seconds, {"one": (videos, [900.0] * len(videos))}, tmp_path / "growth.png", "title", "note")
    image = cv2.imread(str(tmp_path / "growth.png"))
    assert pixels(image, CURVE_BGR) > 20
    assert pixels(image, SECOND_CURVE_BGR) > 10


def test_steady_state_draws_every_process_over_the_videos_done(tmp_path):
    done, memory = [0, 50, 100], {"script": [130.0, 131.0, 131.0], "worker": [200.0, 210.0, 205.0]}
    plot_steady_state(done, memory, [23, 23, 24], ([50, 100], [2.0, 2.1]), tmp_path / "steady.png", "title", "note")
    image = cv2.imread(str(tmp_path / "steady.png"))
    assert pixels(image, CURVE_BGR) > 60  # in each of the three pictures
    assert pixels(image, SECOND_CURVE_BGR) > 20


def test_pyplot_is_left_alone(tmp_path):
    plot_roc(predictions([0, 1], [0.0, 1.0]), tmp_path / "roc.png", "title")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def clip(rng, count=8, height=64, width=144):
    frames = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return frames, frames[1:] - frames[:-1]


def test_strip_holds_every_frame_above_the_residue_of_its_pair():
    frames, residues = clip(np.random.default_rng(0))
    strip = mouth_strip(frames, residues, local_frames=5)
    assert strip.dtype == np.uint8
    assert strip.shape == (64 + SEPARATOR + 64, 8 * 144 + 6 * SEPARATOR + SEAM, 3)
    covered = np.zeros(strip.shape[:2], bool)
    for i in range(8):
        left = i * (144 + SEPARATOR) + (SEAM - SEPARATOR if i >= 5 else 0)
        np.testing.assert_array_equal(strip[:64, left : left + 144], frames[i])
        covered[:64, left : left + 144] = True
        if i > 0:
            np.testing.assert_array_equal(strip[64 + SEPARATOR :, left : left + 144], residues[i - 1])
            covered[64 + SEPARATOR :, left : left + 144] = True
    assert (strip[~covered] == 255).all()


def test_strip_of_local_frames_alone_has_no_seam():
    frames, residues = clip(np.random.default_rng(0), count=3, height=10, width=20)
    assert mouth_strip(frames, residues, local_frames=3).shape == (20 + SEPARATOR, 60 + 2 * SEPARATOR, 3)


def test_contact_sheet_shows_strips_pixel_for_pixel_under_coloured_captions(tmp_path):
    rng = np.random.default_rng(0)
    items = [("real  id00076/00109.mp4  window 0", *clip(rng)), ("fake  $a_1$.mp4  window 1", *clip(rng))]
    contact_sheet(items, tmp_path / "sheet.png", "title", local_frames=5, note="demo corpus")
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    tops = []
    for _, frames, residues in items:
        strip = mouth_strip(frames, residues, local_frames=5)
        match = cv2.matchTemplate(sheet, strip, cv2.TM_SQDIFF)
        _, _, (left, top), _ = cv2.minMaxLoc(match)
        np.testing.assert_array_equal(sheet[top : top + strip.shape[0], left : left + strip.shape[1]], strip)
        tops.append(top)
    assert tops[0] + 131 < tops[1]
    assert pixels(sheet[tops[0] - 20 : tops[0]], REAL_BGR) > 50
    assert pixels(sheet[tops[1] - 20 : tops[1]], FAKE_BGR) > 50
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_contact_sheet_of_nothing_is_still_a_picture(tmp_path):
    contact_sheet([], tmp_path / "sheet.png", "no clips", local_frames=5)
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] > 500


@pytest.mark.parametrize("conditions", [("crf23", "crf35"), ("blur2",), ("crf0",), expand_conditions(["all"])])
def test_areas_under_conditions_are_one_panel_a_perturbation(tmp_path, conditions):
    areas = {condition: Interval(0.7, 0.6, 0.8) for condition in ("raw", *conditions)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_conditions(areas, tmp_path / "conditions.png", "title", "note")
        plot_conditions({"crf28": Interval(0.7, NAN, NAN)}, tmp_path / "lone.png", "title")
    assert pixels(cv2.imread(str(tmp_path / "conditions.png")), CURVE_BGR) > 50
    assert (tmp_path / "lone.png").exists()
