"""Command-line parsing: --config FILE sets the defaults, and all other flags override single values."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

import tyro

from lipinc.config.loading import config_file, load_config
from lipinc.config.registry import DATASETS, MODELS
from lipinc.config.schema import Config, DataConfig, ModelConfig
from lipinc.errors import UserError

Arguments = TypeVar("Arguments", bound=Config)
FLAGS_TAKE_VALUES = (tyro.conf.FlagConversionOff,)
"""Boolean flags take a value, as all other flags do: --train.amp False."""


def parse_command_line(
    arguments_type: type[Arguments],
    argv: Sequence[str],
    *,
    prog: str | None = None,
    description: str = "",
    sections: Sequence[str] | None = None,
) -> Arguments:
    """Parse --config FILE and the flags that override it.

    Exits with status 2 on a misspelt flag and suggests the closest one.

    Args:
        arguments_type: `Config`, or a subclass with the command's own fields.
        argv: command-line arguments after the command name.
        prog: command name shown by --help.
        description: description shown by --help.
        sections: config sections that the command reads; None means all. Flags of other sections are accepted but
            hidden from --help, so that several commands can be given the same flags.

    Returns:
        The validated arguments, an instance of `arguments_type`.

    Raises:
        UserError: a value is invalid.
    """
    file, flags = _take_config_file(list(argv))
    base = load_config(file)
    sections = [field.name for field in dataclasses.fields(Config)] if sections is None else sections
    with_model = "model" in sections or any(flag.startswith("--model.") for flag in flags)
    data = _with_kind(base.data, _flag_value("--data.kind", flags, base.data.kind))
    narrowed: dict[str, Any] = {"data": (_with_choice(type(data), "kind", DATASETS.names(), data.kind), data)}
    if with_model:
        options = _with_name(base.model, _flag_value("--model.name", flags, base.model.name))
        narrowed["model"] = (_with_choice(type(options.options), "name", MODELS.names(), options.name), options.options)
    else:
        narrowed["model"] = (tyro.conf.Fixed[ModelConfig], base.model)
    values = {field.name: getattr(base, field.name) for field in dataclasses.fields(Config)}
    fields = []
    for field in dataclasses.fields(Config):
        kind, value = narrowed.get(field.name, (field.type, values[field.name]))
        if dataclasses.is_dataclass(value) and type(value) is not kind:
            value = kind(**{f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
        values[field.name] = value
        hidden = field.name not in sections and (dataclasses.is_dataclass(field.type) or field.name == "model")
        if hidden or kind is not field.type:
            shown = tyro.conf.Suppress[kind] if hidden else kind
            fields.append((field.name, shown, dataclasses.field(default=value)))
    parser = dataclasses.make_dataclass(arguments_type.__name__, fields, bases=(arguments_type,), frozen=True)
    parsed = tyro.cli(
        parser,
        prog=prog,
        default=parser(**values),
        args=flags,
        config=FLAGS_TAKE_VALUES,
        description=f"{description.strip()}\n\nThe defaults below come from --config FILE, here {file}",
    )
    arguments = arguments_type(
        **{
            field.name: getattr(parsed, field.name)
            for field in dataclasses.fields(arguments_type)
            if field.name not in ("data", "model")
        },
        data=type(data)(**_without(parsed.data, "kind")),
        model=ModelConfig(parsed.model.name, **_without(parsed.model, "name")) if with_model else base.model,
    )
    arguments.check(with_model=with_model)
    return arguments


def experiment(arguments: Config) -> Config:
    """Return the config part of a command's arguments, without the command's own fields."""
    return Config(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(Config)})


def _take_config_file(argv: list[str]) -> tuple[str, list[str]]:
    """Return the file given by --config, and the remaining arguments."""
    for position, argument in enumerate(argv):
        if argument == "--config" or argument.startswith("--config="):
            length = 1 if "=" in argument else 2
            value = argument.partition("=")[2] if "=" in argument else " ".join(argv[position + 1 : position + 2])
            if not value or value.startswith("--"):
                raise UserError("--config needs a file, for example --config config.py")
            return str(config_file(value)), argv[:position] + argv[position + length :]
    return str(config_file("fakeavceleb")), argv


def _flag_value(flag: str, argv: Sequence[str], default: str) -> str:
    """Return the last value given for a flag, or the default."""
    for position, argument in reversed(list(enumerate(argv))):
        if argument.startswith(f"{flag}="):
            return argument.partition("=")[2]
        if argument == flag and position + 1 < len(argv):
            return argv[position + 1]
    return default


def _with_kind(data: DataConfig, kind: str) -> DataConfig:
    """Switch to another data set, keeping the options that both have."""
    dataset = DATASETS.get(kind)
    shared = {field.name for field in dataclasses.fields(dataset)} & {field.name for field in dataclasses.fields(data)}
    return data if type(data) is dataset else dataset(**{name: getattr(data, name) for name in shared})


def _with_name(model: ModelConfig, name: str) -> ModelConfig:
    """Switch to another model, keeping the options that both have."""
    if name == model.name:
        return model
    options = MODELS.get(name).Options.__dataclass_fields__
    return ModelConfig(name, **{option: value for option, value in model.given.items() if option in options})


def _with_choice(kind: type, choice: str, names: list[str], chosen: str) -> type:
    """Add a first field to an options dataclass: the name of the data set or model that the options belong to."""
    help_text = f"Each of these has its own options; those below belong to {chosen}."
    field = Annotated[Literal[tuple(names)], tyro.conf.arg(help=help_text)]
    return dataclasses.make_dataclass(
        kind.__name__,
        [(choice, field, dataclasses.field(default=chosen))],
        bases=(kind,),
        frozen=True,
        namespace={"__doc__": kind.__doc__},
    )


def _without(options: Any, choice: str) -> dict[str, Any]:
    return {f.name: getattr(options, f.name) for f in dataclasses.fields(options) if f.name != choice}
