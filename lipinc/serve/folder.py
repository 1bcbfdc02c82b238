"""The temporary folder of a server, which nothing of a server outlives: not even `kill -9` leaves it for long."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "lipinc-serve-"
LOCK = "lock"


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a new folder that only this user can read; everything in it is deleted when the block ends.

    Folders of servers that were killed are deleted first: the kernel has released the lock that a running server holds
    on its own.

    Raises:
        OSError: there is no place for temporary files.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        _delete_if_abandoned(old)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with (folder / "unlocked").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.rename(folder / "unlocked", folder / LOCK)  # locked from the moment that it has this name
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _delete_if_abandoned(folder: Path) -> None:
    with suppress(OSError):  # of another user, running, or just deleted
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return
        with (folder / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
