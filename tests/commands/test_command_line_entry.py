"""The command `lipinc` and the three scripts: help, version, and what they say without their libraries."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lipinc
from lipinc import commands
from tests.processes import run_python

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {"extract": "preprocess_extract_lips.py", "train": "train_pipeline.py", "detect": "detect.py"}


def run(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "120", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_help_lists_the_commands():
    done = run("-m", "lipinc", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: lipinc COMMAND")
    listed = re.findall(r"^  (\w+)  +\S", done.stdout, re.M)
    assert listed == list(commands.COMMANDS)
    assert run("-m", "lipinc", "-h").stdout == done.stdout


def test_every_command_has_its_module():
    folder = Path(commands.__file__).parent
    assert {file.stem for file in folder.glob("*.py")} == {*commands.COMMANDS, "__init__", "runner", "terminal"}
    for name in commands.COMMANDS:
        assert callable(importlib.import_module(f"lipinc.commands.{name}").main)


def test_version():
    done = run("-m", "lipinc", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"lipinc {lipinc.__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "message"), [(["tarin"], "unknown command 'tarin'; choose one of "), ([], "no command; ")]
)
def test_an_unknown_command_is_one_line_and_status_2(words, message):
    done = run("-m", "lipinc", *words)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {message}") and all(name in line for name in commands.COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("command", commands.COMMANDS)
def test_the_help_of_every_command_names_the_command(command):
    done = run_python(["-m", "lipinc", command, "--help"], ROOT, COLUMNS="120")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: lipinc {command}")


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS.values())
def test_the_help_of_the_scripts_names_the_script(script):
    done = run(script, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python {script}")


# Without the libraries


@pytest.mark.parametrize("words", [*([script] for script in SCRIPTS.values()), ["-m", "lipinc", "demo"]])
def test_a_python_without_the_libraries_gets_one_line_and_status_2(words):
    """-S: without site-packages, as a Python outside the environment."""
    done = run("-S", *words, "--config", "config.py")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and f"cannot be imported by {sys.executable}; activate the environment" in line


def test_help_and_version_need_no_library():
    assert run("-S", "-m", "lipinc", "--help").returncode == 0
    assert run("-S", "-m", "lipinc", "--version").stdout == f"lipinc {lipinc.__version__}\n"


@pytest.mark.parametrize(("script", "library"), [("train_pipeline.py", "torch"), ("preprocess_extract_lips.py", "av")])
def test_a_single_library_that_is_missing_is_named(tmp_path, script, library):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {library!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    done = run(script, "--config", "config.py", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {library} cannot be imported by {sys.executable}")


def test_a_module_of_the_package_that_is_missing_is_a_bug(monkeypatch):
    monkeypatch.setitem(commands.COMMANDS, "nothing", "a command whose module is not there")
    with pytest.raises(ModuleNotFoundError):
        commands.run("nothing", [], prog="lipinc nothing")


def test_a_python_that_is_too_old_is_told_so(monkeypatch, capsys):
    monkeypatch.setattr(commands, "OLDEST_PYTHON", (9, 9))
    with pytest.raises(SystemExit) as caught:
        commands.run("detect", [], prog="lipinc detect")
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("error: lipinc needs Python 3.10 or later; this is 3.")
