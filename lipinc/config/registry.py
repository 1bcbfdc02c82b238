"""Plug-ins by name: models and data sets register themselves, and the settings find them here."""

import difflib
import importlib
import inspect
from collections.abc import Iterable
from typing import Generic, TypeVar

from lipinc.errors import UserError

Plugin = TypeVar("Plugin", bound=type)


class Registry(Generic[Plugin]):
    """Classes by the name that the settings call them by."""

    def __init__(self, noun: str, package: str):
        """noun: what they are, for messages. package: the project's own ones.

        That package is imported when a name is first looked up: it may take seconds (torch), which settings must not
        cost where nobody asks for a model.
        """
        self.noun = noun
        self._package = package
        self._classes: dict[str, Plugin] = {}

    def add(self, name: str, plugin: Plugin) -> None:
        """Register a class. Raises UserError if another file has taken its name."""
        taken = self._classes.get(name)
        if taken is not None and source_file(taken) != source_file(plugin):
            raise UserError(f"{source_file(plugin)}: the {self.noun} {name!r} is {source_file(taken)}'s; rename yours")
        self._classes[name] = plugin

    def get(self, name: str) -> Plugin:
        """The class of a name. Raises UserError, naming the nearest, if there is none."""
        if name not in self.names():
            raise UserError(f"there is no {self.noun} {name!r}: {nearest(name, self.names())}")
        return self._classes[name]

    def names(self) -> list[str]:
        """All names, in alphabetical order."""
        importlib.import_module(self._package)
        return sorted(self._classes)


def source_file(plugin: type) -> str:
    """The file that a class was defined in, for messages; its module where there is no file."""
    try:
        return inspect.getfile(plugin)
    except (TypeError, OSError):
        return plugin.__module__


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: the nearest known one, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name.lower(), known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known) or 'none'}"


MODELS: Registry = Registry("model", "lipinc.models")
DATASETS: Registry = Registry("data set", "lipinc.datasets")
