"""Errors that are the user's to mend: scripts print them as one line and exit with status 2."""


class UserError(Exception):
    """What happened, to which file, and what to do, in one line."""
