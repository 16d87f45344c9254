"""The peak of this process's memory, for programs that tests run in a process of their own."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mb() -> int:
    """Return the most memory that this program held at once, in MB.

    The kernel's high-water mark, not ``ru_maxrss``, which begins with the memory of the process
    that started this one: a difference of it may be 0 whatever the program does.
    """
    found = re.search(rb"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_bytes())
    assert found is not None
    return int(found[1]) // 1024
