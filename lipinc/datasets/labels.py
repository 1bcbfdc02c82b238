"""Labels as data sets write them: words, numbers and folder names that mean real or fake."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from lipinc.datasets.records import Label, VideoRecord
from lipinc.errors import UserError

WORDS = {
    **dict.fromkeys(("real", "original", "pristine", "genuine", "authentic"), Label.REAL),
    **dict.fromkeys(("fake", "deepfake", "manipulated", "forged", "synthetic", "synthesis"), Label.FAKE),
}
NUMBERS = {"0": Label.REAL, "1": Label.FAKE}
"""The convention of most lists, and of this project. Some lists (Celeb-DF) have it the other way round."""
SPELLINGS = {"false": "0", "no": "0", "true": "1", "yes": "1"}
HINT = "--data.labels real=1 fake=0"


def label_by_name(given: Iterable[str], column: str = "") -> dict[str, Label]:
    """Return value of the index, as `label_value` spells it -> label.

    Args:
        given: `data.labels`, for example ("real=1", "fake=0"). If it is not empty, only words keep their usual meaning:
            a number that is not named has none.
        column: name of the label column. In a column such as "is_real", 1 means real.
    """
    if not given:
        swapped = label_in_words(column) is Label.REAL
        return {**WORDS, **{number: Label(1 - label) if swapped else label for number, label in NUMBERS.items()}}
    return {**WORDS, **given_labels(given)}


def given_labels(given: Iterable[str]) -> dict[str, Label]:
    """Return value, as `label_value` spells it -> label, for the entries of `data.labels`."""
    pairs = (entry.partition("=") for entry in given)
    return {label_value(value): Label[name.strip().upper()] for name, _, value in pairs}


def label_problems(given: Iterable[str]) -> list[str]:
    """Return one message for each entry of `data.labels` that is invalid."""
    problems, meanings = [], {}
    for entry in given:
        name, equals, value = entry.partition("=")
        if name.strip().upper() not in Label.__members__ or not equals or not value.strip():
            problems.append(f"data.labels takes real=VALUE and fake=VALUE ({HINT}), not {entry!r}")
        elif meanings.setdefault(label_value(value), name.strip().lower()) != name.strip().lower():
            problems.append(f"data.labels says that {value.strip()!r} is real and fake")
    return problems


def label_value(cell: str) -> str:
    """Return a label in the spelling that is compared: lower case; 1 for 1.0, True and yes."""
    word = unicodedata.normalize("NFC", cell.strip()).lower()
    return SPELLINGS.get(word, re.sub(r"^([01])\.0+$", r"\1", word))


def read_label(cell: str, names: Mapping[str, Label], where: str) -> Label:
    """Read a label cell.

    Args:
        cell: the cell.
        names: see `label_by_name`.
        where: location of the cell, the start of an error message.

    Raises:
        UserError: the value has no meaning.
    """
    label = names.get(label_value(cell))
    if label is None:
        known = ", ".join(f"{name} ({names[name].name.lower()})" for name in names if name not in WORDS)
        raise UserError(
            f"{where}: the label {cell!r} must be one of real, fake{', ' + known if known else ''}; "
            "say what it means with --data.labels real=VALUE fake=VALUE"
        )
    return label


def label_in_words(text: str) -> Label | None:
    """Return the label that the words of a name or a path express: "YouTube-real/1.mp4" is real. None: none or both."""
    words = re.findall(r"[a-z]+", text.lower())
    found = {WORDS[form] for word in words for form in (word, word.removesuffix("s")) if form in WORDS}
    return found.pop() if len(found) == 1 else None


def label_line(records: Iterable[VideoRecord]) -> str:
    """Return one line with the number of files of each label and an example, in which inverted labels show."""
    files = [record for record in records if record.key == record.path]
    parts = []
    for label in Label:
        paths = [record.path for record in files if record.label is label]
        parts.append(f"{len(paths)} {label.name.lower()}" + (f" (for example {paths[0]})" if paths else ""))
    return "labels: " + ", ".join(parts)
