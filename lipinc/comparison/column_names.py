"""Names of columns in other people's tables of scores and videos, and what they say about a column."""

import re
from collections.abc import Iterable

from lipinc.datasets.labels import WORDS
from lipinc.datasets.records import Label

PATH = (
    *("path", "file", "filename", "filepath", "video", "videopath", "videofile", "videoname", "videoid", "key"),
    *("clip", "clipname", "name", "id", "sample", "utterance", "utt", "image", "imagepath", "column 1"),
)
"""Names of columns with the path or the name of a video, the most specific first; all names as `plain` spells them."""
SCORE = (
    *("score", "fakescore", "scorefake", "fakeprobability", "fakeprob", "probfake", "pfake", "probabilityfake"),
    *("probability", "prob", "logit", "fakelogit", "logitfake", "llr", "confidence", "conf", "output", "yscore"),
    *("yprob", "yhat", "ypred", "prediction", "predictions", "pred", "preds", "predscore"),
    *("realscore", "scorereal", "realness", "realprobability", "realprob", "probreal", "preal", "probabilityreal"),
)
"""Names of columns with a score, the most likely first."""
SCORE_PARTS = ("score", "prob", "logit", "conf", "fake", "real", "pred", "percent", "bonafide", "spoof")
"""Parts of the names of further columns with a score."""
INDEX = {
    "path": PATH,
    "label": ("label", "labels", "target", "groundtruth", "gt", "y", "ytrue", "truth", "class", "isfake", "isreal"),
    "identity": ("identity", "person", "subject", "speaker", "actor", "personid", "subjectid", "speakerid"),
    "generator": ("generator", "algorithm", "manipulation", "attack"),
    "family": ("family", "sourcerepo", "source", "corpus"),
    "gender": ("gender", "sex"),
    "race": ("race", "ethnicity"),
}
"""Our name of a column of an index -> its names in other tables; our own name is always one of them."""
LOGIT = ("logit", "llr", "margin")
PERCENT = ("percent", "pct", "%")
REAL_WORDS = frozenset(word for word, label in WORDS.items() if label is Label.REAL) | {"bonafide", "live", "realness"}
FAKE_WORDS = frozenset(word for word, label in WORDS.items() if label is Label.FAKE) | {"spoof", "attack"}


def plain(column: str) -> str:
    """Return a column name without case and punctuation: "Fake_Prob" and "fake prob" are "fakeprob"."""
    return column if column.startswith("column ") else re.sub(r"[\W_]", "", column).casefold()


def rank(column: str, names: Iterable[str]) -> int | None:
    """Return the position of a column among known names; None: unknown."""
    known = list(names)
    return known.index(plain(column)) if plain(column) in known else None


def index_columns(columns: Iterable[str], ours: Iterable[str]) -> dict[str, str]:
    """Return our name of a column -> the column with that name or a known synonym, for those that are there.

    Args:
        columns: the columns of a table.
        ours: the columns to look for.
    """
    columns, found = list(columns), {}
    for name in ours:
        for known in (name, *INDEX.get(name, ())):
            same = [column for column in columns if plain(column) == plain(known) and column not in found.values()]
            if same:
                found[name] = same[0]
                break
    return found


def stated_class(column: str) -> Label | None:
    """Return the class that a column name expresses: "prob_real" is real. None: none or both."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).lower())
    words = {form for word in words for form in (word, word.removeprefix("p"), word.removeprefix("is"))}
    found = {label for label, known in ((Label.REAL, REAL_WORDS), (Label.FAKE, FAKE_WORDS)) if words & known}
    return found.pop() if len(found) == 1 else None
