"""Every setting is documented."""

import dataclasses
from pathlib import Path

import pytest

from lipinc.config import Config, ModelConfig, schema
from lipinc.config.help import field_docs
from lipinc.config.registry import DATASETS, MODELS
from lipinc.models.lipinc import LIPINCOptions


def test_every_knob_is_documented():
    """Each field has a docstring of its own in the source, for --help and for readers."""
    source = Path(schema.__file__).read_text()
    for section in dataclasses.fields(Config):
        if not dataclasses.is_dataclass(section.type):
            continue
        body = source.split(f"class {section.type.__name__}:", 1)[1].split("\n@dataclass", 1)[0]
        for field in dataclasses.fields(section.type):
            following = body.split(f"    {field.name}: ", 1)[1].split("\n")[1]
            assert following.strip().startswith('"""'), f"{section.name}.{field.name}"


@pytest.mark.parametrize("registry", [MODELS, DATASETS], ids=["models", "data sets"])
def test_every_option_of_a_plug_in_is_documented(registry):
    for name in registry.names():
        plugin = registry.get(name)
        options = plugin.Options if registry is MODELS else plugin
        docs = field_docs(options)
        for field in dataclasses.fields(options):
            assert docs.get(field.name), f"{name}: {field.name}"


def test_equal_configs_are_equal_however_they_are_written():
    given = ModelConfig("lipinc", dropout=0.5)  # its default
    assert given == ModelConfig("lipinc") == ModelConfig() and hash(given) == hash(ModelConfig())
    assert given != ModelConfig("lipinc", dropout=0.4)
    assert ModelConfig("lipinc", dropout=0.4).replace(hidden=8).options == LIPINCOptions(dropout=0.4, hidden=8)
    assert eval(repr(ModelConfig("lipinc_v2", hidden=8))) == ModelConfig("lipinc_v2", hidden=8)
