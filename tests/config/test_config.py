import dataclasses
import json
from pathlib import Path

import pytest

from lipinc.config import Config, from_json, load_config, parse_command_line, schema, to_json
from lipinc.datasets import CsvIndex
from lipinc.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [ROOT / "config.py", *sorted((ROOT / "configs").glob("*.py"))]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_shipped_config_loads_makes_sense_and_survives_json(file):
    config = load_config(file)
    config.check()
    assert from_json(json.loads(to_json(config))) == config


def test_shipped_configs_have_names_of_their_own():
    names = [load_config(file).name for file in SHIPPED]
    assert len(set(names)) == len(names)


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


def test_flags_override_the_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\nfrom config import config\nconfig = replace(config, name='mine')\n"
    )
    columns = ("path", "file", "identity", "person")
    arguments = ["--config", str(tmp_path / "mine.py"), "--train.batch-size", "7"]
    arguments += ["--data.kind", "csv", "--data.columns", *columns]
    config = parse_command_line(Config, arguments)
    assert (config.name, config.train.batch_size) == ("mine", 7)
    assert config.data.columns == (("path", "file"), ("identity", "person"))
    assert config.train.epochs == load_config(ROOT / "config.py").train.epochs
    assert parse_command_line(Config, [f"--config={tmp_path / 'mine.py'}"]).name == "mine"


def test_a_misspelt_flag_names_the_nearest_and_exits_with_2(capsys):
    with pytest.raises(SystemExit) as caught:
        parse_command_line(Config, ["--config", str(ROOT / "config.py"), "--train.epoch", "5"])
    assert caught.value.code == 2
    assert "--train.epochs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = 1\n", "sets no `config`"),
        ("config = 3\n", "sets no `config`"),
        ("import nonsense_module\n", "does not run: ModuleNotFoundError"),
        ("config = (\n", "does not run: SyntaxError"),
        ("from lipinc.config import Config\nconfig = Config(epochs=3)\n", "epochs"),
    ],
)
def test_a_bad_config_file_is_named(tmp_path, content, message):
    (tmp_path / "bad.py").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        load_config(tmp_path / "bad.py")
    assert "bad.py" in str(caught.value)


def test_all_senseless_values_are_reported_at_once():
    flags = ["--train.epochs", "0", "--mouth.face", "biggest", "--augment.flip", "2", "--name", "a/b"]
    with pytest.raises(UserError) as caught:
        parse_command_line(Config, ["--config", str(ROOT / "config.py"), *flags])
    for part in ("train.epochs", "mouth.face", "augment.flip", "name must be"):
        assert part in str(caught.value)


def test_an_unknown_saved_field_is_named():
    with pytest.raises(UserError, match="hue"):
        from_json({"train": {"hue": 3}})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--model.name", "noise_features"), "give --loss.inconsistency 0.*give --augment.flip 0"),
        (("--train.bag", "4"), "train.bag averages features, which lipinc does not take; give --train.bag 1"),
        (("--data.conditions", "crf28", "crf99"), "'crf99' is not a condition"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(flags, message):
    with pytest.raises(UserError, match=message):
        parse_command_line(Config, ["--config", str(ROOT / "config.py"), *flags])


def test_columns_may_be_a_dict_and_survive_json():
    config = Config(data=CsvIndex(columns={"path": "file", "identity": "person"}))
    assert config.data.columns == (("path", "file"), ("identity", "person"))
    assert from_json(json.loads(to_json(config))) == config
