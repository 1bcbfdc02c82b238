"""Atomic file writes: a file is complete or absent, however the program that writes it ends."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, then rename it. Creates the parent folder.

    Raises:
        OSError: with the name of the file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # The name is unique on all machines of a cluster, and short: a key may be almost as long as a file name can be.
    temporary_name = f"{secrets.token_hex(8)}.tmp"
    with with_filename(file), replacing(file, temporary_name) as temporary, temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())  # otherwise a power cut can leave the new name on an empty file


@contextmanager
def replacing(file: Path, temporary_name: str | None = None) -> Iterator[Path]:
    """Rename a temporary file in the same folder to `file` if the block succeeds, and delete it if not.

    Args:
        file: The target. Its folder must exist.
        temporary_name: Default: the name of the target with `.tmp` appended, always the same. Then an interrupted run
            leaves at most one temporary file, and the next run overwrites it; only one process may write the target.

    Yields:
        The temporary path. The block has to create the file.
    """
    temporary = file.with_name(temporary_name or f"{file.name}.tmp")
    try:
        yield temporary
        os.replace(temporary, file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def with_filename(file: Path) -> Iterator[None]:
    """Add the name of the file to an OSError: errors of writing and flushing do not carry one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error
