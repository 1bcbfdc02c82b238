"""python -m lipinc: the command `lipinc`."""

from lipinc.commands import main

if __name__ == "__main__":
    main()
