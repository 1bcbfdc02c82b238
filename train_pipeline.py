"""Cache -> trained detector. The command `lipinc train`, run from the repository: see lipinc/commands/train.py."""

from lipinc.commands import run_script

if __name__ == "__main__":
    run_script("train", __file__)
