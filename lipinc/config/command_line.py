"""Settings from the command line: --config FILE, whose values are the defaults of all other flags."""

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
"""--train.amp False, as all other flags take a value."""


def parse_command_line(
    arguments_type: type[Arguments],
    argv: Sequence[str],
    *,
    prog: str | None = None,
    description: str = "",
    sections: Sequence[str] | None = None,
) -> Arguments:
    """Read --config FILE and the flags that override it.

    Args:
        arguments_type: `Config`, or a dataclass that adds the command's own fields to it.
        argv: the words after the command.
        prog, description: of --help.
        sections: the sections of the config that the command reads; None: all. The others are accepted, so that several
            commands take the same flags, and are not shown by --help.

    Exits with status 2 on a misspelt flag, naming the nearest. Raises UserError on values that make no sense.
    """
    file, words = _take_config_file(list(argv))
    base = load_config(file)
    sections = [field.name for field in dataclasses.fields(Config)] if sections is None else sections
    with_model = "model" in sections or any(word.startswith("--model.") for word in words)
    data = _as_kind(base.data, _value_of("--data.kind", words, base.data.kind))
    narrowed: dict[str, Any] = {"data": (_with_choice(type(data), "kind", DATASETS.names(), data.kind), data)}
    if with_model:
        options = _model_of(base.model, _value_of("--model.name", words, base.model.name))
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
        args=words,
        config=FLAGS_TAKE_VALUES,
        description=f"{description.strip()}\n\n--config FILE gives the defaults below; now: {file}",
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


def _model_of(model: ModelConfig, name: str) -> ModelConfig:
    """The same options for another model: those that it has, too."""
    if name == model.name:
        return model
    options = MODELS.get(name).Options.__dataclass_fields__
    return ModelConfig(name, **{option: value for option, value in model.given.items() if option in options})


def _with_choice(kind: type, choice: str, names: list[str], chosen: str) -> type:
    """A dataclass of options with a field in front that says whose options they are."""
    help_text = f"One of these; each has options of its own. Those below are of {chosen}."
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
