"""Entry point of `python -m lipinc`, the same as the command `lipinc`."""

from lipinc.commands import main

if __name__ == "__main__":
    main()
