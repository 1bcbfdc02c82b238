"""The command `lipinc`, and the scripts in the repository root.

This file must import nothing but the standard library, and run on Python versions that the rest does not support: it is
what tells a user that the environment is missing.
"""

import importlib
import sys

COMMANDS = {
    "extract": "videos -> cache of mouth clips (preprocess_extract_lips.py)",
    "train": "cache -> trained detector and its test metrics (train_pipeline.py)",
    "detect": "videos -> verdicts (detect.py)",
    "evaluate": "checkpoints on an external data set, also re-encoded and perturbed",
    "crossval": "cross-validation by identity, also with held-out generators",
    "reencode": "a folder of videos re-encoded by H.264",
    "forge": "a data set of pseudo-fakes of real videos",
    "convert": "the authors' Keras weights -> checkpoint",
    "release": "a checkpoint of a run -> one to ship",
    "demo": "render the embedded demo corpus",
}
"""Name of each command, which is also its module here -> what it does."""
OLDEST_PYTHON = (3, 10)


def main():
    """The command `lipinc`."""
    argv = sys.argv[1:]
    if argv[:1] in (["-h"], ["--help"]):
        print(usage())
    elif argv[:1] == ["--version"]:
        import lipinc

        print("lipinc " + lipinc.__version__)
    elif not argv or argv[0] not in COMMANDS:
        what = "no command" if not argv else "unknown command " + repr(argv[0])
        sys.exit(_error(what + "; choose one of " + ", ".join(COMMANDS) + ", or --help"))
    else:
        run(argv[0], argv[1:], prog="lipinc " + argv[0])


def run_script(command, file):
    """A script in the repository root: `command` with the argv of the command line."""
    run(command, sys.argv[1:], prog="python " + file.replace("\\", "/").rpartition("/")[2])


def run(command, argv, prog):
    """Run a command and exit with its status. prog: how the user called it."""
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(_error("lipinc needs Python 3.10 or later; this is " + sys.version.split()[0]))
    try:
        runner = importlib.import_module("lipinc.commands.runner")
        module = importlib.import_module("lipinc.commands." + command)
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "lipinc":
            raise
        sys.exit(_error(missing_library(error)))
    runner.run_command(lambda: module.main(argv, prog), torchrun=command == "train")


def missing_library(error):
    """What to do about an ImportError, in one line."""
    what = (error.name or str(error)).partition(".")[0]
    return (
        what + " cannot be imported by " + sys.executable + "; activate the environment that has lipinc "
        "(in the repository: make demo, then source .venv/bin/activate), or install it (pip install .)"
    )


def usage():
    """What `lipinc --help` prints."""
    width = max(map(len, COMMANDS))
    lines = ["usage: lipinc COMMAND [OPTIONS]", "", "Detects lip-sync deepfakes by inconsistencies of the mouth.", ""]
    lines += ["  " + name.ljust(width) + "  " + about for name, about in COMMANDS.items()]
    return "\n".join([*lines, "", "lipinc COMMAND --help shows the options of a command; lipinc --version the version."])


def _error(message):
    print("error: " + message, file=sys.stderr)
    return 2
