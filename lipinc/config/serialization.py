"""Config serialisation: configs as JSON, saved with every run and in every checkpoint."""

import dataclasses
import json
from typing import Any, get_type_hints

from lipinc.config.migration import upgrade
from lipinc.config.ranges import has_type
from lipinc.config.registry import DATASETS
from lipinc.config.schema import Config, DataConfig, ModelConfig
from lipinc.errors import UserError

VERSION = 2
"""Version of the JSON format. Version 1 had no version field and kept the options of all models in one section."""


def to_json(config: Config) -> str:
    """Return the resolved config as JSON, with every option of its data set and model."""
    sections = {field.name: getattr(config, field.name) for field in dataclasses.fields(Config)}
    values = {name: dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for name, v in sections.items()}
    values["data"] = {"kind": config.data.kind, **values["data"]}
    values["model"] = model_values(config.model)
    return json.dumps({"version": VERSION, **values}, indent=2)


def model_values(model: ModelConfig) -> dict[str, Any]:
    """Return the name and all options of a model as JSON values."""
    return {"name": model.name, **dataclasses.asdict(model.options)}


def from_json(values: dict[str, Any]) -> Config:
    """Read a config from the values that `to_json` wrote, in this or an earlier version.

    If the data set is not registered, only the options that all data sets share are read. A checkpoint can therefore
    be used without the code of its training data set.

    Raises:
        UserError: a field or a value is unknown to this version.
    """
    values = dict(upgrade(values) if "version" not in values else values)
    if values.pop("version") != VERSION:
        raise UserError("the saved config was written by a newer version of lipinc; upgrade lipinc")
    data = dict(values.get("data", {}))
    kind = data.pop("kind", "fakeavceleb")
    known = kind in DATASETS.names()
    dataset = DATASETS.get(kind) if known else DataConfig
    fields = {field.name for field in dataclasses.fields(dataset)}
    sections: dict[str, Any] = {"data": _build(dataset, data if known else {k: data[k] for k in data if k in fields})}
    if "model" in values:
        options = dict(values["model"])
        sections["model"] = ModelConfig(str(options.pop("name", "lipinc")), **_as_tuples(options))
    rest = {name: value for name, value in values.items() if name not in sections}
    return dataclasses.replace(_build(Config, rest), **sections)


def _build(kind: type, given: dict[str, Any]) -> Any:
    """Build a settings dataclass from JSON values, checking field names and types."""
    types = get_type_hints(kind, include_extras=True)
    fields = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(given.keys() - fields)
    if unknown:
        raise UserError(f"the saved config has unknown fields: {str(unknown)[1:-1]:.80}; upgrade lipinc")
    built = kind(
        **{
            name: _build(types[name], value) if dataclasses.is_dataclass(types[name]) else _as_tuples(value)
            for name, value in given.items()
        }
    )
    for name in given:
        if not has_type(value := getattr(built, name), types[name]):
            raise UserError(f"the saved config has an invalid {name}: {str(value)[:80]!r}")
    return built


def _as_tuples(value: Any) -> Any:
    """Convert the lists of a JSON value back to tuples."""
    if isinstance(value, dict):
        return {name: _as_tuples(one) for name, one in value.items()}
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value
