"""Matching of names in score files to the videos of an index, by path or by name."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from lipinc.datasets.disk_names import portable
from lipinc.datasets.labels import label_in_words
from lipinc.datasets.records import VideoRecord

How = Literal["path", "name", "ambiguous", "unknown"]


class Match(NamedTuple):
    """The video that a name stands for."""

    position: int
    """Index of the record; -1 if there is none."""
    how: How
    """path: all folders that both give agree. name: the file name alone agrees. ambiguous: several videos fit equally
    well. A file name may lack its suffix, or have another one."""


class VideoNames:
    """The names of the videos of an index. Case and Unicode form are ignored unless they distinguish two videos."""

    def __init__(self, records: Sequence[VideoRecord]):
        self._records = records
        self._parts = [portable(record.path).split("/") for record in records]
        self._by_name: dict[str, list[int]] = {}
        for position, parts in enumerate(self._parts):
            for name in {parts[-1], _stem(parts[-1])}:
                self._by_name.setdefault(name, []).append(position)

    def find(self, name: str, shared: int = 0) -> Match:
        """Find the video that a path or a name stands for.

        Args:
            name: as `score_file.clean_name` returns it.
            shared: number of leading folders that all names of its file share.
        """
        parts = portable(name).split("/")
        candidates = self._by_name.get(parts[-1]) or self._by_name.get(_stem(parts[-1]), [])
        ranked = [(self._agreement(position, parts, name), position) for position in dict.fromkeys(candidates)]
        if not ranked:
            return Match(-1, "unknown")
        best = max(ranked)[0]
        found = [position for agreement, position in ranked if agreement == best]
        if len(found) > 1:
            return Match(-1, "ambiguous")
        if best[0]:
            return Match(found[0], "path")
        words = label_in_words("/".join(name.split("/")[shared:]))
        if words is not None and words is not self._records[found[0]].label:
            return Match(-1, "unknown")  # fake/001.mp4 is not real/001.mp4
        return Match(found[0], "name")

    def _agreement(self, position: int, parts: list[str], name: str) -> tuple[bool, int, bool, bool, bool]:
        """How well a name fits a video; tuples of better fits are larger."""
        own = self._parts[position]
        folders = 0
        for ours, theirs in zip(own[-2::-1], parts[-2::-1], strict=False):
            if ours != theirs:
                break
            folders += 1
        agree = folders == min(len(own), len(parts)) - 1
        return agree, folders, own[-1] == parts[-1], own == parts, self._records[position].path == name


def _stem(name: str) -> str:
    """A file name without its suffix; dots in the name of a clip, as in v1.2, are no suffix if nothing else fits."""
    return name.rpartition(".")[0] or name
