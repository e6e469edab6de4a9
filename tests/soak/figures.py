"""What a process holds: memory, files, threads, tasks."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
from pathlib import Path
from typing import NamedTuple

_POOLS = ("asyncio_", "coze-cancel", "local-coze-call")


class Figures(NamedTuple):
    """What a process holds.

    Attributes:
        memory: Resident memory in MB.
        files: Open files, sockets included.
        threads: Running threads, without those of pools, which stay on purpose.
        tasks: Tasks of the event loop.
    """

    memory: float
    files: int
    threads: int
    tasks: int

    def exceed(self, before: Figures) -> list[str]:
        """Return what there is more of than before, memory aside."""
        names = ("files", "threads", "tasks")
        pairs = {name: (getattr(before, name), getattr(self, name)) for name in names}
        return [f"{name}: {old}, then {new}" for name, (old, new) in pairs.items() if new > old]


def measure(tasks: int) -> Figures:
    """Measure this process, which has so many tasks; works on Linux."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # glibc keeps memory that was freed
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    files = len(list(Path("/proc/self/fd").iterdir()))
    threads = [t.name for t in threading.enumerate() if not t.name.startswith(_POOLS)]
    return Figures(resident / 1024, files, len(threads), tasks)
