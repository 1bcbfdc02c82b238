"""Tables of a comparison: for the terminal, for a paper (Markdown and LaTeX), and as CSV rows."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lipinc.comparison.comparison import ALL, Comparison, Group, scored_videos
from lipinc.comparison.detector import Detector
from lipinc.comparison.paired import METRICS
from lipinc.datasets.records import Label
from lipinc.errors import printable
from lipinc.evaluation.metrics import MIN_PEOPLE, Interval, count_people
from lipinc.evaluation.tables import MAX_NAMED, text_table
from lipinc.files.json_values import finite

MAX_COLUMNS = 4
"""Maximum number of detectors that are columns of the main table; more are its rows."""
MAX_PAIRS = 3
"""Maximum number of pairs of detectors whose differences of all metrics are shown; of more, those of the AUC."""
DIFFERENCE_COLUMNS = (
    *("condition", "grouping", "group", "first", "second", "metric", "difference", "low", "high", "p_bootstrap"),
    *("delong_z", "delong_p"),
)
GROUP_COLUMNS = (
    *("condition", "grouping", "group", "detector", "real", "fake", "real_people", "fake_people", "too_few_people"),
    *(f"{metric}{part}" for metric in METRICS for part in ("", "_low", "_high")),
)


def metric_rows(comparison: Comparison) -> list[list[str]]:
    """Return the header and the rows of the main table: a row per metric and a column per detector, or the reverse if
    there are many detectors."""
    paired = comparison.headline.paired
    rows = [["", *(one.marked_name for one in comparison.detectors)]]
    for metric, name in METRICS.items():
        found = [paired.metric(detector, metric) for detector in range(len(comparison.detectors))]
        if metric == "decided" and not any(one.value < 1 for one in found):
            continue
        rows.append([name, *map(_cell, found)])
    return rows if len(comparison.detectors) <= MAX_COLUMNS else [list(column) for column in zip(*rows, strict=True)]


def difference_rows(comparison: Comparison) -> list[list[str]]:
    """Return the header and the rows of the table of paired differences."""
    paired, pairs = comparison.headline.paired, comparison.headline.paired.pairs
    rows = [["difference", "metric", "value and 95 % interval", "p (bootstrap)", "p (DeLong)"]]
    for first, second in pairs:
        for metric in METRICS if len(pairs) <= MAX_PAIRS else ("auc",):
            found = paired.difference(first, second, metric)
            if math.isnan(found.interval.value) or metric == "decided":
                continue
            delong = _p(paired.delong(first, second).p) if metric == "auc" else ""
            names = " - ".join(comparison.detectors[one].marked_name for one in (first, second))
            rows.append([names, METRICS[metric], _cell(found.interval, signed=True), _p(found.p), delong])
    return rows


def group_table(comparison: Comparison, groups: Sequence[Group]) -> str:
    """Format the AUC of each detector in the groups of one grouping that have both classes; groups of few people are
    named only."""
    by = groups[0].grouping
    shown = [one for one in groups if not one.too_few and not math.isnan(one.paired.metric(0, "auc").value)]
    rows = [
        [
            printable(one.name),
            *(str(int((one.paired.videos.label == label).sum())) for label in Label),
            *(_cell(one.paired.metric(detector, "auc")) for detector in range(len(comparison.detectors))),
        ]
        for one in shown
    ]
    few = [printable(one.name) for one in groups if one.too_few]
    note = ""
    if few:
        more = f" and {len(few) - MAX_NAMED} others" if len(few) > MAX_NAMED else ""
        note = f"{by}, left out for fewer than {MIN_PEOPLE} people: {', '.join(few[:MAX_NAMED])}{more} (see groups.csv)"
    header = [by, "real", "fake", *(f"AUC {one.marked_name}" for one in comparison.detectors)]
    return "\n".join(filter(None, (text_table(header, rows) if rows else "", note)))


def coverage_table(comparison: Comparison) -> str:
    """Format how many videos each detector has a score for, by class, under the first condition."""
    condition = comparison.headline.condition
    rows = []
    for detector in comparison.detectors:
        score = detector.conditions[condition].score
        scored = [record for record, one in zip(comparison.records, score, strict=True) if not math.isnan(one)]
        counts = [sum(record.label is label for record in scored) for label in Label]
        total = [sum(record.label is label for record in comparison.records) for label in Label]
        rows.append([detector.name, *map(str, counts), *(str(a - b) for a, b in zip(total, counts, strict=True))])
    common = [int((comparison.headline.paired.videos.label == label).sum()) for label in Label]
    rows.append(["all of them", *map(str, common), "", ""])
    header = [f"videos with a score, {condition}", "real", "fake", "real without", "fake without"]
    return text_table(header, [[printable(cell) for cell in row] for row in rows])


def caption(comparison: Comparison, data: str) -> str:
    """Return what a reader must know about the numbers: data, counts, level, intervals, thresholds, directions."""
    group = comparison.headline
    videos, people = group.paired.videos, count_people(group.paired.videos)
    counts = [f"{int((videos.label == label).sum())} {label.name.lower()}" for label in Label]
    persons = len({record.identity or record.path for record in videos.records})
    parts = [
        f"Data: {data}, {group.condition}: {' and '.join(counts)} videos of {persons} people that every detector has a "
        "score for, video level.",
        f"Intervals: 95 %, bootstrap over people, {group.paired.bootstrap} resamples, seed {group.paired.seed}; "
        "differences are paired, p-values two-sided and not corrected for their number; DeLong's test takes the videos "
        "to be independent.",
    ]
    parts += [f"{one.name}: {_decision_words(one)}." for one in comparison.detectors]
    tuned = [one.name for one in comparison.detectors if one.tuned]
    if tuned:
        parts.append(f"* {', '.join(tuned)}: the direction of the scores was found from the labels of these videos.")
    if absent := _absent_classes(group):
        parts.append(f"There are no {absent} videos among them: metrics that compare both classes are not defined.")
    if group.too_few:
        found = " and ".join(f"{count} with {label.name.lower()} videos" for label, count in people.items())
        parts.append(f"These numbers mean nothing: people tested: {found}.")
    return " ".join(parts)


def _decision_words(detector: Detector) -> str:
    if not detector.decides:
        return f"no threshold ({detector.threshold_reason})"
    shown = -detector.threshold if detector.direction == "real-high" else detector.threshold
    side = "at least" if detector.direction == "fake-high" else "at most"
    return f"fake if the score is {side} {shown:.4g} ({detector.threshold_reason})"


def markdown(comparison: Comparison, note: str) -> str:
    """Return both tables in Markdown, with their caption."""
    tables = (_markdown_table(rows(comparison)) for rows in (metric_rows, difference_rows))
    return "\n".join([*tables, _escape_markdown(note), ""])


def latex(comparison: Comparison, note: str) -> str:
    """Return both tables in LaTeX (package booktabs), with their caption."""
    parts = ["% needs \\usepackage{booktabs}"]
    for rows, label, text in (
        (metric_rows(comparison), "comparison", f"Detectors compared. {_escape_latex(note)}"),
        (difference_rows(comparison), "differences", r"Paired differences of Table~\ref{tab:comparison}."),
    ):
        if len(rows) == 1:
            continue
        columns = "l" * (2 if label == "differences" else 1)
        header, *body = [" & ".join(map(_escape_latex, row)) + r" \\" for row in rows]
        parts += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{text}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{{columns}{'r' * (len(rows[0]) - len(columns))}}}",
            *(r"\toprule", header, r"\midrule", *body, r"\bottomrule"),
            *(r"\end{tabular}", r"\end{table}"),
        ]
    return "\n".join([*parts, ""])


def terminal_table(rows: list[list[str]]) -> str:
    """Format rows, the first of which is the header."""
    shown = [[printable(cell) for cell in row] for row in rows]
    return text_table(shown[0], shown[1:])


def group_csv_rows(comparison: Comparison, groups: Sequence[Group]) -> Iterator[dict[str, Any]]:
    """Yield the rows of groups.csv: every metric of every detector in each group."""
    for group in groups:
        people = count_people(group.paired.videos)
        for position, detector in enumerate(comparison.detectors):
            found = {metric: group.paired.metric(position, metric) for metric in METRICS}
            yield {
                **_about(group),
                "detector": detector.name,
                **{label.name.lower(): int((group.paired.videos.label == label).sum()) for label in Label},
                **{f"{label.name.lower()}_people": count for label, count in people.items()},
                "too_few_people": int(group.too_few),
                **{f"{name}{part}": finite(value) for name, one in found.items() for part, value in _parts(one)},
            }


def difference_csv_rows(comparison: Comparison, groups: Sequence[Group]) -> Iterator[dict[str, Any]]:
    """Yield the rows of differences.csv: every metric of every pair of detectors in each group."""
    for group in groups:
        for first, second in group.paired.pairs:
            delong = group.paired.delong(first, second)
            for metric in METRICS:
                found = group.paired.difference(first, second, metric)
                test = (delong.z, delong.p) if metric == "auc" else (math.nan, math.nan)
                yield {
                    **_about(group),
                    "first": comparison.detectors[first].name,
                    "second": comparison.detectors[second].name,
                    "metric": metric,
                    "difference": finite(found.interval.value),
                    "low": finite(found.interval.low),
                    "high": finite(found.interval.high),
                    "p_bootstrap": finite(found.p),
                    "delong_z": finite(test[0]),
                    "delong_p": finite(test[1]),
                }


def summary(comparison: Comparison) -> str:
    """Return the result in one line."""
    group = comparison.headline
    counts = " and ".join(f"{int((group.paired.videos.label == label).sum())} {label.name.lower()}" for label in Label)
    parts = [
        f"{one.marked_name} AUC {_number(group.paired.metric(position, 'auc').value)}"
        for position, one in enumerate(comparison.detectors)
    ]
    line = f"{', '.join(parts)} on {counts} common videos"
    if len(comparison.detectors) == 2:
        found = group.paired.difference(0, 1, "auc")
        line += f"; difference {_cell(found.interval, signed=True)}, p {_p(found.p)}"
    if absent := _absent_classes(group):
        line = f"(no AUC without {absent} videos) {line}"
    return printable(f"(means nothing: too few people) {line}" if group.too_few else line)


def common_line(comparison: Comparison) -> str:
    """Name the conditions that not every detector has; "" if there are none."""
    every = {condition for one in comparison.detectors for condition in one.conditions}
    left_out = sorted(every - comparison.conditions.keys())
    if not left_out:
        return ""
    who = {
        condition: [one.name for one in comparison.detectors if condition in scored_videos(one)] for condition in every
    }
    named = [f"{condition} (only {', '.join(who[condition])})" for condition in left_out[:MAX_NAMED]]
    more = f" and {len(left_out) - MAX_NAMED} others" if len(left_out) > MAX_NAMED else ""
    return printable(f"conditions without common videos, not compared: {', '.join(named)}{more}")


def _about(group: Group) -> dict[str, str]:
    return {"condition": group.condition, "grouping": group.grouping, "group": "" if group.name == ALL else group.name}


def _absent_classes(group: Group) -> str:
    present = set(group.paired.videos.label)
    return " or ".join(label.name.lower() for label in Label if label not in present)


def _parts(interval: Interval) -> list[tuple[str, float]]:
    return [("", interval.value), ("_low", interval.low), ("_high", interval.high)]


def _cell(interval: Interval, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    value, low, high = (_number(one, sign) for one in (interval.value, interval.low, interval.high))
    return value if math.isnan(interval.low) else f"{value} [{low}, {high}]"


def _number(value: float, sign: str = "") -> str:
    return "-" if math.isnan(value) else f"{round(value, 3) + 0.0:{sign}.3f}"  # no -0.000


def _p(value: float) -> str:
    return "-" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _markdown_table(rows: list[list[str]]) -> str:
    if len(rows) == 1:
        return ""
    lines = ["| " + " | ".join(map(_escape_markdown, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:], ""])


def _escape_markdown(text: str) -> str:
    return "".join(f"\\{c}" if c in r"\`*_<>|$~&" else c for c in printable(text)).replace("](", "]\\(")


LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
}


def _escape_latex(text: str) -> str:
    escaped = "".join(LATEX.get(c, c) for c in printable(text)).replace("--", "-{}-")  # no dash
    escaped = re.sub(r"(?<![\w.)])-(?=\d)", "$-$", escaped)
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped  # after \\ they would be its option
