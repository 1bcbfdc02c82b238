"""Loading of experiments and plug-ins from Python files."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from lipinc.config.schema import Config
from lipinc.errors import UserError

PACKAGE = Path(__file__).resolve().parent.parent


def shipped_experiments() -> dict[str, Path]:
    """Return the experiments shipped with lipinc: name -> file.

    In the repository they are config.py (named fakeavceleb) and configs/; an installed package contains them.
    """
    installed, repository = PACKAGE / "experiments", PACKAGE.parent
    if installed.is_dir():
        return {file.stem: file for file in sorted(installed.glob("*.py"))}
    files = sorted((repository / "configs").glob("*.py"))
    return {"fakeavceleb": repository / "config.py", **{file.stem: file for file in files}}


def load_config(path: str | Path) -> Config:
    """Load the `config` of a Python file or of a shipped experiment.

    The file can import modules from its own folder, for example a plug-in.

    Args:
        path: a Python file, or the name of a shipped experiment ("own_clips").

    Raises:
        UserError: the file does not exist, fails to run, or defines no config.
    """
    file = config_file(path)
    config = getattr(load_module(file), "config", None)
    if not isinstance(config, Config):
        raise UserError(f"{file} must define `config`, a lipinc.config.Config")
    return config


def config_file(path: str | Path) -> Path:
    """Resolve a path or the name of a shipped experiment to a file.

    Raises:
        UserError: there is no such file or experiment.
    """
    file, shipped = Path(path), shipped_experiments()
    if not file.is_file() and str(path) in shipped:
        return shipped[str(path)]
    if not file.is_file():
        raise UserError(f"no config file {file}; the shipped experiments are {', '.join(shipped)}")
    return file


def load_module(file: Path) -> ModuleType:
    """Import a Python file as a separate module.

    Raises:
        UserError: the file cannot be imported; the message names it.
    """
    name = f"lipinc_plugin_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"{file} is not a Python file; give a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look up the module of a class there
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except Exception as error:
        raise UserError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(file.resolve().parent))
    return module
