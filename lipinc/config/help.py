"""Command-line help texts, taken from the docstrings below the fields of settings dataclasses.

tyro reads these docstrings, too, but keeps the line breaks of the source.
"""

import ast
import dataclasses
import inspect
import textwrap
from typing import Annotated, Any, get_type_hints

import tyro


def with_help(kind: type) -> type:
    """Create a subclass of a dataclass with a help text for each field. Sections (nested dataclasses) are skipped."""
    hints, docs = get_type_hints(kind, include_extras=True), field_docs(kind)
    fields = []
    for field in dataclasses.fields(kind):
        hint, help_text = hints[field.name], docs.get(field.name, "")
        if dataclasses.is_dataclass(hint):
            continue
        known = next((m for m in getattr(hint, "__metadata__", ()) if hasattr(m, "metavar")), tyro.conf.arg())
        hint = Annotated[hint, dataclasses.replace(known, help=known.help or help_text)]
        fields.append((field.name, hint, _same_default(field)))
    return dataclasses.make_dataclass(
        kind.__name__, fields, bases=(kind,), frozen=True, namespace={"__doc__": kind.__doc__}
    )


def field_docs(kind: type) -> dict[str, str]:
    """Return field name -> docstring for a dataclass and its bases, each docstring as one line."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body
        except (OSError, TypeError):  # a built-in class, or created at run time
            continue
        for field, below in zip(body, body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                docs[field.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return docs


def _same_default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=field.default_factory)
    return dataclasses.field(default=field.default) if field.default is not dataclasses.MISSING else dataclasses.field()
