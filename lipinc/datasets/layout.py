"""Published layouts: finds the folders of a data set below its root, and the videos in them."""

from collections.abc import Sequence
from pathlib import Path

from lipinc.datasets.records import as_key
from lipinc.errors import UserError
from lipinc.video.video_files import FolderId, walk_video_files

DEPTH = 2
"""Number of folders below the root in which a data set may have been unpacked."""


def find_below(root: str, name: str) -> Path | None:
    """Return the file or folder `name` in the root, or the only one up to two folders below it."""
    for depth in range(DEPTH + 1):
        found = list(Path(root).glob("*/" * depth + name))
        if found:
            return found[0] if len(found) == 1 else None
    return None


def find_entries(root: str, names: Sequence[str], data_set: str) -> dict[str, Path]:
    """Find the files and folders by which a layout is recognised.

    Args:
        root: the data set root; they may also be in the only folder up to two levels below it that has any.
        names: their names, in any case. Not all of them need to be there.
        data_set: its name, for the message.

    Returns:
        Name, as in `names` -> path.

    Raises:
        UserError: there is none, or several folders have some; the message says what is expected.
    """
    expected = ", ".join(names[:-1]) + (" or " if len(names) > 1 else "") + names[-1]
    parents = [Path(root)] if Path(root).is_dir() else []
    for _ in range(DEPTH + 1):
        found = [(parent, entries) for parent in parents if (entries := _entries(parent, names))]
        if len(found) == 1:
            return found[0][1]
        if found:
            raise UserError(
                f"{root} contains {data_set} more than once, in {found[0][0]} and in {found[1][0]}: set data.root to "
                "one of them"
            )
        parents = [folder for parent in parents for folder in list_folders(parent)]
    found_there = "is not" if Path(root).is_dir() else "does not exist, and should be"
    raise UserError(f"{root} {found_there} {data_set}: set data.root to the folder that contains {expected}")


def _entries(parent: Path, names: Sequence[str]) -> dict[str, Path]:
    existing = {path.name.casefold(): path for path in _list(parent)}
    return {name: existing[name.casefold()] for name in names if name.casefold() in existing}


def list_folders(parent: Path) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones.

    Raises:
        UserError: the folder cannot be listed.
    """
    return [path for path in _list(parent) if path.is_dir() and not path.name.startswith(".")]


def list_videos(folder: Path, visited: dict[FolderId, str] | None = None) -> list[Path]:
    """Return the videos in a folder at any depth, sorted; links are followed. See `walk_video_files`.

    Raises:
        UserError: a folder cannot be listed, or is reached by two paths.
    """
    return list(walk_video_files(folder, on_error=_raise_unreadable, follow_links=True, visited=visited))


def key_of(file: Path, root: str) -> str:
    """Return the key of a video below the root."""
    return as_key(file.relative_to(root).as_posix(), root)


def _list(parent: Path) -> list[Path]:
    try:
        return sorted(parent.iterdir())
    except OSError as error:
        raise UserError(f"cannot list {parent} ({error.strerror}): check data.root") from None


def _raise_unreadable(error: OSError) -> None:
    raise UserError(f"cannot list {error.filename} ({error.strerror}): make it readable or remove it")
