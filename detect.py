"""Classify videos. Same as the command `lipinc detect`, for use in the repository; see lipinc/commands/detect.py."""

from lipinc.commands import run_script

if __name__ == "__main__":
    run_script("detect", __file__)
