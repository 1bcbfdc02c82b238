"""Flags: they override the config file, and wrong ones are named."""

from pathlib import Path

import pytest

from lipinc.commands.detect import Arguments as DetectArguments
from lipinc.config import Config, ModelConfig, load_config, one_per_config, parse_command_line
from lipinc.config.command_line import parse_arguments
from lipinc.datasets import Folder
from lipinc.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.mark.parametrize(
    ("flag", "meant"),
    [
        ("--train.epoch", "--train.epochs"),
        ("--train.lr", "--train.learning-rate"),
        ("--lr", "--train.learning-rate"),
        ("--train.bs", "--train.batch-size"),
        ("--batchsize", "--train.batch-size"),
        ("--wd", "--train.weight-decay"),
        ("--train.workers", "--train.loader-workers"),
        ("--num_workers", "--train.loader-workers"),
        ("--gpu", "--train.device"),
        ("--root", "--data.root"),
        ("--seed=1", "--split.seed"),
        ("-lr", "learning-rate"),
        ("--model", "--model.name"),
        ("--data", "--data.kind"),
        ("--cache", "--cache.path"),
        ("--eps", "adam-epsilon"),
    ],
)
def test_a_misspelt_or_abbreviated_flag_names_what_is_meant(flag, meant):
    with pytest.raises(UserError, match=f"there is no flag {flag.partition('=')[0]}: did you mean .*{meant}.*\\?$"):
        parse_command_line(Config, ["--config", str(ROOT / "config.py"), flag, "5"])


def test_a_flag_without_any_likeness_points_to_the_help_and_all_are_reported():
    with pytest.raises(UserError, match="--xyzzy: --help lists all flags; there is no flag --train.lr: did you mean"):
        parse_command_line(Config, ["--xyzzy", "1", "--train.lr", "5"])


def test_commands_without_a_config_name_what_is_meant():
    with pytest.raises(UserError, match="there is no flag --ckpt: did you mean --checkpoint\\?"):
        parse_arguments(DetectArguments, ["video.mp4", "--ckpt", "x"], prog="lipinc detect", description="")
    arguments = parse_arguments(DetectArguments, ["a.mp4", "--time_limit", "3"], prog="lipinc detect", description="")
    assert arguments.time_limit == 3


@pytest.mark.parametrize("flag", ["--data.kind", "--model.name", "--data.root", "--name", "--train.epochs"])
@pytest.mark.parametrize("after", [[], ["--output", "x"]])
def test_a_flag_without_its_value_is_named(capsys, flag, after):
    with pytest.raises(SystemExit) as caught:
        parse_command_line(Config, [flag, *after])
    assert caught.value.code == 2
    assert f"Missing value for argument '{flag}'" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_two_config_files_are_refused():
    with pytest.raises(UserError, match="--config is given twice"):
        parse_command_line(Config, ["--config", "own_clips", "--config=demo"])


def test_all_senseless_values_are_reported_at_once():
    flags = ["--train.epochs", "0", "--mouth.face", "biggest", "--augment.flip", "2", "--name", "a/b"]
    with pytest.raises(UserError) as caught:
        parse_command_line(Config, ["--config", str(ROOT / "config.py"), *flags])
    for part in ("train.epochs", "mouth.face", "augment.flip", "name must be"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--model.name", "noise_features", "--loss.inconsistency", "1", "--augment.flip", "0.5"),
            "use --loss.inconsistency 0.*use --augment.flip 0",
        ),
        (
            ("--model.name", "lipinc", "--train.bag", "4"),
            "train.bag averages features, but lipinc takes clips; use --train.bag 1",
        ),
        (("--data.conditions", "crf28", "crf99"), "'crf99' is not a condition"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(flags, message):
    with pytest.raises(UserError, match=message):
        parse_command_line(Config, ["--config", str(ROOT / "config.py"), *flags])


@pytest.mark.parametrize(
    "words", [["--config"], ["--config="], ["--config", "--train.epochs", "5"], ["--name", "x", "--config"]]
)
def test_config_without_a_value_is_an_error(words):
    with pytest.raises(UserError, match="--config needs a file, for example --config config.py"):
        parse_command_line(Config, words)


def test_a_config_file_that_is_not_there_is_named():
    with pytest.raises(UserError, match="no config file nowhere.py; the shipped experiments are"):
        parse_command_line(Config, ["--config", "nowhere.py"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.name", "lipinc_v3"], "there is no model 'lipinc_v3': did you mean lipinc_v2\\?"),
        (
            ["--model.name=noise"],
            "there is no model 'noise': did you mean noise_",
        ),
        (["--data.kind", "foldr"], "there is no data set 'foldr': did you mean folder\\?"),
    ],
)
def test_an_unknown_model_or_data_set_is_named_with_the_nearest(words, message):
    with pytest.raises(UserError, match=message):
        parse_command_line(Config, words)


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["--model.name", "lipinc", "--model.droput", "0.1"], "--model.dropout"),
        (["--model.name", "lipinc_v2", "--model.atention", "projected"], "--model.attention"),
        (["--data.kind", "csv", "--data.colums", "path", "file"], "--data.columns"),
        (["--mouth.heigth", "32"], "--mouth.height"),
    ],
)
def test_a_misspelt_option_is_named_with_the_nearest(words, nearest):
    with pytest.raises(UserError, match=f"did you mean {nearest}\\?"):
        parse_command_line(Config, words)


@pytest.mark.parametrize(
    ("words", "owner"),
    [
        (["--model.attention", "projected"], "--model.name lipinc_v2"),
        (["--data.columns", "path", "file"], "--data.kind csv"),
        (["--data.labels", "real=1"], "--data.kind csv or --data.kind folder"),
    ],
)
def test_options_of_another_model_or_data_set_are_no_flags(words, owner):
    with pytest.raises(UserError, match=f"there is no flag {words[0]}: it belongs to {owner}$"):
        parse_command_line(Config, words)


def test_another_model_or_data_set_keeps_the_options_that_it_has_too():
    config = parse_command_line(
        Config,
        ["--config", "own_clips", "--model.name", "lipinc_v2", "--train.bag", "1"]
        + ["--data.kind", "folder", "--data.note", "n"],
    )
    assert config.model == ModelConfig("lipinc_v2", batch_norm_momentum=0.1)
    assert config.data == Folder(root="data/clips", note="n")
    config = parse_command_line(Config, ["--config", "own_clips", "--model.width", "4", "--model.hidden=8"])
    assert config.model == load_config("own_clips").model.replace(width=4, hidden=8)
    assert config.data == load_config("own_clips").data


def test_help_shows_the_options_of_the_chosen_model_and_data_set_with_their_texts(capsys):
    with pytest.raises(SystemExit) as caught:
        parse_command_line(Config, ["--model.name", "lipinc_v2", "--data.kind", "csv", "--help"], prog="lipinc train")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "usage: lipinc train" in shown and "--config FILE" in shown
    assert "--model.attention" in shown and "--data.columns" in shown
    assert "--model.dropout" not in shown and "--data.fake-methods" not in shown
    words = " ".join(shown.replace("│", " ").split())
    assert "learned projections and several heads" in words  # the docstring below the field


def test_sections_that_a_command_does_not_read_are_accepted_and_not_shown(capsys):
    words = ["--train.epochs", "3", "--train.bag", "1", "--model.name", "lipinc_v2"]
    config = parse_command_line(Config, words, sections=("data", "mouth"))
    assert (config.train.epochs, config.model.name) == (3, "lipinc_v2")
    with pytest.raises(SystemExit):
        parse_command_line(Config, ["--help"], sections=("data", "mouth"))
    shown = capsys.readouterr().out
    assert "--mouth.height" in shown and "--train.epochs" not in shown and "--model.name" not in shown


def test_several_configs_give_one_command_line_each() -> None:
    lines = one_per_config(["--checkpoints", "a", "b", "--config", "x.py", "y.py", "--data.conditions", "raw"])
    rest = ["--data.conditions", "raw"]
    assert lines == [["--checkpoints", "a", "b", "--config", name, *rest] for name in ("x.py", "y.py")]
    for single in (
        [],
        ["--config", "x.py"],
        ["--config=x.py", "--name", "n"],
        ["--config"],
        ["--config", "--name", "n"],
    ):
        assert one_per_config(single) == [single]
