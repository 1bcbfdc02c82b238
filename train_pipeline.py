"""Train a detector. Same as the command `lipinc train`, for use in the repository; see lipinc/commands/train.py."""

from lipinc.commands import run_script

if __name__ == "__main__":
    run_script("train", __file__)
