"""Where the temporary folders of tests lie: in memory, where that is known to be enough.

Servers make and remove thousands of files there, which a file system on disk makes the dearest thing that the
tests do. No test looks at what a power cut leaves.
"""

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a folder of its own there
NEEDED_BYTES = 4 * 1024**3
"""The tests fill less than one gigabyte; their processes take two beside it."""
_CHOSEN = ("PYTEST_DEBUG_TEMPROOT", "TMPDIR", "TEMP", "TMP")
_GROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def use_memory(environment: MutableMapping[str, str]) -> None:
    """Let pytest make its temporary folders in memory, unless somebody has chosen where or it is scarce."""
    if not any(environment.get(name) for name in _CHOSEN) and free_bytes() >= NEEDED_BYTES:
        environment["PYTEST_DEBUG_TEMPROOT"] = str(SHARED_MEMORY)


def free_bytes() -> int:
    """Return how much may be put into shared memory: 0 where it is not to be written or run from."""
    try:
        found = os.statvfs(SHARED_MEMORY)
        if found.f_flag & (os.ST_NOEXEC | os.ST_RDONLY) or not os.access(SHARED_MEMORY, os.W_OK):
            return 0
        limit = _GROUP_LIMIT.read_text().strip() if _GROUP_LIMIT.exists() else "max"
        free = [found.f_bavail * found.f_frsize, _available(Path("/proc/meminfo").read_text())]
        return min(free if limit == "max" else [*free, int(limit)])
    except (OSError, ValueError):
        return 0


def _available(meminfo: str) -> int:
    lines: Mapping[str, str] = dict(line.split(":", 1) for line in meminfo.splitlines() if ":" in line)
    return int(lines.get("MemAvailable", "0 kB").split()[0]) * 1024
