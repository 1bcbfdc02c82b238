"""Extract clips. Same as the command `lipinc extract`, for use in the repository; see lipinc/commands/extract.py."""

from lipinc.commands import run_script

if __name__ == "__main__":
    run_script("extract", __file__)
