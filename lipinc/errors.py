"""Errors that are the user's to mend: scripts print them as one line and exit with status 2."""


class UserError(Exception):
    """What happened, to which file, and what to do, in one line."""


def named(error: Exception) -> str:
    """An error that nobody foresaw, in one line: its kind and what it says."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def printable(text: str) -> str:
    """A text on one line that a terminal or a page can be trusted with, such as a file name: line breaks, bytes of no
    encoding and marks that turn the writing around are shown as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
