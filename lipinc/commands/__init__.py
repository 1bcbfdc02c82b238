"""Entry point of the command `lipinc` and of the scripts in the repository root.

This file imports the standard library only and runs on unsupported Python versions, because it reports a missing
environment to the user.
"""

import importlib
import os
import sys

from lipinc.commands import terminal

COMMANDS = {
    "extract": "videos -> cache of mouth clips (preprocess_extract_lips.py)",
    "train": "cache -> trained detector and its test metrics (train_pipeline.py)",
    "detect": "videos -> verdicts (detect.py)",
    "serve": "videos -> verdicts, in a page on this machine",
    "evaluate": "evaluate checkpoints on an external data set, also re-encoded and perturbed",
    "features": "videos or a cache -> embeddings of their windows, for other classifiers",
    "compare": "compare the scores of detectors, ours and others, on the same videos",
    "runs": "one table of all runs in a folder: settings that differ, and metrics",
    "crossval": "cross-validation by identity, also with held-out generators",
    "splits": "write the split of every person for several seeds, to share it",
    "reencode": "re-encode a folder of videos with H.264",
    "forge": "create a data set of pseudo-fakes from real videos",
    "convert": "convert the authors' Keras weights to a checkpoint",
    "release": "prepare a checkpoint for publication",
    "demo": "render the embedded demo corpus",
}
"""Command name, which is also the module name in this package -> description."""
OLDEST_PYTHON = (3, 10)


def main():
    """Run the command `lipinc` with the arguments of the process."""
    terminal.prepare()
    argv = sys.argv[1:]
    if argv[:1] in (["-h"], ["--help"]):
        print(usage())
    elif argv[:1] == ["--version"]:
        import lipinc

        print("lipinc " + lipinc.__version__)
    elif not argv or argv[0] not in COMMANDS:
        problem = "no command" if not argv else "unknown command " + repr(argv[0])
        sys.exit(_error(problem + "; choose one of " + ", ".join(COMMANDS) + ", or --help"))
    else:
        run(argv[0], argv[1:], prog="lipinc " + argv[0])


def run_script(command, file):
    """Run a command as a script in the repository root, with the arguments of the process."""
    terminal.prepare()
    run(command, sys.argv[1:], prog="python " + file.replace("\\", "/").rpartition("/")[2])


def run(command, argv, prog):
    """Run a command and exit with its status.

    Args:
        command: name of the command.
        argv: arguments after the command name.
        prog: how the user called the command, for usage lines.
    """
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(_error("lipinc needs Python 3.10 or later; this is " + sys.version.split()[0]))
    if sys.getfilesystemencoding() != "utf-8":
        _restart_in_utf8_mode()
    _limit_threads()
    try:
        runner = importlib.import_module("lipinc.commands.runner")
        module = importlib.import_module("lipinc.commands." + command)
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "lipinc":
            raise
        sys.exit(_error(missing_library(error)))
    runner.run_command(lambda: module.main(argv, prog), torchrun=command == "train")


def _restart_in_utf8_mode():
    """Start this command again in Python's UTF-8 mode: file names and files are UTF-8, whatever the locale.

    In another encoding, a cache or a verdict would name the same video differently. The terminal keeps its encoding.
    """
    sys.stdout.flush()
    os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
    os.execv(sys.executable, [sys.executable, "-X", "utf8"] + sys.orig_argv[1:])


def _limit_threads():
    """Keep the threads of numerical libraries within a CPU quota, which OpenMP does not know; it knows CPU affinity."""
    cores = importlib.import_module("lipinc.cores")
    if cores.available_cores() < cores.allowed_cores():
        os.environ.setdefault("OMP_NUM_THREADS", str(cores.available_cores()))


def missing_library(error):
    """Return a one-line message for an ImportError: which library is missing, and what to do."""
    library = (error.name or str(error)).partition(".")[0]
    return (
        library + " cannot be imported by " + sys.executable + "; activate the environment that contains lipinc "
        "(in the repository: make demo, then source .venv/bin/activate), or install it (pip install .)"
    )


def usage():
    """Return the text of `lipinc --help`."""
    width = max(map(len, COMMANDS))
    lines = ["usage: lipinc COMMAND [OPTIONS]", "", "Detects lip-sync deepfakes by inconsistencies of the mouth.", ""]
    lines += ["  " + name.ljust(width) + "  " + about for name, about in COMMANDS.items()]
    lines += ["", "lipinc COMMAND --help shows the options of a command; lipinc --version shows the version."]
    return "\n".join(lines)


def _error(message):
    print("error: " + message, file=sys.stderr)
    return 2
