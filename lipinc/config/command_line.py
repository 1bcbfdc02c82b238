"""Command-line parsing: --config FILE sets the defaults, and all other flags override single values."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import tyro

from lipinc.config.help import field_docs, with_help
from lipinc.config.loading import config_file, load_config
from lipinc.config.registry import DATASETS, MODELS, Registry
from lipinc.config.schema import Config, DataConfig, ModelConfig
from lipinc.config.suggestions import closest_flags
from lipinc.errors import UserError

Arguments = TypeVar("Arguments", bound=Config)
Plain = TypeVar("Plain")
FLAGS_TAKE_VALUES = (tyro.conf.FlagConversionOff,)
"""Boolean flags take a value, as all other flags do: --train.amp False."""


def parse_arguments(kind: type[Plain], argv: Sequence[str], *, prog: str, description: str) -> Plain:
    """Parse the flags of a command without a config. Exits with status 2 if a value is missing or invalid.

    Args:
        kind: dataclass of the arguments.
        argv: command-line arguments after the command name.
        prog: command name shown by --help.
        description: description shown by --help.

    Raises:
        UserError: a flag does not exist; the message suggests the closest.
    """
    shown = with_help(kind)
    _check_flags(argv, shown)
    parsed = tyro.cli(shown, prog=prog, args=argv, config=FLAGS_TAKE_VALUES, description=description.strip())
    # Instances of a class made at run time cannot be pickled for worker processes.
    return _converted(parsed, kind)


def parse_command_line(
    kind: type[Arguments],
    argv: Sequence[str],
    *,
    prog: str | None = None,
    description: str = "",
    sections: Sequence[str] | None = None,
) -> Arguments:
    """Parse --config FILE and the flags that override it.

    Exits with status 2 if a value is missing or invalid.

    Args:
        kind: `Config`, or a subclass with the command's own fields.
        argv: command-line arguments after the command name.
        prog: command name shown by --help.
        description: description shown by --help.
        sections: config sections that the command reads; None means all. Flags of other sections are accepted but
            hidden from --help, so that several commands can be given the same flags.

    Returns:
        The validated arguments, an instance of `kind`.

    Raises:
        UserError: a value is invalid, or a flag does not exist; the message suggests the closest.
    """
    file, flags = _take_config_file(list(argv))
    base = load_config(file)
    names = [field.name for field in dataclasses.fields(Config)]
    sections = names if sections is None else sections
    with_model = "model" in sections or any(flag.startswith("--model.") for flag in flags)
    values = {name: getattr(base, name) for name in names}
    values["data"] = _with_kind(base.data, _flag_value("--data.kind", flags, base.data.kind))
    values["model"] = _with_name(base.model, _flag_value("--model.name", flags, base.model.name))
    # tyro rejects flags that it does not show. Sections are therefore hidden only when the help is printed.
    shown = sections if {"-h", "--help"} & set(flags) else names
    parser = _parser(kind, values, shown, with_model)
    _check_flags(flags, parser)
    parsed = tyro.cli(
        parser,
        prog=prog,
        args=flags,
        config=FLAGS_TAKE_VALUES,
        description=f"{description.strip()}\n\nThe defaults below come from --config FILE, here {file}",
    )
    for name, value in values.items():
        if dataclasses.is_dataclass(value):
            values[name] = _converted(getattr(parsed, name), type(value))
        elif name != "model":
            values[name] = getattr(parsed, name)
    if with_model:
        options = _converted(parsed.model, type(values["model"].options))
        values["model"] = ModelConfig(values["model"].name, **vars(options))
    own = {f.name: getattr(parsed, f.name) for f in dataclasses.fields(kind) if f.name not in values}
    arguments = kind(**values, **own)
    arguments.check(with_model=with_model)
    return arguments


def _parser(kind: type, values: dict[str, Any], shown: Sequence[str], with_model: bool) -> type:
    """Create the argument dataclass for tyro, with these defaults and the options of the data set and model."""
    fields: list[tuple[str, Any, Any]] = []
    for name, value in values.items():
        if name == "model" and not with_model:
            fields.append((name, tyro.conf.Suppress[tyro.conf.Fixed[str]], dataclasses.field(default="")))
            continue
        if name == "model":
            section, value = _with_choice(with_help(type(value.options)), value.options, "name", MODELS, value.name)
        elif name == "data":
            section, value = _with_choice(with_help(type(value)), value, "kind", DATASETS, value.kind)
        elif dataclasses.is_dataclass(value):
            section = with_help(type(value))
            value = _converted(value, section)
        else:
            section = Annotated[str, tyro.conf.arg(help=field_docs(Config)[name])]
        section = section if name in shown else tyro.conf.Suppress[section]
        fields.append((name, section, dataclasses.field(default=value)))
    return dataclasses.make_dataclass(kind.__name__, fields, bases=(with_help(kind),), frozen=True)


def _check_flags(argv: Sequence[str], parser: type) -> None:
    """Raise UserError if flags do not exist."""
    known = list(dict.fromkeys(_flags(parser)))
    problems = []
    for argument in argv:
        flag = argument.partition("=")[0]
        if not re.match(r"--?[A-Za-z]", flag) or flag.replace("_", "-") in (*known, "-h", "--help"):
            continue
        others = _kinds_with(flag)
        close = " or ".join(closest_flags(flag, known))
        hint = f"it belongs to {others}" if others else f"did you mean {close}?" if close else "--help lists all flags"
        problems.append(f"there is no flag {flag}: {hint}")
    if problems:
        raise UserError("; ".join(problems))


def _flags(kind: type, prefix: str = "--") -> Iterator[str]:
    """Yield the flags of an argument dataclass and of its sections, as in "--train.batch-size"."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if name not in kind.__dataclass_fields__:
            continue
        inner, metadata = getattr(hint, "__origin__", hint), getattr(hint, "__metadata__", ())
        if dataclasses.is_dataclass(inner):
            yield from _flags(inner, f"{prefix}{name.replace('_', '-')}.")
        elif tyro.conf.Positional not in metadata:
            yield prefix + name.replace("_", "-")
            yield from (alias for one in metadata for alias in getattr(one, "aliases", None) or ())


def _kinds_with(flag: str) -> str:
    """Return the data sets or models that have an option, as flags; "" if none has it."""
    section, _, option = flag.lstrip("-").replace("-", "_").partition(".")
    if section == "data":
        kinds = {name: DATASETS.get(name).__dataclass_fields__ for name in DATASETS.names()}
    elif section == "model":
        kinds = {name: MODELS.get(name).Options.__dataclass_fields__ for name in MODELS.names()}
    else:
        return ""
    choice = {"data": "--data.kind", "model": "--model.name"}[section]
    return " or ".join(f"{choice} {name}" for name, options in kinds.items() if option in options)


def experiment(arguments: Config) -> Config:
    """Return the config part of a command's arguments, without the command's own fields."""
    return _converted(arguments, Config)


def one_per_config(argv: Sequence[str]) -> list[list[str]]:
    """Split a command line whose --config names several files: one command line per file, with the same other flags."""
    start = argv.index("--config") + 1 if "--config" in argv else len(argv)
    end = next((i for i in range(start, len(argv)) if argv[i].startswith("-")), len(argv))
    return [[*argv[:start], file, *argv[end:]] for file in argv[start:end]] or [list(argv)]


def _take_config_file(argv: list[str]) -> tuple[str, list[str]]:
    """Return the file given by --config, and the remaining arguments."""
    for position, argument in enumerate(argv):
        if argument == "--config" or argument.startswith("--config="):
            length = 1 if "=" in argument else 2
            value = argument.partition("=")[2] if "=" in argument else " ".join(argv[position + 1 : position + 2])
            if not value or value.startswith("--"):
                raise UserError("--config needs a file, for example --config config.py")
            rest = argv[:position] + argv[position + length :]
            if any(other.partition("=")[0] == "--config" for other in rest):
                raise UserError("--config is given twice: give one file, which may import others")
            return str(config_file(value)), rest
    return str(config_file("fakeavceleb")), argv


def _flag_value(flag: str, argv: Sequence[str], default: str) -> str:
    """Return the last value given for a flag, or the default."""
    for position, argument in reversed(list(enumerate(argv))):
        if argument.startswith(f"{flag}="):
            return argument.partition("=")[2]
        if argument == flag and position + 1 < len(argv) and not argv[position + 1].startswith("--"):
            return argv[position + 1]
    return default


def _with_kind(data: DataConfig, kind: str) -> DataConfig:
    """Switch to another data set, keeping the options that both have."""
    dataset = DATASETS.get(kind)
    return data if type(data) is dataset else _converted(data, dataset)


def _with_name(model: ModelConfig, name: str) -> ModelConfig:
    """Switch to another model, keeping the options that both have."""
    if name == model.name:
        return model
    options = MODELS.get(name).Options.__dataclass_fields__
    return ModelConfig(name, **{option: value for option, value in model.given.items() if option in options})


def _with_choice(kind: type, options: Any, choice: str, registry: Registry, chosen: str) -> tuple[type, Any]:
    """Add a first field to an options dataclass: the name of the data set or model. Returns the class and its value."""
    help_text = f"Each of these has its own options; those in this box belong to {chosen}."
    field = Annotated[Literal[tuple(registry.names())], tyro.conf.arg(help=help_text)]
    fields = [(choice, field, dataclasses.field(default=chosen))]
    kind = dataclasses.make_dataclass(
        kind.__name__, fields, bases=(kind,), frozen=True, namespace={"__doc__": kind.__doc__}
    )
    return kind, _converted(options, kind)


def _converted(settings: Any, kind: type[Plain]) -> Plain:
    """Copy the fields that a dataclass instance shares with another dataclass; the other fields get their defaults."""
    names = {field.name for field in dataclasses.fields(settings)} & {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: getattr(settings, name) for name in names})
