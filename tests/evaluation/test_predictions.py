"""predictions.csv: every text and number comes back, and a spreadsheet runs nothing."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipinc.files.csv_table import unguard_formula
from lipinc.models.calibration import Calibration
from tests.predicted import predictions

TEXTS = ("key", "identity", "generator", "race", "gender", "family", "audio", "pair", "condition")
NAMES = [
    'a, "quoted".mp4', "two\nlines", "carriage\rreturn", "=SUM(A1)", "+1", "-1", "@x", "'=x", "''-x", "'quoted'", "'",
    "脸/é.mp4", " spaced ", "not utf-8 \udcff",
]  # fmt: skip


def read(path: Path) -> list[dict[str, str]]:
    """The rows of predictions.csv, by column."""
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    return [{name: unguard_formula(cell) for name, cell in row.items()} for row in rows]


def test_csv_gives_names_and_scores_back(tmp_path):
    rng = np.random.default_rng(0)
    count = len(NAMES)
    score = rng.normal(size=count) * 10.0 ** rng.integers(-300, 300, size=count)
    score[:3] = [np.nan, -np.inf, -0.0]
    written = predictions(
        np.arange(count) % 2, score, key=NAMES, identity=NAMES[::-1], generator=NAMES, race=NAMES, gender=NAMES
    )
    written.write(tmp_path / "predictions.csv", Calibration())
    rows = read(tmp_path / "predictions.csv")
    for name in TEXTS:
        assert [row[name] for row in rows] == written.column(name).tolist(), name
    for name, dtype in (("label", np.int64), ("score", np.float64), ("windows", np.int64)):
        saved = np.array([row[name] for row in rows]).astype(dtype)
        assert saved.tobytes() == getattr(written, name).tobytes(), name
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8), min_size=1, max_size=4
    )
)
@settings(max_examples=100, deadline=None)
def test_csv_gives_any_text_back(tmp_path_factory, names):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    predictions([0] * len(names), [0.5] * len(names), key=names, gender=names).write(path, Calibration())
    rows = read(path)
    assert [row["key"] for row in rows] == [row["gender"] for row in rows] == names


def test_csv_is_safe_and_plain_for_a_spreadsheet(tmp_path):
    videos = predictions([0, 1, 1], [-1.5, 0.25, 900.0], key=["=1+1", "b", "c"])
    videos.write(tmp_path / "predictions.csv", Calibration(threshold=0.25, temperature=2.0))
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "key", "label", "fake_probability", "score", "prediction", "decision", "windows", "identity", "targets",
        "method", "generator", "category", "race", "gender", "split", "pair", "family", "audio", "compression",
        "fake_periods", "forgery", "condition",
    ]  # fmt: skip
    assert rows[0]["key"] == "'=1+1"
    assert rows[0]["score"] == "-1.5"
    assert [row["prediction"] for row in rows] == ["0", "1", "1"]
    assert float(rows[0]["fake_probability"]) == pytest.approx(1 / (1 + np.exp(1.75 / 2)))
    assert float(rows[2]["fake_probability"]) == 1.0


def test_no_videos_can_be_written_and_read(tmp_path):
    predictions([], []).write(tmp_path / "predictions.csv", Calibration())
    assert len(read(tmp_path / "predictions.csv")) == 0


def test_select_keeps_rows_together():
    chosen = predictions([0, 1, 1], [0.0, 1.0, 2.0], race=["a", "b", "c"]).select(np.array([False, True, True]))
    kept = (chosen.label.tolist(), chosen.score.tolist(), chosen.column("race").tolist())
    assert kept == ([1, 1], [1.0, 2.0], ["b", "c"])


def test_predictions_refuse_columns_that_do_not_fit():
    with pytest.raises(ValueError, match="score"):
        predictions([0, 1], [0.0])
    with pytest.raises(ValueError, match="Label"):
        predictions([0, 2], [0.0, 1.0])
