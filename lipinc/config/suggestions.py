"""Suggestions for names that do not exist: misspelt, abbreviated (lr, bs), incomplete (workers) or a synonym (gpu)."""

import difflib
import re
from collections.abc import Iterable, Sequence

SYNONYMS = {
    **dict.fromkeys(("gpu", "cuda"), "device"),
    **dict.fromkeys(("dir", "directory", "folder"), "root"),
    **dict.fromkeys(("iterations", "iters", "steps"), "epochs"),
    **dict.fromkeys(("threads", "jobs", "cpus"), "workers"),
    "l2": "weight-decay",
    "weights": "checkpoint",
    "val": "validation",
}
"""Words of other programs that have nothing in common with ours."""
MIN_SCORE = 0.6
MAX_SUGGESTED = 3


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most probably meant; None if none is similar."""
    scores = {one: _score(name, one) for one in known}
    best = max(scores, key=scores.__getitem__, default=None)
    return best if best is not None and scores[best] >= MIN_SCORE else None


def closest_flags(flag: str, known: Sequence[str]) -> list[str]:
    """Return the flags that are most probably meant, best first; at most three.

    Args:
        flag: the unknown flag, for example "--train.lr", "--lr" or "--workers".
        known: all flags, for example "--train.learning-rate".
    """
    sections = {section for section, name in map(_split, known) if section}
    section, name = _split(re.sub(rf"^-+({'|'.join(sorted(sections)) or '-'})[-_]", r"--\1.", flag))
    scores = {}
    for one in known:
        its_section, its_name = _split(one)
        score = _score(name, its_name)
        if not section and name == its_section:  # --model lipinc_v2, --cache FOLDER
            score = 1.0 if its_name in ("name", "kind") else 0.85
        if score >= MIN_SCORE:
            scores[one] = score + (0.2 if section == its_section else 0.0)
    best = max(scores.values(), default=0.0)
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    return [one for one in ranked if scores[one] >= best - 0.1][:MAX_SUGGESTED]


def _split(flag: str) -> tuple[str, str]:
    """Split a flag into its section, "" if it has none, and its name."""
    section, _, name = flag.lstrip("-").rpartition(".")
    return section, name.replace("_", "-")


def _score(name: str, known: str) -> float:
    """Return how probable it is that a known name is meant, from 0 to 1."""
    words, tokens = (re.split(r"[-_. ]+", text.lower()) for text in (name, known))
    words = [word for one in words for word in SYNONYMS.get(one, one).split("-")]
    short, long = "".join(words), "".join(tokens)
    rules = {
        1.0: short == long,
        0.95: len(tokens) > 1 and short == "".join(token[:1] for token in tokens),
        0.9: all(len(word) > 1 and any(token.startswith(word) for token in tokens) for word in words),
        0.8: any(len(word) > 2 and word in tokens for word in words),
        0.65: 1 < len(short) < len(long) and short[0] == long[0] and _is_subsequence(short, long),
    }
    fitting = (score for score, fits in rules.items() if fits)
    return max(difflib.SequenceMatcher(None, short, long).ratio(), next(fitting, 0.0))


def _is_subsequence(short: str, long: str) -> bool:
    letters = iter(long)
    return all(letter in letters for letter in short)
