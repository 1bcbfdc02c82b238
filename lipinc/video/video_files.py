"""Finds the video files in a folder."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from lipinc.errors import UserError

VIDEO_SUFFIXES = frozenset((".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv"))
"""Lower case; files are matched without regard to case."""

FolderId = tuple[int, int]
"""Device and inode of a folder."""


def walk_video_files(
    folder: str | os.PathLike,
    *,
    on_error: Callable[[OSError], None] | None = None,
    follow_links: bool = False,
    visited: dict[FolderId, str] | None = None,
) -> Iterator[Path]:
    """Yield the files with a video suffix in a folder and its sub-folders, sorted by name.

    The files of a folder come before those of its sub-folders. Hidden files (".name") are left out: macOS leaves files
    such as "._talk.mp4" that are no videos. What a link or a special file points to is not checked.

    Args:
        on_error: Called with the OSError of each folder that cannot be listed; may raise. Default: skip the folder.
        follow_links: Also enter folders that are links. A folder that is reached twice is then refused: a folder that
            contains a link to itself would never end, and any other one would count as two people.
        visited: With `follow_links`, the folders visited so far. Pass the same dict to several calls to refuse a folder
            that two of them reach.

    Raises:
        UserError: with `follow_links`, a folder is reached by two paths.
    """
    visited = {} if visited is None else visited
    for parent, folders, names in os.walk(folder, onerror=on_error, followlinks=follow_links):
        if follow_links:
            status = os.stat(parent)
            first = visited.setdefault((status.st_dev, status.st_ino), parent)
            if first != parent:
                raise UserError(f"{parent} and {first} are the same folder: remove the link")
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith("."):
                yield Path(parent, name)
