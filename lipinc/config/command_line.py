"""Settings from the command line: --config FILE, whose values are the defaults of all other flags."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

import tyro

from lipinc.config.help import field_docs, with_help
from lipinc.config.loading import config_file, load_config
from lipinc.config.registry import DATASETS, MODELS, Registry
from lipinc.config.schema import Config, DataConfig, ModelConfig
from lipinc.errors import UserError

Arguments = TypeVar("Arguments", bound=Config)
Plain = TypeVar("Plain")
FLAGS_TAKE_VALUES = (tyro.conf.FlagConversionOff,)
"""--train.amp False, as all other flags take a value."""


def parse_arguments(kind: type[Plain], argv: Sequence[str], *, prog: str, description: str) -> Plain:
    """Read the flags of a command that has no config. kind: a dataclass of its arguments.

    Exits with status 2 on a misspelt flag, naming the nearest.
    """
    return tyro.cli(with_help(kind), prog=prog, args=argv, config=FLAGS_TAKE_VALUES, description=description.strip())


def parse_command_line(
    kind: type[Arguments],
    argv: Sequence[str],
    *,
    prog: str | None = None,
    description: str = "",
    sections: Sequence[str] | None = None,
) -> Arguments:
    """Read --config FILE and the flags that override it.

    Args:
        kind: `Config`, or a dataclass that adds the command's own fields to it.
        argv: the words after the command.
        prog, description: of --help.
        sections: the sections of the config that the command reads; None: all. The others are accepted, so that several
            commands take the same flags, and are not shown by --help.

    Exits with status 2 on a misspelt flag, naming the nearest. Raises UserError on values that make no sense.
    """
    file, words = _take_config_file(list(argv))
    base = load_config(file)
    names = [field.name for field in dataclasses.fields(Config)]
    sections = names if sections is None else sections
    with_model = "model" in sections or any(word.startswith("--model.") for word in words)
    values = {name: getattr(base, name) for name in names}
    values["data"] = _as_kind(base.data, _value_of("--data.kind", words, base.data.kind))
    values["model"] = _as_model(base.model, _value_of("--model.name", words, base.model.name))
    # tyro does not accept what it does not show, so that sections are left out where only the help is printed.
    shown = sections if {"-h", "--help"} & set(words) else names
    parsed = tyro.cli(
        _parser(kind, values, shown, with_model),
        prog=prog,
        args=words,
        config=FLAGS_TAKE_VALUES,
        description=f"{description.strip()}\n\n--config FILE gives the defaults below; now: {file}",
    )
    for name, value in values.items():
        if dataclasses.is_dataclass(value):
            section = getattr(parsed, name)
            values[name] = type(value)(**{f.name: getattr(section, f.name) for f in dataclasses.fields(value)})
        elif name != "model":
            values[name] = getattr(parsed, name)
    if with_model:
        options = {f.name: getattr(parsed.model, f.name) for f in dataclasses.fields(values["model"].options)}
        values["model"] = ModelConfig(values["model"].name, **options)
    own = {f.name: getattr(parsed, f.name) for f in dataclasses.fields(kind) if f.name not in values}
    arguments = kind(**values, **own)
    arguments.check(with_model=with_model)
    return arguments


def _parser(kind: type, values: dict[str, Any], shown: Sequence[str], with_model: bool) -> type:
    """The arguments as tyro takes them: the data set and the model have their own options, with these defaults."""
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
            value = section(**{f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
        else:
            section = Annotated[str, tyro.conf.arg(help=field_docs(Config)[name])]
        section = section if name in shown else tyro.conf.Suppress[section]
        fields.append((name, section, dataclasses.field(default=value)))
    return dataclasses.make_dataclass(kind.__name__, fields, bases=(with_help(kind),), frozen=True)


def experiment(arguments: Config) -> Config:
    """The config that a command's arguments hold, without the command's own fields."""
    return Config(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(Config)})


def _take_config_file(words: list[str]) -> tuple[str, list[str]]:
    """The file that --config names, and the other words."""
    for position, word in enumerate(words):
        if word == "--config" or word.startswith("--config="):
            length = 1 if "=" in word else 2
            value = word.partition("=")[2] if "=" in word else " ".join(words[position + 1 : position + 2])
            if not value or value.startswith("--"):
                raise UserError("--config names no file; give one, such as --config config.py")
            return str(config_file(value)), words[:position] + words[position + length :]
    return str(config_file("fakeavceleb")), words


def _value_of(flag: str, words: Sequence[str], default: str) -> str:
    """The last value that a flag has on the command line."""
    for position, word in reversed(list(enumerate(words))):
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
        if word == flag and position + 1 < len(words):
            return words[position + 1]
    return default


def _as_kind(data: DataConfig, kind: str) -> DataConfig:
    """The same options for another data set: those that it has, too."""
    dataset = DATASETS.get(kind)
    shared = {field.name for field in dataclasses.fields(dataset)} & {field.name for field in dataclasses.fields(data)}
    return data if type(data) is dataset else dataset(**{name: getattr(data, name) for name in shared})


def _as_model(model: ModelConfig, name: str) -> ModelConfig:
    """The same options for another model: those that it has, too."""
    if name == model.name:
        return model
    options = MODELS.get(name).Options.__dataclass_fields__
    return ModelConfig(name, **{option: value for option, value in model.given.items() if option in options})


def _with_choice(kind: type, options: Any, choice: str, registry: Registry, chosen: str) -> tuple[type, Any]:
    """A dataclass of options, with a field that chooses whose options they are, and its value."""
    help_text = f"One of these; each has options of its own. The others of this box are of {chosen}."
    field = Annotated[Literal[tuple(registry.names())], tyro.conf.arg(help=help_text)]
    fields = [(choice, field, dataclasses.field(default=chosen))]
    kind = dataclasses.make_dataclass(
        kind.__name__, fields, bases=(kind,), frozen=True, namespace={"__doc__": kind.__doc__}
    )
    return kind, kind(**{f.name: getattr(options, f.name) for f in dataclasses.fields(options)})
