"""The error that a user can fix, and text that is safe to print."""


class UserError(Exception):
    """An error that the user can fix: scripts print it as one line, without a traceback, and exit with status 2.

    Its message says what happened, to which file, and what to do.
    """


def one_line(error: Exception) -> str:
    """Describe an unexpected error in one line: its type and its message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def printable(text: str) -> str:
    """Escape whatever could break a line, a terminal or a page; the text may come from a file name.

    Line breaks, bytes that are not valid UTF-8 (surrogates) and Unicode marks that change the writing direction become
    escape sequences.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
