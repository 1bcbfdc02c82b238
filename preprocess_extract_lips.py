"""Videos -> cache. The command `lipinc extract`, run from the repository: see lipinc/commands/extract.py."""

from lipinc.commands import run_script

if __name__ == "__main__":
    run_script("extract", __file__)
