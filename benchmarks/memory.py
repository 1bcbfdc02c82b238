"""Memory of a process."""

import re
from pathlib import Path


def peak_memory() -> float:
    """The largest resident memory that this process ever had, in MB.

    From /proc, because getrusage would include what the parent process held when it started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024
