"""lipinc compare: from score files to tables and plots."""

import csv
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipinc.commands.compare import main
from lipinc.comparison import plots
from lipinc.errors import UserError
from tests.comparison.made_up import records, scores, write_scores

VIDEOS = records()
FILES = {
    *("table.md", "table.tex", "differences.csv", "groups.csv", "disagreements.csv"),
    *("roc.png", "scores.png", "scatter.png"),
}


def compare(folder: Path, *arguments: str) -> None:
    main([*arguments, "--out", str(folder / "out"), "--bootstrap", "20"], "lipinc compare")


@pytest.fixture(autouse=True)
def without_plots(request, monkeypatch):
    """The slow test draws them."""
    if not request.node.get_closest_marker("slow"):
        for name in ("plot_roc_curves", "plot_score_distributions", "plot_scatter"):
            monkeypatch.setattr(plots, name, lambda *_: None)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def index(tmp_path) -> str:
    file = tmp_path / "clips.csv"
    columns = ("path", "label", "identity", "generator", "gender")
    lines = [[v.path, v.label.name.lower(), v.identity, v.generator, v.gender] for v in VIDEOS]
    file.write_text("\n".join(",".join(line) for line in [columns, *lines]) + "\n")
    return str(file)


@pytest.fixture
def a(tmp_path) -> str:
    return str(write_scores(tmp_path / "a.csv", VIDEOS, scores(VIDEOS, 2), "logit"))


@pytest.fixture
def b(tmp_path) -> str:
    """Without a score of the first video, and without a row of the last one."""
    values = [*scores(VIDEOS, -1, seed=1).round(3)]
    return str(write_scores(tmp_path / "b.csv", VIDEOS[:-1], ["", *values[1:-1]], "real_logit"))


@pytest.mark.slow
def test_two_detectors_are_compared_on_their_common_videos(tmp_path, index, a, b, capsys):
    compare(tmp_path, a, f"Other={b}", "--index", index)
    printed = capsys.readouterr().out
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES
    assert "all of them" in printed and "videos without a score: 1 (real/00_0.mp4 (row 2))" in printed
    last = printed.strip().splitlines()[-1]
    assert re.match(r"a AUC 0\.\d+, Other AUC 0\.\d+ on 23 real and 23 fake common videos; difference \+0\.", last)
    groups = rows(tmp_path / "out" / "groups.csv")
    assert {row["grouping"] for row in groups} == {"all", "generator", "gender"}
    assert [(row["real"], row["fake"]) for row in groups if row["group"] == "alpha"] == [("23", "12")] * 2
    found = rows(tmp_path / "out" / "differences.csv")
    overall = next(row for row in found if row["grouping"] == "all" and row["metric"] == "auc")
    assert float(overall["low"]) <= float(overall["difference"]) <= float(overall["high"])
    assert 0 < float(overall["p_bootstrap"]) <= 1 and 0 < float(overall["delong_p"]) <= 1
    sides = rows(tmp_path / "out" / "disagreements.csv")
    assert sides and {row["right"] for row in sides} <= {"a", "Other"}
    for name in ("roc", "scores", "scatter"):
        assert cv2.imread(str(tmp_path / "out" / f"{name}.png")).std() > 5
    markdown, latex = ((tmp_path / "out" / f"table.{kind}").read_text() for kind in ("md", "tex"))
    assert markdown.startswith("|  | a | Other |\n| --- |")
    for text in (markdown, latex):
        assert "20 resamples, seed 0" in text and "23 real and 23 fake videos of 12 people" in text
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2 and "1 \\% FPR" in latex


def test_the_labels_of_a_score_file_do_without_an_index(tmp_path, a, capsys):
    columns = {"label": [int(v.label) for v in VIDEOS], "person": [v.identity for v in VIDEOS]}
    labelled = write_scores(tmp_path / "own.csv", VIDEOS, scores(VIDEOS, 1), **columns)
    compare(tmp_path, str(labelled), a)
    assert "24 real and 24 fake videos of 12 people" in capsys.readouterr().out


def test_conditions_are_compared_apart(tmp_path, index):
    files = []
    for name, conditions in (("x", ("raw", "crf28")), ("y", ("raw", "crf28", "blur3"))):
        file = tmp_path / f"{name}.csv"
        lines = ["key,condition,score"]
        for strength, condition in enumerate(conditions):
            suffix = "" if condition == "raw" else f"@{condition}"
            values = scores(VIDEOS, 3 - strength, seed=len(name))
            lines += [f"{v.path}{suffix},{condition},{value}" for v, value in zip(VIDEOS, values, strict=True)]
        file.write_text("\n".join(lines) + "\n")
        files.append(str(file))
    compare(tmp_path, *files, "--index", index)
    groups = [row for row in rows(tmp_path / "out" / "groups.csv") if row["grouping"] == "condition"]
    assert [row["condition"] for row in groups] == ["raw", "raw", "crf28", "crf28"]
    assert float(groups[0]["auc"]) > float(groups[2]["auc"])


def test_a_tuned_direction_has_a_star_wherever_its_result_stands(tmp_path, index, a):
    reversed_scores = write_scores(tmp_path / "r.csv", VIDEOS, scores(VIDEOS, -2, seed=4))
    compare(tmp_path, a, str(reversed_scores), "--index", index)
    markdown, latex = ((tmp_path / "out" / f"table.{kind}").read_text() for kind in ("md", "tex"))
    assert markdown.startswith(r"|  | a | r\* |") and r"| a - r\* | AUC |" in markdown
    assert "a - r* & AUC &" in latex


def test_many_detectors_are_rows(tmp_path, index, a):
    names = "ABCDE"
    compare(tmp_path, *(f"{name}={a}" for name in names), "--index", index)
    table, _, differences = (tmp_path / "out" / "table.md").read_text().partition("\n\n")
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == [f"| {name}" for name in names]
    assert table.startswith("|  | AUC | AP |") and differences.count("+0.000 [+0.000, +0.000]") == 10


def test_labels_that_contradict_the_index_are_said(tmp_path, index, a, capsys):
    inverted = {"label": [1 - int(v.label) for v in VIDEOS]}
    own = write_scores(tmp_path / "own.csv", VIDEOS, scores(VIDEOS, 1), **inverted)
    compare(tmp_path, str(own), a, "--index", index)
    assert "WARNING: own: 48 of 48 labels" in capsys.readouterr().out


def test_one_wide_file_has_several_detectors(tmp_path, index, capsys):
    values = scores(VIDEOS, 1)
    wide = write_scores(tmp_path / "wide.csv", VIDEOS, values, "m1", m2=[*-values], m3=[*values**3])
    options = ("--score-column", "A=m1", "B=m2", "C=m3", "--direction", "B=real-high", "fake-high")
    compare(tmp_path, f"A={wide}", f"B={wide}", f"C={wide}", "--index", index, *options, "--threshold", "C=0.5")
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert len(set(re.findall(r"AUC (0\.\d+)", last))) == 1 and "*" not in last


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["A"], "at least two score files"),
        (["A", "B"], "no labels: .*--index clips.csv"),
        (["A", "nowhere.csv", "--index", "I"], "cannot read nowhere.csv"),
        (["A", "B", "--index", "I", "--config", "own_clips"], "give one of them"),
        (["A", "B", "--index", "I", "--direction", "C=real-high"], "no detector is called 'C'; they are a, b"),
        (["A", "B", "--index", "I", "--direction", "high"], "--direction takes NAME=fake-high or NAME=real-high"),
        (["A", "B", "--index", "I", "--threshold", "a=nan"], "--threshold takes NAME=NUMBER, not 'nan'"),
        (["A", "B", "--index", "I", "--columns", "path"], "--columns takes pairs"),
        (["A", "B", "--index", "I", "--columns", "who", "x"], "unknown column 'who'"),
        (["A", "B", "--index", "I", "--labels", "real"], "--labels takes real=VALUE"),
        (["A", "B", "--index", "I", "--bootstrap", "0"], "--bootstrap must be at least 1"),
        (["A", "B", "--index", "I", "--out", "A"], "is a file: give a folder to --out"),
        (["A", "B", "--index", "I", "--path-column", "where"], "has no column where"),
    ],
)
def test_invalid_usage_is_one_line(tmp_path, index, a, b, arguments, message):
    words = [{"A": a, "B": b, "I": index}.get(word, word) for word in arguments]
    out = [] if "--out" in words else ["--out", str(tmp_path / "out")]
    bootstrap = [] if "--bootstrap" in words else ["--bootstrap", "5"]
    with pytest.raises(UserError, match=message) as error:
        main([*words, *out, *bootstrap], "lipinc compare")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_detectors_without_a_common_video(tmp_path, index, a):
    half = write_scores(tmp_path / "half.csv", VIDEOS[:5], [1, 2, 3, 4, 5])
    other = write_scores(tmp_path / "other.csv", VIDEOS[5:9], [1, 2, 3, 4])
    with pytest.raises(UserError, match=r"no video .* \(half has 5 raw, other has 4 raw\)"):
        compare(tmp_path, str(half), str(other), "--index", index)


def test_names_that_fit_several_videos(tmp_path, a):
    index = tmp_path / "i.csv"
    index.write_text(
        "path,label\n" + "".join(f"{name}/{n}.mp4,{name}\n" for name in ("real", "fake") for n in range(3))
    )
    names = tmp_path / "n.csv"
    names.write_text("name,score\n0,0.1\n1,0.2\n2,0.3\n")
    with pytest.raises(UserError, match="every name in the column name fits several videos .* '0': give paths"):
        compare(tmp_path, str(names), str(names), "--index", str(index))


def test_an_index_without_videos(tmp_path, a):
    (tmp_path / "i.csv").write_text("path,label\n")
    with pytest.raises(UserError, match=r"i\.csv has no videos"):
        compare(tmp_path, a, a, "--index", str(tmp_path / "i.csv"))


def test_a_name_with_an_equals_sign_takes_options(tmp_path, index, a):
    named = write_scores(tmp_path / "x=1.csv", VIDEOS, scores(VIDEOS, 1))
    compare(tmp_path, a, str(named), "--index", index, "--threshold", "x=1=0.5")
    assert "x=1: fake if the score is at least 0.5 (as stated)" in (tmp_path / "out" / "table.md").read_text()


def test_hostile_names_harm_no_table(tmp_path, index, a):
    formula = write_scores(tmp_path / "=cmd|'x'!A1.csv", VIDEOS, scores(VIDEOS, 1))
    compare(tmp_path, str(formula), f"\\input{{/etc/passwd}} $x_1$ [l](http://x)={a}", "--index", index)
    text = (tmp_path / "out" / "groups.csv").read_text()
    assert not re.search(r"(^|,)[=@]", text, re.M)
    latex = (tmp_path / "out" / "table.tex").read_text()
    assert r"\input" not in latex and r"\textbackslash{}input" in latex
    assert "](http" not in (tmp_path / "out" / "table.md").read_text()
    assert all(r"=cmd\|" in line for line in (tmp_path / "out" / "table.md").read_text().splitlines()[:1])


def test_infinite_scores_and_one_class(tmp_path, index, a, capsys):
    reals = [video for video in VIDEOS if not video.label]
    extreme = write_scores(tmp_path / "e.csv", reals, ["inf", "-inf", *np.linspace(-1, 1, len(reals) - 2)])
    compare(tmp_path, a, str(extreme), "--index", index, "--threshold", "0")
    (row, _) = [row for row in rows(tmp_path / "out" / "groups.csv") if row["grouping"] == "all"]
    assert row["auc"] == "" and row["fake"] == "0" and float(row["reals_accused"]) > 0
    printed = capsys.readouterr().out
    assert "There are no fake videos among them" in printed and "(no AUC without fake videos)" in printed
