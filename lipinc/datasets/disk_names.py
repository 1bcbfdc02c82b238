"""Names on disk: finds files whose names differ from the index in Unicode form (macOS) or in case (Windows)."""

import os
import unicodedata


def portable(name: str) -> str:
    """Return the form in which names are equal that some file systems do not distinguish."""
    return unicodedata.normalize("NFC", name).casefold()


class DiskNames:
    """The names in the folders below a root. Every folder is listed once at most."""

    def __init__(self, root: str | os.PathLike):
        self._root = os.fspath(root)
        self._listings: dict[str, dict[str, list[str]]] = {}

    def find(self, path: str) -> str:
        """Return a relative path as it is spelt on disk; unchanged if there is no such file, or more than one."""
        if os.path.lexists(os.path.join(self._root, path)):
            return path
        found = self._root
        for part in path.split("/"):
            same = self._list(found).get(portable(part), [])
            if part not in same and len(same) != 1:
                return path
            found = os.path.join(found, part if part in same else same[0])
        return os.path.relpath(found, self._root)

    def _list(self, folder: str) -> dict[str, list[str]]:
        """Return portable name -> names in a folder; nothing for a folder that cannot be listed."""
        if folder not in self._listings:
            names: dict[str, list[str]] = {}
            try:
                for name in sorted(os.listdir(folder)):
                    names.setdefault(portable(name), []).append(name)
            except OSError:
                pass
            self._listings[folder] = names
        return self._listings[folder]
