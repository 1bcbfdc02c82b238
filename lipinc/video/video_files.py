"""Finds the videos in a folder, and measures and identifies them: files, and folders of numbered pictures."""

import errno
import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from lipinc.errors import UserError
from lipinc.video.frame_folders import MIN_FRAMES, is_frame_folder, is_picture, list_frames
from lipinc.video.rejection import Unreadable

log = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset((
    ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mkv", ".mk3d", ".webm", ".avi", ".divx", ".flv", ".wmv",
    ".asf", ".ogv", ".ogm", ".rm", ".rmvb", ".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".vob", ".ts", ".mts", ".m2ts",
    ".m2t", ".trp", ".mxf", ".gxf", ".dv", ".dav", ".wtv", ".ivf", ".y4m", ".h264", ".264", ".h265", ".265", ".hevc",
    ".mjpg", ".mjpeg",
))  # fmt: skip
"""Lower case; files are matched without regard to case. Not .gif: most are drawings (a GIF that is named is read)."""
SOURCE_CODE_SUFFIXES = (".ts", ".mts")
"""Suffixes of MPEG transport streams and of TypeScript alike. A text file with one of these is not a video."""

FolderId = tuple[int, int]
"""Device and inode of a folder."""


def walk_video_files(
    folder: str | os.PathLike,
    *,
    on_error: Callable[[OSError], None] | None = None,
    follow_links: bool = False,
    visited: dict[FolderId, str] | None = None,
) -> Iterator[Path]:
    """Yield the videos in a folder and its sub-folders, sorted by name: files with a video suffix, and frame folders.

    A folder (the given one, too) is itself a video if it contains no video file, but at least MIN_FRAMES pictures,
    numbered one by one. The files of a folder come before those of its sub-folders. Hidden files (".name") are left
    out: macOS leaves files such as "._talk.mp4" that are no videos. What a link or a special file points to is not
    checked.

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
        videos = [Path(parent, name) for name in sorted(names) if _is_video_file(parent, name)]
        if videos:
            yield from videos
        elif sum(map(is_picture, names)) >= MIN_FRAMES:
            if is_frame_folder(parent):
                yield Path(parent)
            else:
                _explain(parent)


def video_size(video: str | os.PathLike) -> int:
    """Size of a video in bytes, that of a frame folder summed over its pictures; 0 if there is none."""
    try:
        return sum(file.stat().st_size for file in _files(Path(video)))
    except (OSError, Unreadable):
        return 0


def video_sha256(video: str | os.PathLike) -> str:
    """SHA-256 of a video file; for a frame folder, of the lines that `sha256sum` prints for its pictures in order.

    Raises:
        OSError: it cannot be read, or is neither a regular file nor a folder.
        Unreadable: a folder without numbered pictures.
    """
    video = Path(video)
    if not video.is_dir():
        return _sha256(video)
    lines = "".join(f"{_sha256(file)}  {file.name}\n" for file in list_frames(video))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _files(video: Path) -> list[Path]:
    return list_frames(video) if video.is_dir() else [video]


def _sha256(file: Path) -> str:
    if not stat.S_ISREG(file.stat().st_mode):  # reading a pipe could block
        raise OSError(errno.EINVAL, "not a regular file")
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _is_video_file(parent: str, name: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in VIDEO_SUFFIXES or name.startswith("."):
        return False
    return suffix not in SOURCE_CODE_SUFFIXES or not _is_text(os.path.join(parent, name))


def _is_text(file: str) -> bool:
    """Whether a file is text: a transport stream has zero bytes in each of its first packets of 188 bytes."""
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            return False
        with open(file, "rb") as stream:
            head = stream.read(1024)
    except OSError:  # a video that cannot be read: a reason to report it, not to leave it out
        return False
    return bool(head) and b"\0" not in head


def _explain(folder: str) -> None:
    """Log why a folder of pictures is not read as a video."""
    try:
        list_frames(folder)
    except (Unreadable, OSError) as error:
        log.warning("%s is not read as a video: %s", folder, error)
