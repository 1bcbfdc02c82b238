import json

from lipinc.evaluation.metrics import Interval
from lipinc.evaluation.tables import break_down_table, metrics_json, metrics_table, spread_table

NAN = float("nan")
METRICS = {"auc": Interval(0.87349, 0.79, 0.94), "balanced_accuracy": Interval(0.5, NAN, NAN), "eer": Interval(NAN, NAN, NAN)}  # fmt: skip # noqa: E501
ROWS = [
    {"group": "wav2lip", "real": 100, "fake": 1920, "auc": 0.9, "auc_low": 0.85, "auc_high": 0.95, "ap": 0.99,
     "accuracy": 0.8, "balanced_accuracy": 0.75, "eer": 0.2, "reals_accused": 0.3, "fakes_missed": 0.25,
     "decided": 0.9, "decided_wrongly": 0.125,
     "within_pairs": NAN, "refused": 0, "auc_with_refused": 0.9,
     "real_people": 100, "fake_people": 100, "too_few_people": False},
    {"group": "Übel\n", "real": 0, "fake": 1, "auc": NAN, "auc_low": NAN, "auc_high": NAN, "ap": NAN,
     "accuracy": 1.0, "balanced_accuracy": NAN, "eer": NAN, "reals_accused": NAN,
     "fakes_missed": 1.0, "decided": 0.0, "decided_wrongly": NAN,
     "refused": 0, "auc_with_refused": NAN,
     "within_pairs": NAN, "real_people": 0, "fake_people": 1, "too_few_people": False},
]  # fmt: skip


def test_metrics_table():
    assert metrics_table(METRICS) == "\n".join(
        [
            "per video          value   95 % interval",
            "AUC                0.873  [0.790, 0.940]",
            "balanced accuracy  0.500               -",
            "EER                    -               -",
        ]
    )


def test_break_down_table():
    assert break_down_table(ROWS, "generator") == "\n".join(
        [
            "generator  real  fake    AUC   95 % interval     AP  accuracy    EER  reals accused  fakes missed  decided  wrong",  # noqa: E501
            "wav2lip     100  1920  0.900  [0.850, 0.950]  0.990     0.800  0.200          0.300         0.250    0.900  0.125",  # noqa: E501
            "\\xdcbel\\n     0     1      -               -      -     1.000      -              -         1.000    0.000      -",  # noqa: E501
        ]
    )


def test_groups_of_few_people_are_named_without_metrics():
    rows = [ROWS[0], {**ROWS[1], "too_few_people": True}]
    line = "generator, left out for fewer than 10 people: \\xdcbel\\n (0 real, 1 fake)"
    table = break_down_table(rows, "generator").splitlines()
    assert (len(table), table[-1]) == (3, line)
    assert break_down_table(rows[1:], "generator") == line


def test_the_pairs_column_appears_where_there_are_pairs():
    table = break_down_table([{**ROWS[0], "within_pairs": 0.875}, ROWS[1]], "generator").splitlines()
    assert [line.split()[-1] for line in table] == ["pairs", "0.875", "-"]


def test_refused_videos_stand_in_columns_of_their_own():
    table = break_down_table([{**ROWS[0], "refused": 12, "auc_with_refused": 0.875}, ROWS[1]], "generator").splitlines()
    assert table[0].endswith("  refused  AUC of all")
    assert [line.split()[-2:] for line in table[1:]] == [["12", "0.875"], ["0", "-"]]


def test_spread_table():
    spread = {"alpha": {"raw": [0.8, 0.9], "crf28": [0.7, 0.7]}, "mean": {"raw": [0.5, 0.5]}}
    assert spread_table(spread) == "\n".join(
        [
            "held out             raw           crf28",
            "alpha     0.850 +- 0.050  0.700 +- 0.000",
            "mean      0.500 +- 0.000               -",
        ]
    )
    assert spread_table({"": {"raw": [0.8125]}}).splitlines()[1].split() == ["all", "videos", "0.812"]


def test_no_groups_no_table():
    assert break_down_table([], "race") == ""


def test_metrics_json_is_strict_json():
    text = json.dumps(metrics_json(METRICS, 0.25, {"generator": ROWS, "race": []}), allow_nan=False)
    read = json.loads(text)
    assert read["threshold"] == 0.25
    assert read["metrics"]["auc"] == {"value": 0.87349, "low": 0.79, "high": 0.94}
    assert read["metrics"]["eer"] == {"value": None, "low": None, "high": None}
    assert read["break_downs"]["generator"][0] == {**ROWS[0], "within_pairs": None}
    assert read["break_downs"]["generator"][1]["auc_with_refused"] is None
    assert read["break_downs"]["generator"][1]["auc"] is None
    assert read["break_downs"]["race"] == []
