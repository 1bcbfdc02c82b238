"""Files that are whole or not there, whatever ends the program that writes them."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file under a temporary name, bring it to the disk, then rename it. Makes its folder.

    Raises OSError, naming the file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # Unique on all machines of a cluster, and short: a key may be nearly as long as a file name can be.
    temporary = file.with_name(f"{secrets.token_hex(8)}.tmp")
    with naming(file):
        try:
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())  # else a power cut can leave the new name with nothing behind it
            os.replace(temporary, file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Put the name of the file into errors of writing, which have none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error
