"""What all benchmarks share as commands: their arguments, how they end, and config files for the commands they run."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lipinc.commands.runner import run_command
from lipinc.config import Config
from lipinc.config.command_line import parse_arguments

Arguments = TypeVar("Arguments")


def run_benchmark(main: Callable[[Arguments], None], kind: type[Arguments], module: str, description: str) -> None:
    """Parse the command line and run a benchmark. Does not return.

    Args:
        main: the benchmark.
        kind: dataclass of its arguments.
        module: its full name, "benchmarks.loss".
        description: text of --help.
    """
    prog = f"python -m {module}"
    run_command(lambda: main(parse_arguments(kind, sys.argv[1:], prog=prog, description=description)))


def write_config(config: Config, file: Path) -> Path:
    """Write a config as a file for --config; returns the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"from lipinc.config import *\nfrom lipinc.datasets import *\n\nconfig = {config!r}\n")
    return file
