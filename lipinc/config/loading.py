"""Experiments and plug-ins from Python files."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from lipinc.config.schema import Config
from lipinc.errors import UserError

PACKAGE = Path(__file__).resolve().parent.parent


def shipped_experiments() -> dict[str, Path]:
    """The experiments that come with lipinc, by name: config.py (fakeavceleb) and configs/ in the repository, a part of
    the package where that is installed."""
    installed, repository = PACKAGE / "experiments", PACKAGE.parent
    if installed.is_dir():
        return {file.stem: file for file in sorted(installed.glob("*.py"))}
    files = sorted((repository / "configs").glob("*.py"))
    return {"fakeavceleb": repository / "config.py", **{file.stem: file for file in files}}


def load_config(path: str | Path) -> Config:
    """The `config` of a Python file, or of a shipped experiment by its name ("own_clips").

    What the file imports from its own folder is found, so a plug-in may lie beside it. Raises UserError if there is no
    such file, if it does not run, or if it sets no config.
    """
    file = config_file(path)
    config = getattr(load_module(file), "config", None)
    if not isinstance(config, Config):
        raise UserError(f"{file} sets no `config` that is a lipinc.config.Config")
    return config


def config_file(path: str | Path) -> Path:
    """The file behind a path or the name of a shipped experiment. Raises UserError if there is none."""
    file, shipped = Path(path), shipped_experiments()
    if not file.is_file() and str(path) in shipped:
        return shipped[str(path)]
    if not file.is_file():
        raise UserError(f"no config file {file}; the shipped experiments are {', '.join(shipped)}")
    return file


def load_module(file: Path) -> ModuleType:
    """Run a Python file as a module of its own. Raises UserError, naming it, if that fails."""
    name = f"lipinc_plugin_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"{file} is not a Python file; name a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up there
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except Exception as error:
        raise UserError(f"{file} does not run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(file.resolve().parent))
    return module
