"""Registries of plug-ins: models and data sets register a class under a name, and the config looks it up."""

import importlib
import inspect
from collections.abc import Iterable
from typing import Generic, TypeVar

from lipinc.config.suggestions import closest
from lipinc.errors import UserError

Plugin = TypeVar("Plugin", bound=type)


class Registry(Generic[Plugin]):
    """A mapping from plug-in names, as used in the config, to classes."""

    def __init__(self, noun: str, package: str):
        """Create an empty registry.

        Args:
            noun: what the plug-ins are called in error messages.
            package: the package that defines the built-in plug-ins. It is imported at the first look-up: importing
                torch takes seconds, which a command that needs no model should not pay.
        """
        self.noun = noun
        self._package = package
        self._classes: dict[str, Plugin] = {}

    def add(self, name: str, plugin: Plugin) -> None:
        """Register a class.

        Raises:
            UserError: another file has registered the same name.
        """
        registered = self._classes.get(name)
        if registered is not None and source_file(registered) != source_file(plugin):
            raise UserError(
                f"{source_file(plugin)}: the {self.noun} {name!r} is already defined in {source_file(registered)}; "
                "choose another name"
            )
        self._classes[name] = plugin

    def get(self, name: str) -> Plugin:
        """Return the class registered under a name.

        Raises:
            UserError: no class has this name; the message suggests the closest one.
        """
        if name not in self.names():
            raise UserError(f"there is no {self.noun} {name!r}: {suggest(name, self.names())}")
        return self._classes[name]

    def names(self) -> list[str]:
        """Return all registered names in alphabetical order."""
        importlib.import_module(self._package)
        return sorted(self._classes)


def source_file(plugin: type) -> str:
    """Return the file that defines a class, for error messages; its module name if there is no file."""
    try:
        return inspect.getfile(plugin)
    except (TypeError, OSError):
        return plugin.__module__


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a hint for a misspelt name: the closest known name, or the list of all of them."""
    known = list(known)
    if close := closest(name, known):
        return f"did you mean {close}?"
    return f"choose one of {', '.join(known)}" if known else "there are none"


MODELS: Registry = Registry("model", "lipinc.models")
DATASETS: Registry = Registry("data set", "lipinc.datasets")
